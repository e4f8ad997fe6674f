//! A picture to begin with.

use mole_runtime::engine::Picture;

/// A sample picture and a question about it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The picture.
    pub picture: Picture,
    /// The question.
    pub question: String,
}
