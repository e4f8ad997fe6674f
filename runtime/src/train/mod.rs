//! Finetuning: stages, recomputed layers, exact accumulation, checkpoints that resume bit for bit.
//!
//! ```text
//! TrainConfig (config, schedule)
//! Run (run)            data checked, then step after step: metrics, held-out loss, checkpoints, the result
//!   Learner (learner)  one optimizer step over a window of samples
//!     window           its micro-batches, several at once on the CPU
//!     step             one micro-batch forward and backward, layer by layer (balance, gradients)
//!     Optimizer        AdamW over flat tensors by name
//!   checkpoint, snapshot, files, metrics   what is written, and how it is whole or not there
//! ```
//!
//! Runs need files: a page has the learner alone.

mod balance;
#[cfg(not(target_arch = "wasm32"))]
mod checkpoint;
mod config;
mod estimate;
#[cfg(not(target_arch = "wasm32"))]
mod files;
mod gradients;
mod learner;
#[cfg(not(target_arch = "wasm32"))]
mod metrics;
mod optimizer;
#[cfg(not(target_arch = "wasm32"))]
mod run;
mod schedule;
#[cfg(not(target_arch = "wasm32"))]
mod snapshot;
mod step;
mod window;

#[cfg(not(target_arch = "wasm32"))]
pub use checkpoint::RunState;
pub use config::{BalanceScope, LoraSection, MoleSection, Stage, TrainConfig, TrainSection};
pub use estimate::{TrainMemory, trained_parameters};
pub use gradients::GradientStore;
pub use learner::{Learner, StepReport};
#[cfg(not(target_arch = "wasm32"))]
pub use metrics::{EvalMetrics, StepMetrics};
pub use optimizer::{Moments, Optimizer, Rates};
#[cfg(not(target_arch = "wasm32"))]
pub use run::{Finished, OnEvent, Run, RunParts, Start, TrainEvent, TrainRequest};
pub use schedule::Schedule;
pub use step::{HostLosses, LoadedSample, MicroLosses, Objective, accumulate, evaluate};
