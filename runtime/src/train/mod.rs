//! Finetuning: stages, recomputed layers, exact accumulation, checkpoints that resume bit for bit.

mod balance;
mod checkpoint;
mod config;
mod estimate;
mod files;
mod gradients;
mod learner;
mod metrics;
mod optimizer;
mod run;
mod schedule;
mod snapshot;
mod step;

pub use checkpoint::RunState;
pub use config::{BalanceScope, LoraSection, MoleSection, Stage, TrainConfig, TrainSection};
pub use estimate::{TrainMemory, trained_parameters};
pub use gradients::GradientStore;
pub use learner::{Learner, StepReport};
pub use metrics::{EvalMetrics, StepMetrics};
pub use optimizer::{Moments, Optimizer, Rates};
pub use run::{Finished, OnEvent, Run, RunParts, Start, TrainEvent, TrainRequest};
pub use schedule::Schedule;
pub use step::{HostLosses, LoadedSample, MicroLosses, Objective, accumulate, evaluate};
