//! What the model costs on a device, and how much of the device that is.
//!
//! ```text
//! Ceilings (ceilings)   copy bandwidth and best matrix rate, as measured
//! Costs (cost)          bytes and operations of a phase, from the shapes alone
//! work                  the phases, on the paths that replies and runs take
//! rounds                warm-up, medians, turns
//! compare, generic      ratios: against burn's own operations, adapters among themselves, fast against plain kernels
//! ```
//!
//! A phase's share of the ceiling is the least time it could take, by the ceilings and the costs (the roofline of Williams
//! et al. 2009), over the time it takes.

mod ceilings;
mod compare;
mod cost;
mod generic;
mod phases;
mod report;
mod rounds;
mod shapes;
mod work;

pub use ceilings::Ceilings;
pub use compare::Ratio;
pub use cost::{AdapterShape, Cost, Costs};
pub use report::{BenchReport, Bound, ModelReport, PhaseReport, Refusal};
pub use rounds::{Clock, Sample};
pub use shapes::Shape;

use pollster::block_on;

use crate::device::{AdapterKind, AdapterReport, ComputeDevice};
use crate::error::{Error, Result};
use crate::model::{Llava, LlavaConfig, MemoryEstimate, Precision};
use crate::ops::Kernels;
use crate::train::TrainMemory;
use crate::weights::Checkpoint;
use work::{RANK, train_config};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A picture through the vision tower and the projector.
    Clip,
    /// A prompt up to the first token.
    Prefill,
    /// A token.
    Decode,
    /// An optimizer step with LoRA on every projection.
    TrainLora,
    /// The same with experts on the MLP.
    TrainMole,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Clip, Self::Prefill, Self::Decode, Self::TrainLora, Self::TrainMole];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::TrainLora => "train_lora",
            Self::TrainMole => "train_mole",
        }
    }

    /// The adapter that is trained.
    fn adapter(self) -> Option<AdapterShape> {
        match self {
            Self::TrainLora => Some(AdapterShape { rank: RANK, experts: None }),
            Self::TrainMole => Some(AdapterShape { rank: RANK, experts: Some(3) }),
            _ => None,
        }
    }
}

impl std::str::FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|phase| phase.name() == text);
        found.ok_or_else(|| format!("{text:?} is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tokens of the prompt, and of a training sample.
    pub prompt: usize,
    /// Tokens in the cache before the tokens that are decoded.
    pub context: usize,
    /// Tokens decoded in a round.
    pub steps: usize,
    /// Rounds of each phase, after the warm-up.
    pub rounds: usize,
    /// What is measured.
    pub phases: Vec<Phase>,
    /// Whether ratios are measured too.
    pub compare: Comparisons,
    /// Whether each kernel's time is measured too.
    pub kernel_times: KernelTimes,
}

/// Whether ratios are measured too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparisons {
    /// They are.
    Measured,
    /// They are not.
    LeftOut,
}

/// Whether each kernel's time is measured too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelTimes {
    /// It is.
    Measured,
    /// It is not.
    LeftOut,
}

impl Settings {
    /// As many rounds and steps as a device of this kind does in reasonable time.
    pub fn usual(device: AdapterKind) -> Self {
        let (steps, rounds) = if is_real_gpu(device) { (32, 7) } else { (4, 3) };
        let (phases, compare) = (Phase::ALL.to_vec(), Comparisons::LeftOut);
        let kernel_times = KernelTimes::LeftOut;
        Self { prompt: 512, context: 512, steps, rounds, phases, compare, kernel_times }
    }

