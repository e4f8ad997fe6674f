//! A run: data checked, checkpoints found, then step after step.

mod evaluate;
mod prepare;
mod result;

pub use prepare::{RunParts, Start, TrainRequest};

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use web_time::Instant;

use super::checkpoint::{self, RunState, Saved};
use super::config::TrainConfig;
use super::files;
use super::learner::{Learner, StepReport};
use super::metrics::{EvalMetrics, MetricsFile, StepMetrics};
use super::optimizer::{Moments, Rates};
use super::snapshot::Snapshot;
use super::step::LoadedSample;
use crate::data::{Dataset, Encoder, Mixture, Prefetch, Progress, Report};
use crate::error::{Error, Result};
use crate::image::Preprocessor;
use crate::model::adapter::{Adapter, AdapterConfig};
use crate::model::{Llava, LlavaConfig};

/// So many steps in a row without a finite loss and gradient end a run.
const MAX_SKIPPED_IN_A_ROW: u64 = 10;

/// Samples read ahead, at most.
const MAX_READ_AHEAD: usize = 64;

/// How much of the last steps' routing is kept when a new one comes.
const ROUTING_MEMORY: f32 = 0.95;

/// What a run tells.
#[derive(Clone, Debug)]
pub enum TrainEvent {
    /// How far the check of the data is.
    Checking(Progress),
    /// The data are good, or good enough.
    Checked(Report),
    /// Something that a person should know.
    Note(String),
    /// The first step comes next.
    Started {
        /// Steps done before, by a run that is taken up again.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Parameters that are trained.
        trained_parameters: u64,
    },
    /// A step is done.
    Step(Box<StepMetrics>),
    /// The held-out data were measured.
    Evaluated(EvalMetrics),
    /// A checkpoint is complete.
    Saved(PathBuf),
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The run's folder.
    pub output: PathBuf,
    /// The adapter's or the model's folder; `None` where the run was stopped before its end.
    pub result: Option<PathBuf>,
    /// Steps done.
    pub step: u64,
    /// Steps skipped because a number was not finite.
    pub skipped: u64,
    /// Where tokens went in the last steps, by dataset: `[layer][expert]`.
    pub routing: BTreeMap<String, Vec<Vec<f32>>>,
}

/// A run whose data were checked.
pub struct Run {
    config: TrainConfig,
    /// What the run's adapter is made of.
    adapter: AdapterConfig,
    model: LlavaConfig,
    datasets: Arc<Vec<Dataset>>,
    eval: Vec<Dataset>,
    encoder: Arc<Encoder>,
    preprocessor: Arc<Preprocessor>,
    mixture: Mixture,
    base_files: Vec<(String, Vec<u8>)>,
    /// What the run starts from.
    init: Option<Adapter>,
    saved: Option<Saved>,
    start: Start,
    /// Held for as long as the run may write into its folder.
    _lock: Option<std::fs::File>,
    /// Positions of the longest sample.
    pub longest: usize,
    steps: u64,
    state: RunState,
}

/// What the caller is told, and asked whether to go on.
pub type OnEvent<'a> = dyn FnMut(Option<TrainEvent>) -> ControlFlow<()> + 'a;

impl Run {
    /// Trains the model. `on_event` is called with every event, and with none before each micro-batch; to break is to
    /// save a checkpoint and leave.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk fails, [`Error::Data`] where a sample is gone that was there, [`Error::Training`] where
    /// numbers stay not finite, and a device that fails. The last checkpoint is intact, and what was learnt since then is
    /// saved too where that is possible.
    pub async fn train(mut self, model: Llava, on_event: &mut OnEvent<'_>) -> Result<Finished> {
        let mut learner = self.learner(model)?;
        let trained_parameters = super::estimate::trained_parameters(&self.config, &self.model);
        let mut metrics =
            MetricsFile::open(&self.config.output.join("metrics.jsonl"), self.state.step, self.state.measured_at)?;
        let (step, steps) = (self.state.step, self.steps);
        let _ = on_event(Some(TrainEvent::Started { step, steps, trained_parameters }));
        let mut saved_at = self.saved.as_ref().map(|saved| saved.state.step);

        let result = self.steps(&mut learner, &mut metrics, &mut saved_at, on_event).await;
        // Whatever ended the run: what was learnt is kept. A failed device has nothing more to give.
        if saved_at != Some(self.state.step) && self.state.step > 0 && !matches!(result, Err(Error::Device(_))) {
            self.save(&mut learner, on_event).await?;
        }
        let complete = result?;
        let result = if complete { Some(self.write_result(&mut learner).await?) } else { None };
        let RunState { step, skipped, routing, .. } = self.state;
        Ok(Finished { output: self.config.output, result, step, skipped, routing })
    }

