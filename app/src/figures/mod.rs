//! Pictures of a training run, as SVG: how the loss went (`loss.svg`) and which expert saw what (`routing.svg`).
//!
//! ```text
//! metrics.jsonl -- StepLines --> Series -- Panel --> Canvas --> loss.svg
//! dataset -> [layers][experts]  ------------------> Canvas --> routing.svg
//! ```
//!
//! No font is needed here: text is placed by its anchor and drawn by whatever shows the picture.

mod canvas;
mod curve;
mod legend;
mod palette;
mod panel;
mod routing;
mod series;
mod step_lines;

pub use curve::loss_curve;
pub use routing::routing_picture;
