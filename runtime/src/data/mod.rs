//! Data: from the files of a user to the samples that training and evaluation read.
//!
//! ```text
//! DataSource -- Dataset::open --> Dataset -- sample --> Sample -- Encoder --> TokenizedSample
//!                                    \------- picture --> bytes -- decode, Preprocessor --> PixelValues
//! ```
//!
//! A data file may be larger than memory: one scan finds where its samples are, and each is read when it is its turn.
//! Which sample that is [`Mixture`] says, from the seed and the number of the draw alone. [`check`] goes through
//! everything before the first step, so that a run does not end in the night over a picture that is not there, and
//! [`Prefetch`] reads ahead of the training.
//!
//! Nothing here knows a device.

mod encoder;
mod file;
mod index;
mod interleave;
mod mixture;
mod parallel;
mod permutation;
mod picture;
mod prefetch;
mod preflight;
mod render;
mod report;
mod sample;
mod source;
#[cfg(test)]
mod testing;

pub use encoder::Encoder;
pub use mixture::{Mixture, Order};
pub use picture::MAX_PICTURE_BYTES;
pub use prefetch::Prefetch;
pub use preflight::{Progress, check};
pub use render::{Rendering, TokenizedSample, render};
pub use report::{BadSample, Report};
pub use sample::{Sample, Turn};
pub use source::{DataSource, Dataset};
