//! What was measured, as it is printed and written.

use serde::Serialize;

use super::{BenchModel, Ceilings, Cost, Phase, Ratio, Sample, Weights};
use crate::device::{AdapterReport, KernelTime};
use crate::model::Precision;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// What it was measured on.
    pub device: AdapterReport,
    /// What was measured.
    pub model: ModelReport,
    /// Tokens of the prompt, and of a training sample.
    pub prompt: usize,
    /// Tokens in the cache before the tokens that were decoded.
    pub context: usize,
    /// Rounds of each phase.
    pub rounds: usize,
    /// `fast` or `plain`.
    pub kernels: String,
    /// What the device can do at best.
    pub ceilings: Ceilings,
    /// Phase by phase.
    pub results: Vec<PhaseReport>,
    /// Ratios, where they were asked for.
    pub compare: Vec<Ratio>,
    /// Phases that do not fit the device.
    pub refused: Vec<Refusal>,
}

/// The model that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// What it is called.
    pub name: String,
    /// Whether its weights are random.
    pub random: bool,
    /// How weights are kept.
    pub weights: Precision,
    /// Layers of the language model.
    pub layers: usize,
    /// Layers of the vision tower.
    pub vision_layers: usize,
    /// Parameters of these layers and what stands around them.
    pub parameters: u64,
}

impl ModelReport {
    pub(super) fn new(model: &BenchModel) -> Self {
        let config = &model.config;
        Self {
            name: model.name.clone(),
            random: matches!(model.weights, Weights::Random),
            weights: model.precision,
            layers: config.text.num_hidden_layers,
            vision_layers: config.num_vision_layers_used(),
            parameters: config.parameters(),
        }
    }
}

/// What a phase costs.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// Which.
    pub name: Phase,
    /// Its time: of one picture, one prompt, one token, one step.
    #[serde(flatten)]
    pub time: Sample,
    /// Positions that go through the model in this time, by the second.
    pub tokens_per_second: f64,
    /// What it must move and compute.
    #[serde(flatten)]
    pub cost: Cost,
    /// The least time it could take over the time it takes.
    pub share_of_ceiling: f64,
    /// What bounds that least time.
    pub bound: Bound,
    /// Kernels launched, all layers and what stands around them.
    pub dispatches: u64,
    /// Kernels that one layer adds.
    pub dispatches_per_layer: f64,
    /// The host's time to encode one kernel, in microseconds; 0 where there are none.
    pub cpu_us_per_dispatch: f64,
    /// The most memory that was held: of the device what its allocator took, on the CPU what the process took.
    pub peak_memory_bytes: u64,
    /// Kernel by kernel, where that was asked for.
    pub kernel_times: Vec<KernelTime>,
}

/// What bounds the least time of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The bytes it moves.
    Memory,
    /// The products it computes.
    Matrix,
}

impl PhaseReport {
    /// Which share of `ceilings` it reaches.
    pub(super) fn against(&mut self, ceilings: &Ceilings) {
        let [memory, matrix] = ceilings.least_seconds(self.cost);
        self.share_of_ceiling = memory.max(matrix) / self.time.seconds;
        self.bound = if memory > matrix { Bound::Memory } else { Bound::Matrix };
    }
}

/// A phase that does not fit the device.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// Which.
    pub name: Phase,
    /// The figures.
    pub reason: String,
}