    /// All steps that are left; whether the run came to its end.
    async fn steps(
        &mut self,
        learner: &mut Learner,
        metrics: &mut MetricsFile,
        saved_at: &mut Option<u64>,
        on_event: &mut OnEvent<'_>,
    ) -> Result<bool> {
        let train = self.config.train.clone();
        let window = self.config.window();
        let mut samples = self.prefetch();
        let mut skipped_in_a_row = 0;
        // A run that was stopped while it was measured owes that still.
        if self.measures_now() && self.state.measured_at != Some(self.state.step) {
            if self.measure(learner, metrics, on_event).await?.is_break() {
                return Ok(false);
            }
            self.save(learner, on_event).await?;
        }
        while self.state.step < self.steps {
            if train.early_stopping > 0 && self.state.evals_since_best >= train.early_stopping {
                let since = self.state.evals_since_best;
                let note = format!("stopping early: {since} evaluations brought no better loss");
                let _ = on_event(Some(TrainEvent::Note(note)));
                return Ok(true);
            }
            let started = Instant::now();
            let loaded = (0..window).map(|_| samples.next()).collect::<Result<Vec<_>>>()?;
            let rates = self.rates();
            let mut go_on = || on_event(None);
            let Some(report) = learner.step(&loaded, self.state.step, rates, &mut go_on).await? else {
                return Ok(false);
            };
            self.state.step += 1;
            self.state.samples_drawn += window as u64;
            skipped_in_a_row = if report.applied { 0 } else { skipped_in_a_row + 1 };
            self.state.skipped += u64::from(!report.applied);
            self.remember_routing(&report);
            let line = self.metrics(report, rates, started.elapsed().as_secs_f64());
            metrics.append(&line)?;
            let stop = on_event(Some(TrainEvent::Step(Box::new(line)))).is_break();
            if skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW {
                return Err(Error::Training(format!(
                    "the loss or its gradient was not finite in {skipped_in_a_row} steps in a row (the last is step {}); \
                     the weights are as before them: lower train.lr, or look at those samples",
                    self.state.step
                )));
            }
            if self.measures_now() && self.measure(learner, metrics, on_event).await?.is_break() {
                return Ok(false);
            }
            let last = self.state.step == self.steps;
            if last || (train.checkpoint_every > 0 && self.state.step.is_multiple_of(train.checkpoint_every)) {
                self.save(learner, on_event).await?;
                *saved_at = Some(self.state.step);
            }
            if stop && !last {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the held-out data are to be measured after the step that is done.
    fn measures_now(&self) -> bool {
        let every = self.config.train.eval_every;
        self.state.step > 0 && every > 0 && self.state.step.is_multiple_of(every) && !self.eval.is_empty()
    }

    /// Measures the held-out data; to break is to have been stopped in their middle.
    async fn measure(
        &mut self,
        learner: &mut Learner,
        metrics: &mut MetricsFile,
        on_event: &mut OnEvent<'_>,
    ) -> Result<ControlFlow<()>> {
        let Some(measured) = self.evaluate(learner, on_event).await? else { return Ok(ControlFlow::Break(())) };
        self.state.measured_at = Some(self.state.step);
        metrics.append(&measured)?;
        // Whoever wants to stop now is asked again before the next micro-batch.
        let _ = on_event(Some(TrainEvent::Evaluated(measured)));
        Ok(ControlFlow::Continue(()))
    }

    /// Reads samples ahead, from the first that is not learnt yet.
    fn prefetch(&self) -> Prefetch<LoadedSample> {
        let (datasets, mixture) = (Arc::clone(&self.datasets), self.mixture.clone());
        let (encoder, preprocessor) = (Arc::clone(&self.encoder), Arc::clone(&self.preprocessor));
        let load = move |draw: u64| {
            let (dataset, index) = mixture.draw(draw);
            load(&datasets[dataset], dataset, index, &encoder, &preprocessor)
        };
        Prefetch::new(self.state.samples_drawn, self.config.window().min(MAX_READ_AHEAD), load)
    }

    fn rates(&self) -> Rates {
        let train = &self.config.train;
        let factor = train.schedule.factor(self.state.step, self.steps, train.warmup_ratio);
        let of = |own: Option<f64>| own.unwrap_or(train.lr) * factor;
        Rates { lr: train.lr * factor, projector_lr: of(train.projector_lr), vision_lr: of(train.vision_lr) }
    }

    fn metrics(&self, report: StepReport, rates: Rates, seconds: f64) -> StepMetrics {
        let name = |dataset: usize| self.datasets[dataset].name().to_string();
        StepMetrics {
            step: self.state.step,
            loss: report.loss,
            lm_loss: report.lm_loss,
            balance_loss: report.balance_loss.unwrap_or(0.0),
            lr: rates.lr,
            projector_lr: rates.projector_lr,
            grad_norm: report.grad_norm,
            tokens: report.tokens,
            supervised_tokens: report.supervised_tokens,
            tokens_per_second: report.tokens as f64 / seconds.max(1e-9),
            expert_load: report.expert_load,
            by_data: report.loss_by_dataset.into_iter().map(|(dataset, loss)| (name(dataset), loss)).collect(),
            skipped: !report.applied,
        }
    }

    fn remember_routing(&mut self, report: &StepReport) {
        for (&dataset, load) in &report.load_by_dataset {
            let name = self.datasets[dataset].name().to_string();
            let known = self.state.routing.entry(name).or_insert_with(|| load.clone());
            for (known, new) in known.iter_mut().flatten().zip(load.iter().flatten()) {
                *known = ROUTING_MEMORY * *known + (1.0 - ROUTING_MEMORY) * new;
            }
        }
    }

    async fn save(&mut self, learner: &mut Learner, on_event: &mut OnEvent<'_>) -> Result<()> {
        let mut moments = Snapshot::default();
        self.state.optimizer_steps.clear();
        for (name, Moments { time, first, second }) in &learner.optimizer.moments {
            self.state.optimizer_steps.insert(name.clone(), *time);
            moments.add(format!("first.{name}"), first.clone());
            moments.add(format!("second.{name}"), second.clone());
        }
        let mut tensors = self.trained_files(learner).await?;
        tensors.push(("optimizer.safetensors", moments.into_safetensors().await?));
        let keep = self.config.train.keep_checkpoints;
        let path = checkpoint::write(&self.config.output, &self.state, tensors, keep)?;
        let _ = on_event(Some(TrainEvent::Saved(path)));
        Ok(())
    }
}

/// Reads one sample and its pictures.
fn load(
    data: &Dataset,
    dataset: usize,
    index: usize,
    encoder: &Encoder,
    preprocessor: &Preprocessor,
) -> Result<LoadedSample> {
    let tokens = encoder.encode(&data.sample(index)?)?;
    let pixels = data.pixels(&tokens, preprocessor)?;
    Ok(LoadedSample { dataset, tokens, pixels, patches_per_image: encoder.patches_per_image })
}

/// Makes the run's folder, or sweeps what an interrupted run left in it.
///
/// What is returned is a lock on the folder, held while it is kept: two runs would sweep away each other's checkpoints.
fn open_output(config: &TrainConfig) -> Result<Option<std::fs::File>> {
    files::make_folder(&config.output)?;
    // Elsewhere a folder cannot be opened as a file, and some file systems have no locks: the run goes without.
    let lock = std::fs::File::open(&config.output).ok();
    if let Some(Err(std::fs::TryLockError::WouldBlock)) = lock.as_ref().map(std::fs::File::try_lock) {
        return Err(Error::Training(format!(
            "another run is writing into {}; wait for it, or name another output",
            config.output.display()
        )));
    }
    files::sweep(&config.output)?;
    Ok(lock)
}
