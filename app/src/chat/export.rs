//! A conversation as a file: Markdown for people, JSON for programs. Each is one file with everything in it, pictures
//! too, because one file is what a dialog saves and what is sent on.

mod json;
mod markdown;
mod picture;

pub use json::json;
pub use markdown::markdown;
