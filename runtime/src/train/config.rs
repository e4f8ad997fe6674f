//! A run's configuration file, with every number checked before anything is opened.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::data::DataSource;
use crate::error::{Error, Result};
use crate::model::adapter::{AdapterConfig, LoraConfig, MoleConfig, Target};
use crate::nn::Gating;

/// What a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The projector alone, on captions (stage 1).
    Projector,
    /// LoRA, experts, routers and the projector, on conversations (stage 2).
    Finetune,
    /// Every weight; for small models.
    Full,
}

/// Over which tokens the balance loss pools its fractions and probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BalanceScope {
    /// Each layer by itself, then the mean over layers.
    #[default]
    Layer,
    /// The tokens of all layers together, as the released code does.
    Pooled,
}

/// A run's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The base checkpoint's folder.
    pub model: PathBuf,
    /// The run's folder.
    pub output: PathBuf,
    /// An adapter to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_adapter: Option<PathBuf>,
    /// What is trained.
    #[serde(default = "finetune")]
    pub stage: Stage,
    /// Whether the base's weights are drawn at random from the seed, and not read: its folder needs none then. For stage
    /// `full`.
    #[serde(default)]
    pub from_scratch: bool,
    /// Seed of fresh weights, the order of samples and dropout.
    #[serde(default)]
    pub seed: u64,
    /// Plain LoRA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSection>,
    /// Experts on the MLP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mole: Option<MoleSection>,
    /// What is learnt from.
    pub data: Vec<DataSource>,
    /// What the run is measured on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eval: Vec<DataSource>,
    /// How.
    pub train: TrainSection,
}

/// `[lora]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraSection {
    /// Rank of A and B.
    pub rank: usize,
    /// The product is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability of dropping an element of the input.
    #[serde(default)]
    pub dropout: f64,
    /// Which projections of every layer.
    #[serde(default = "attention")]
    pub targets: BTreeSet<Target>,
}

/// `[mole]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoleSection {
    /// How many experts.
    pub experts: usize,
    /// Rank of A and B.
    pub rank: usize,
    /// The product is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability of dropping an element of the input.
    #[serde(default)]
    pub dropout: f64,
    /// How an expert's output is weighted.
    #[serde(default = "hard")]
    pub gating: Gating,
    /// Weight of the balance loss.
    #[serde(default = "balance_weight")]
    pub balance_weight: f64,
    /// Over which tokens it pools.
    #[serde(default)]
    pub balance_scope: BalanceScope,
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// Optimizer steps; or `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Passes over as many samples as all datasets hold; or `steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Samples that go through the model at once.
    #[serde(default = "one")]
    pub micro_batch: usize,
    /// Micro-batches a step.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Learning rate.
    pub lr: f64,
    /// The projector's own learning rate; by default `lr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projector_lr: Option<f64>,
    /// The vision tower's own learning rate, where it is trained; by default `lr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision_lr: Option<f64>,
    /// Share of the steps in which the rate rises to its height.
    #[serde(default)]
    pub warmup_ratio: f64,
    /// How it falls afterwards.
    #[serde(default)]
    pub schedule: Schedule,
    /// AdamW's weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// The largest norm of all gradients together; 0 is off.
    #[serde(default = "grad_clip")]
    pub grad_clip: f64,
    /// Whether the backward pass computes each layer again, so that only the layers' inputs are kept until then.
    #[serde(default = "yes")]
    pub recompute: bool,
    /// The most tokens of a sample, patches of pictures included.
    #[serde(default = "max_length")]
    pub max_length: usize,
    /// Whether samples are shuffled.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// A checkpoint every so many steps; 0 only when the run ends or is stopped.
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: u64,
    /// How many checkpoints are kept.
    #[serde(default = "keep_checkpoints")]
    pub keep_checkpoints: usize,
    /// The loss on the `[[eval]]` datasets every so many steps; 0 is off.
    #[serde(default)]
    pub eval_every: u64,
    /// The most samples of each `[[eval]]` dataset; 0 is all.
    #[serde(default)]
    pub eval_samples: usize,
    /// Stop when so many evaluations in a row brought no better loss; 0 is off.
    #[serde(default)]
    pub early_stopping: u64,
}

fn finetune() -> Stage {
    Stage::Finetune
}
fn attention() -> BTreeSet<Target> {
    BTreeSet::from([Target::QProj, Target::KProj, Target::VProj, Target::OProj])
}
fn hard() -> Gating {
    Gating::Hard
}
fn balance_weight() -> f64 {
    0.01
}
fn one() -> usize {
    1
}
fn grad_clip() -> f64 {
    1.0
}
fn max_length() -> usize {
    2048
}
fn yes() -> bool {
    true
}
fn checkpoint_every() -> u64 {
    100
}
fn keep_checkpoints() -> usize {
    3
}

