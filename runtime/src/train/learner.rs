//! One optimizer step over a window of samples: gradients, clipping, the guard against numbers that are none.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::config::{BalanceScope, Stage, TrainConfig};
use super::gradients::GradientStore;
use super::optimizer::{Optimizer, Rates};
use super::step::{HostLosses, LoadedSample, Objective};
use super::window::{MicroBatch, Workers};
use crate::error::Result;
use crate::model::{Llava, ParameterVisitor, Parameters};

/// A model and what changes it.
pub struct Learner {
    /// The model.
    pub model: Llava,
    /// AdamW.
    pub optimizer: Optimizer,
    settings: Settings,
    workers: Workers,
}

/// What a learner takes from the configuration.
#[derive(Clone, Copy, Debug)]
struct Settings {
    stage: Stage,
    balance: Option<(f64, BalanceScope)>,
    micro_batch: usize,
    grad_clip: f64,
    recompute: bool,
    seed: u64,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// The language loss with the balance loss, as it was minimised.
    pub loss: f64,
    /// Mean over the window's supervised tokens.
    pub lm_loss: f64,
    /// Mean over the window's samples, without its weight; `None` without experts.
    pub balance_loss: Option<f64>,
    /// Of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Positions that went through the model.
    pub tokens: usize,
    /// Tokens that were learnt from.
    pub supervised_tokens: usize,
    /// `[layer][expert]`: fractions of the window's tokens; empty without experts.
    pub expert_load: Vec<Vec<f32>>,
    /// The same by the number of the dataset.
    pub load_by_dataset: BTreeMap<usize, Vec<Vec<f32>>>,
    /// The language loss by the number of the dataset.
    pub loss_by_dataset: BTreeMap<usize, f64>,
    /// Whether the weights were changed: not where a number was not finite.
    pub applied: bool,
}

impl Learner {
    /// Takes a model that has what the stage trains: an adapter for `finetune`, weights in f32 for `full`.
    pub fn new(model: Llava, config: &TrainConfig) -> Self {
        let settings = Settings {
            stage: config.stage,
            balance: config.mole.as_ref().map(|mole| (mole.balance_weight, mole.balance_scope)),
            micro_batch: config.train.micro_batch,
            grad_clip: config.train.grad_clip,
            recompute: config.train.recompute,
            seed: config.seed,
        };
        let workers = Workers::new(model.device());
        Self { model, optimizer: Optimizer::new(config.train.weight_decay), settings, workers }
    }

    /// Shows every trained parameter.
    pub fn visit(&mut self, visitor: &mut impl ParameterVisitor) {
        visit_trained(&mut self.model, self.settings.stage, visitor);
    }

