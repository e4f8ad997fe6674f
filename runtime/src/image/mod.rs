//! Pictures: from the bytes of a file to the numbers the vision tower reads.
//!
//! ```text
//! bytes -- decode --> RgbImage -- Preprocessor --> PixelValues [3, height, width]
//! ```
//!
//! Nothing here opens a file or knows a GPU, so a page and the command line run the same code. Training saw pictures
//! through Pillow and the image processor of transformers; the results here are theirs, pixel for pixel.

mod area;
mod config;
mod decode;
mod format;
mod jpeg;
mod preprocess;
mod resample;
mod rgb;

pub use area::{PatchGrid, SeenArea};
pub use config::{AspectRatio, PreprocessorConfig, Resize, Size};
pub use decode::{MAX_PIXELS, MAX_SIDE, decode};
pub use preprocess::{MAX_RESIZED_PIXELS, PixelValues, Preprocessor};
pub use resample::Resample;
pub use rgb::RgbImage;