    fn measures(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// # Errors
    /// [`Error::Prompt`] where the model's context is too short, or a number is none that can be measured.
    fn check(&self, config: &LlavaConfig) -> Result<()> {
        let context = config.text.max_position_embeddings;
        let most = [self.prompt + 1, self.context + self.steps].into_iter().max().unwrap_or(0);
        if self.prompt == 0 || self.context == 0 || self.rounds == 0 || self.steps == 0 {
            return Err(Error::Prompt("needs at least one token, and the bench one round".to_string()));
        }
        if most >= context {
            return Err(Error::Prompt(format!(
                "takes {} tokens, or the cache {} and {} more; the model's context is {context}: lower --prompt or \
                 --context",
                self.prompt, self.context, self.steps
            )));
        }
        Ok(())
    }
}

/// Whether a device is a GPU in hardware: all layers of a large model are measured there.
pub fn is_real_gpu(device: AdapterKind) -> bool {
    !matches!(device, AdapterKind::Cpu | AdapterKind::Software)
}

/// Which weights are measured.
#[derive(Debug)]
pub enum Weights {
    /// Random ones, made on the device.
    Random,
    /// Those of a checkpoint with its own configuration, of which the first layers may be all that is measured.
    Checkpoint(Box<(Checkpoint, LlavaConfig)>),
}

/// A model to be measured.
#[derive(Debug)]
pub struct BenchModel {
    /// What it is called.
    pub name: String,
    /// The layers that are measured.
    pub config: LlavaConfig,
    /// Its weights.
    pub weights: Weights,
    /// How they are kept.
    pub precision: Precision,
}

impl BenchModel {
    /// Compares with what the device offers; the phases that do not fit.
    fn check(&self, settings: &Settings, device: &AdapterReport) -> Result<Vec<Refusal>> {
        settings.check(&self.config)?;
        let context = settings.prompt.max(settings.context) + settings.steps + 1;
        let whole = match &self.weights {
            Weights::Random => &self.config,
            Weights::Checkpoint(checkpoint) => &checkpoint.1,
        };
        MemoryEstimate::with_context(whole, self.precision, context).check(whole, self.precision, device)?;
        let refused = settings.phases.iter().filter_map(|&phase| {
            let config = train_config(phase.adapter()?);
            let memory = TrainMemory::new(&config, &self.config, self.precision, settings.prompt, device.kind);
            let reason = memory.check(self.precision, device).err()?.to_string();
            Some(Refusal { name: phase, reason })
        });
        Ok(refused.collect())
    }

    fn load(&self, device: &ComputeDevice) -> Result<Llava> {
        let Self { config, precision, .. } = self;
        match &self.weights {
            Weights::Random => block_on(Llava::random(config.clone(), *precision, &device.burn)),
            Weights::Checkpoint(checkpoint) => {
                let (checkpoint, whole) = &**checkpoint;
                let mut silent = |_| {};
                let loaded = block_on(Llava::load(whole.clone(), checkpoint, *precision, &device.burn, &mut silent));
                Ok(loaded?.first_layers(config.text.num_hidden_layers, config.num_vision_layers_used()))
            }
        }
    }
}

/// Measures everything. `on_note` is told what comes next, and what is left out.
///
/// # Errors
/// [`Error::Memory`] where the model does not fit the device, [`Error::Prompt`] where the prompt does not fit the model;
/// a device that fails.
pub fn run(
    device: &ComputeDevice,
    model: &BenchModel,
    settings: &Settings,
    on_note: &mut dyn FnMut(&str),
) -> Result<BenchReport> {
    let refused = model.check(settings, &device.report)?;
    let mut settings = settings.clone();
    for Refusal { name, reason } in &refused {
        on_note(&format!("{} is left out: {reason}", name.name()));
        settings.phases.retain(|phase| phase != name);
    }
    on_note("ceilings");
    let ceilings = Ceilings::measure(device)?;
    on_note("weights");
    let llava = model.load(device)?;
    device.wait()?;
    let mut results = phases::measure(device, &llava, model.precision, &settings, on_note)?;
    let compare = match settings.compare {
        Comparisons::Measured => {
            on_note("comparisons");
            compare::compare(device, &llava, model.precision, &settings)?
        }
        Comparisons::LeftOut => Vec::new(),
    };
    // What disturbed the first measurement may be over.
    drop(llava);
    on_note("ceilings again");
    let ceilings = ceilings.max(Ceilings::measure(device)?);
    results.iter_mut().for_each(|phase| phase.against(&ceilings));
    Ok(BenchReport {
        device: device.report.clone(),
        model: report::ModelReport::new(model),
        prompt: settings.prompt,
        context: settings.context,
        rounds: settings.rounds,
        kernels: Kernels::chosen().to_string(),
        ceilings,
        results,
        compare,
        refused,
    })
}
