//! Evaluation: how right an answer is.
//!
//! ```text
//! prediction, references -- score(Metric) --> Scores -- Table::add --> means by dataset: JSON, text
//! ```
//!
//! Pure functions of text; what asks the model is elsewhere. Each metric follows the definition its benchmark publishes,
//! so that a number here can stand beside a paper's; where we differ, the file of that metric says how and why.

mod anls;
mod metrics;
mod normalize;
mod overlap;
mod relaxed;
mod table;
mod yes_no;

pub use metrics::{Metric, Scores, score};
pub use normalize::normalize;
pub use table::{Mean, Row, Table};
