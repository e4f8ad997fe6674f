//! `experiment`: how the demo model was made, and what it is meant to show.
//!
//! ```text
//! demo      data -> tokenizer -> base (stage full) -> experts (stage finetune) -> f16 checkpoint, scores
//! conflict  the demo's base -> one run for each configuration and seed -> results.json, report.md, figures
//! ```
//!
//! Everything is written below one folder, and whatever is there is not made again: an experiment that is stopped goes
//! on where it was.

mod conflict;
mod data;
mod demo;
mod package;
mod plan;
mod report;
mod runner;
mod tokenizer;

pub use conflict::{Scale, run_conflict};
pub use demo::make_demo;
pub use runner::Stopped;
