//! Finetuning: stages, recomputed layers, exact accumulation, checkpoints that resume bit for bit.

mod balance;
mod config;
mod gradients;
mod learner;
mod optimizer;
mod schedule;
mod step;

pub use config::{BalanceScope, LoraSection, MoleSection, Stage, TrainConfig, TrainSection};
pub use gradients::GradientStore;
pub use learner::{Learner, StepReport};
pub use optimizer::{Moments, Optimizer, Rates};
pub use schedule::Schedule;
pub use step::{HostLosses, LoadedSample, MicroLosses, Objective, accumulate, evaluate};