    /// The gradients of a window, and its losses; `None` if `on_micro_batch`, asked before each, stopped it.
    ///
    /// # Errors
    /// A sample that does not fit the model, or a device that fails.
    pub async fn gradients(
        &self,
        window: &[LoadedSample],
        step: u64,
        on_micro_batch: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<(GradientStore, Vec<HostLosses>)>> {
        let Settings { stage, balance, micro_batch, recompute, seed, .. } = self.settings;
        let supervised_tokens = window.iter().map(|sample| sample.tokens.supervised_tokens()).sum();
        let objective = Objective { stage, balance, recompute, supervised_tokens, samples: window.len() };
        let micro_batches = window.chunks(micro_batch).enumerate().map(|(index, samples)| {
            // The first sample's number in the run: another seed for every micro-batch of every step.
            let draw = step * window.len() as u64 + (index * micro_batch) as u64;
            (samples, seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ draw)
        });
        let micro_batches: Vec<MicroBatch<'_>> = micro_batches.collect();
        let computed = self.workers.accumulate(&self.model, &micro_batches, &objective, on_micro_batch)?;
        let Some((store, pending)) = computed else { return Ok(None) };
        let mut losses = Vec::with_capacity(pending.len());
        for micro in pending {
            losses.push(micro.read().await?);
        }
        Ok(Some((store, losses)))
    }

    /// Learns from a window; `None` if `on_micro_batch`, asked before each, stopped it: then nothing was changed.
    ///
    /// # Errors
    /// As [`Learner::gradients`].
    pub async fn step(
        &mut self,
        window: &[LoadedSample],
        step: u64,
        rates: Rates,
        on_micro_batch: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<StepReport>> {
        let Some((gradients, losses)) = self.gradients(window, step, on_micro_batch).await? else { return Ok(None) };
        let mut report = summary(window, &losses, self.settings);
        report.grad_norm = gradients.norm().await?;
        report.applied = report.loss.is_finite() && report.grad_norm.is_finite();
        if report.applied {
            let clip = self.settings.grad_clip;
            let scale = if clip > 0.0 { (clip / (report.grad_norm + 1e-6)).min(1.0) } else { 1.0 };
            let mut step = self.optimizer.step(&gradients, rates, scale);
            visit_trained(&mut self.model, self.settings.stage, &mut step);
        }
        Ok(Some(report))
    }
}

/// Shows the parameters that a stage trains.
fn visit_trained(model: &mut Llava, stage: Stage, visitor: &mut impl ParameterVisitor) {
    match stage {
        Stage::Projector => {}
        Stage::Finetune => model.text.visit(Parameters::Adapters, visitor),
        Stage::Full => {
            model.text.visit(Parameters::Weights, visitor);
            model.vision.visit(visitor);
        }
    }
    model.projector.visit(visitor);
}

fn summary(window: &[LoadedSample], losses: &[HostLosses], settings: Settings) -> StepReport {
    let mut report = StepReport::default();
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    let mut loads: BTreeMap<usize, (usize, Vec<Vec<f64>>)> = BTreeMap::new();
    let (mut total, mut balance) = (0.0, 0.0);
    for (samples, losses) in window.chunks(settings.micro_batch).zip(losses) {
        let mut token_losses = losses.token_losses.iter();
        for (index, sample) in samples.iter().enumerate() {
            let supervised = sample.tokens.supervised_tokens();
            let sum: f64 = token_losses.by_ref().take(supervised).map(|&loss| f64::from(loss)).sum();
            total += sum;
            let of_dataset = sums.entry(sample.dataset).or_default();
            *of_dataset = (of_dataset.0 + sum, of_dataset.1 + supervised);
            report.supervised_tokens += supervised;
            balance += losses.balance_losses.get(index).map_or(0.0, |&loss| f64::from(loss));
            let tokens = sample.positions();
            report.tokens += tokens;
            let (of_dataset, load) = loads.entry(sample.dataset).or_default();
            *of_dataset += tokens;
            load.resize(losses.fractions.len(), Vec::new());
            for (sums, layer) in load.iter_mut().zip(&losses.fractions) {
                sums.resize(layer[index].len(), 0.0);
                for (sum, fraction) in sums.iter_mut().zip(&layer[index]) {
                    *sum += f64::from(*fraction) * tokens as f64;
                }
            }
        }
    }
    report.lm_loss = total / report.supervised_tokens as f64;
    report.loss = report.lm_loss;
    if let Some((weight, _)) = settings.balance {
        let mean = balance / window.len() as f64;
        report.balance_loss = Some(mean);
        report.loss += weight * mean;
    }
    report.loss_by_dataset = sums.into_iter().map(|(dataset, (sum, count))| (dataset, sum / count as f64)).collect();
    let fractions = |sums: &[Vec<f64>], tokens: usize| -> Vec<Vec<f32>> {
        sums.iter().map(|layer| layer.iter().map(|sum| (sum / tokens as f64) as f32).collect()).collect()
    };
    let mut all: Vec<Vec<f64>> = Vec::new();
    for (_, sums) in loads.values() {
        all.resize(sums.len(), Vec::new());
        for (all, sums) in all.iter_mut().zip(sums) {
            all.resize(sums.len(), 0.0);
            all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
        }
    }
    report.expert_load = fractions(&all, report.tokens);
    let by_dataset = loads.iter().filter(|(_, (_, sums))| !sums.is_empty());
    report.load_by_dataset = by_dataset.map(|(&dataset, (tokens, sums))| (dataset, fractions(sums, *tokens))).collect();
    report
}