impl TrainConfig {
    /// Reads and checks a configuration. Relative paths in it are taken from its own folder.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Config`] with the line, or the field, its value and what is accepted.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        let mut config = Self::parse(&text, &path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for place in [&mut config.model, &mut config.output].into_iter().chain(&mut config.init_adapter) {
            *place = folder.join(&*place);
        }
        for sources in [&mut config.data, &mut config.eval] {
            *sources = std::mem::take(sources).into_iter().map(|source| source.relative_to(folder)).collect();
        }
        Ok(config)
    }

    /// Parses and checks a configuration; `file` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let refuse = |reason: String| Error::Config { file: file.to_string(), reason };
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let place = line.map_or(String::new(), |line| format!("line {line}: "));
            refuse(format!("{place}{}", error.message()))
        })?;
        config.check().map_err(refuse)?;
        Ok(config)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let train = &self.train;
        match (train.steps, train.epochs) {
            (Some(0), _) => return Err("train.steps is 0; 1 or more is accepted".to_string()),
            (Some(_), None) => {}
            (None, Some(epochs)) if epochs.is_finite() && epochs > 0.0 => {}
            (None, Some(epochs)) => return Err(format!("train.epochs is {epochs}; a number above 0 is accepted")),
            (Some(_), Some(_)) => return Err("train.steps and train.epochs are both there; keep one".to_string()),
            (None, None) => return Err("train.steps is missing (or train.epochs)".to_string()),
        }
        let counts = [
            ("micro_batch", train.micro_batch, 4096),
            ("accumulation", train.accumulation, 65_536),
            ("max_length", train.max_length, 1 << 22),
            ("keep_checkpoints", train.keep_checkpoints, 1_000_000),
        ];
        for (name, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(format!("train.{name} is {value}; 1 to {most} is accepted"));
            }
        }
        let rates = [
            ("lr", train.lr, 10.0),
            ("projector_lr", train.projector_lr.unwrap_or(0.0), 10.0),
            ("vision_lr", train.vision_lr.unwrap_or(0.0), 10.0),
            ("warmup_ratio", train.warmup_ratio, 1.0),
            ("weight_decay", train.weight_decay, 10.0),
            ("grad_clip", train.grad_clip, 1e9),
        ];
        for (name, value, most) in rates {
            if !(0.0..=most).contains(&value) {
                return Err(format!("train.{name} is {value}; 0 to {most} is accepted"));
            }
        }
        if let Some(mole) = &self.mole
            && !(0.0..=1e6).contains(&mole.balance_weight)
        {
            return Err(format!("mole.balance_weight is {}; 0 or more is accepted", mole.balance_weight));
        }
        if self.data.is_empty() {
            return Err("there is no [[data]]; name at least one dataset".to_string());
        }
        for (section, sources) in [("data", &self.data), ("eval", &self.eval)] {
            let mut names = BTreeSet::new();
            if let Some(twice) = sources.iter().find(|source| !names.insert(&source.name)) {
                return Err(format!("two [[{section}]] are called {:?}; give each a name of its own", twice.name));
            }
        }
        if self.from_scratch && self.stage != Stage::Full {
            return Err("from_scratch draws every weight anew, which only stage = \"full\" trains".to_string());
        }
        if train.early_stopping > 0 && (train.eval_every == 0 || self.eval.is_empty()) {
            return Err("train.early_stopping needs train.eval_every and an [[eval]] dataset".to_string());
        }
        if let Some(source) = self.data.iter().find(|source| !(source.weight.is_finite() && source.weight > 0.0)) {
            return Err(format!(
                "weight of [[data]] {:?} is {}; a number above 0 is accepted (leave out a dataset that is not wanted)",
                source.name, source.weight
            ));
        }
        match self.stage {
            Stage::Finetune if self.lora.is_none() && self.mole.is_none() => {
                Err("stage \"finetune\" needs [lora], [mole] or both".to_string())
            }
            Stage::Full | Stage::Projector if self.lora.is_some() || self.mole.is_some() => Err(format!(
                "stage \"{}\" trains no LoRA and no experts; take [lora] and [mole] out, or set stage = \"finetune\"",
                if self.stage == Stage::Full { "full" } else { "projector" }
            )),
            Stage::Full if self.init_adapter.is_some() => {
                Err("stage \"full\" starts from a checkpoint alone; take init_adapter out".to_string())
            }
            _ => self.adapter().check(),
        }
    }

    /// The adapter that the run makes.
    pub fn adapter(&self) -> AdapterConfig {
        let mole = self.mole.as_ref().map(|mole| MoleConfig {
            experts: mole.experts,
            rank: mole.rank,
            alpha: mole.alpha,
            dropout: mole.dropout,
            gating: mole.gating,
        });
        let lora = match (&self.lora, &mole) {
            (Some(lora), _) => {
                LoraConfig { rank: lora.rank, alpha: lora.alpha, dropout: lora.dropout, targets: lora.targets.clone() }
            }
            // Without targets the numbers mean nothing, but the file's format wants them.
            (None, Some(mole)) => {
                LoraConfig { rank: mole.rank, alpha: mole.alpha, dropout: mole.dropout, targets: BTreeSet::new() }
            }
            (None, None) => LoraConfig { rank: 1, alpha: 1.0, dropout: 0.0, targets: BTreeSet::new() },
        };
        AdapterConfig { base_model: self.model.display().to_string(), lora, mole }
    }

    /// Samples a step.
    pub fn window(&self) -> usize {
        self.train.micro_batch * self.train.accumulation
    }

    /// Steps of the run, when its datasets hold `samples` in all.
    pub fn steps(&self, samples: usize) -> u64 {
        match (self.train.steps, self.train.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => (epochs.unwrap_or(1.0) * samples as f64 / self.window() as f64).ceil() as u64,
        }
    }
}
