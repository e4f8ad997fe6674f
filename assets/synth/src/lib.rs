//! Pictures of three domains drawn by rule, with questions and answers: what the demo model is trained on.
//!
//! Real sets of everyday pictures, charts and tissue are large and seldom free. These are small, free, and known to the
//! last pixel, and they pull a model in three directions as the real ones do: colours and places, letters and digits,
//! texture and counts, each with its own manner of answering.
//!
//! A picture is a pure function of (domain, seed, number): its random numbers come from a ChaCha stream whose key is
//! these three, so sets of different seeds share no stream, and a shorter set is the beginning of a longer one.

mod canvas;
mod dataset;
mod document;
mod draw;
mod error;
mod general;
mod map;
mod medical;
mod select;

pub use dataset::{Request, Summary, TypeSummary, write};
pub use error::{Error, Result};

use draw::Draw;

/// What a picture is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// Scenes of coloured shapes.
    General,
    /// Charts, tables and printed forms.
    Document,
    /// Fields that look like stained tissue under a microscope.
    Medical,
}

impl Domain {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::General, Self::Document, Self::Medical];

    /// As it is written on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Document => "document",
            Self::Medical => "medical",
        }
    }

    /// The types of question that are asked about its pictures where none are named.
    pub fn question_types(self) -> &'static [&'static str] {
        match self {
            Self::General => general::QUESTION_TYPES,
            Self::Document => document::QUESTION_TYPES,
            Self::Medical => medical::QUESTION_TYPES,
        }
    }

    /// The types that are asked only where they are named: long answers, for a model to learn to see by.
    pub fn extra_types(self) -> &'static [&'static str] {
        match self {
            Self::General => general::EXTRA_TYPES,
            Self::Document => document::EXTRA_TYPES,
            Self::Medical => medical::EXTRA_TYPES,
        }
    }
}

/// A question about a picture, with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What kind it is of, such as `count`.
    pub question_type: &'static str,
    /// The question.
    pub text: String,
    /// The one right answer.
    pub answer: String,
}

/// A picture and everything that can be asked about it.
struct Scene {
    picture: image::RgbImage,
    questions: Vec<Question>,
    /// How many objects, entries or nuclei it shows.
    items: usize,
}

/// Draws a scene.
fn scene(domain: Domain, draw: &mut Draw) -> Scene {
    match domain {
        Domain::General => general::scene(draw),
        Domain::Document => document::scene(draw),
        Domain::Medical => medical::scene(draw),
    }
}
