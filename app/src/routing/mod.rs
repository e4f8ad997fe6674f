//! Which expert every token went to, as data: sums over it, and what is exported. Knows no window.
//!
//! ```text
//! Trace -- Digest (only the new tokens) --> Sums --> Load, by Part and LayerChoice
//!   |          |--> Favourite of each token, PatchMap of each picture, Passage of words
//!   '--------> json, csv, figure
//! ```

mod difference;
mod digest;
mod export;
mod figure;
mod grey;
mod layers;
mod patches;
mod sums;
#[cfg(test)]
mod testing;
mod trace;

pub use difference::Difference;
pub use digest::{Digest, Passage};
pub use export::{csv, json};
pub use figure::figure;
pub use grey::grey;
pub use layers::{Favourite, LayerChoice};
pub use patches::PatchMap;
pub use sums::{Load, Part, Sums};
pub use trace::Trace;
