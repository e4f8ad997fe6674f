//! A training run as it can be read from its folder, while it runs or afterwards, on this machine or a mounted one.
//!
//! ```text
//! metrics.jsonl -- Tail --> Line --> Curves -+
//! checkpoint-N/, adapter/ ------> Landmarks -+--> Snapshot --> whoever watches
//! ```
//!
//! A [`Watch`] reads on a thread of its own and only when asked, so that a network drive that hangs holds nobody up, and
//! nobody reads for a panel that is closed. Nothing is ever written.
//!
//! Memory does not grow with the run: curves are kept in stretches ([`Curve`], [`Loads`]), which become twice as long
//! whenever there are too many.

mod curve;
mod curves;
mod landmarks;
mod line;
mod loads;
mod tail;
mod watch;

pub use curve::Curve;
pub use curves::{Curves, Dataset};
pub use landmarks::Landmarks;
pub use line::{EvalLine, Line, StepLine};
pub use loads::Loads;
pub use watch::{Reading, Snapshot, Watch};
