//! Pictures, as SVG: of a training run, how the loss went (`loss.svg`) and which expert saw what (`routing.svg`); of many
//! runs, how accurate each configuration is (a comparison) and how that changes with a setting (a trend).
//!
//! ```text
//! metrics.jsonl -- StepLines --> Series -- Panel --> Canvas --> loss.svg
//! dataset -> [layers][experts]  ------------------> Canvas --> routing.svg
//! ComparisonRow: [domains] Estimate -- PercentAxis, Key --> Canvas --> a dot plot
//! TrendSeries: category -> Estimate -- PercentAxis, Key --> Canvas --> lines over categories
//! ```
//!
//! No font is needed here: text is placed by its anchor and drawn by whatever shows the picture.

mod canvas;
mod comparison;
mod curve;
#[cfg(test)]
mod drawn;
mod estimate;
mod key;
mod legend;
mod panel;
mod percent_axis;
mod routing;
mod step_lines;
mod text_width;
mod trend;

pub use canvas::shortened;
pub use comparison::{ComparisonRow, comparison_picture};
pub use curve::loss_curve;
pub use estimate::Estimate;
pub use routing::routing_picture;
pub use trend::{TrendSeries, trend_picture};
