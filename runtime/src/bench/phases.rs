//! Phase after phase: time, share of the ceiling, dispatches, the host's time for them, memory.

use super::report::{Bound, PhaseReport};
use super::rounds::{Sample, median, repeat};
use super::work::{Replies, Training, pixels, supervised};
use super::{AdapterShape, Cost, Costs, KernelTimes, Phase, Settings};
use crate::device::{ComputeDevice, Elapsed, KernelTime, count_dispatches, time_kernels};
use crate::error::Result;
use crate::model::{Llava, PREFILL_CHUNK, Precision};

/// Times that the host's encoding is measured.
const ENCODINGS: usize = 3;

/// Steps whose encoding is measured together.
const ENCODED_STEPS: usize = 4;

/// All phases that `settings` names.
///
/// # Errors
/// A device that fails.
pub fn measure(
    device: &ComputeDevice,
    model: &Llava,
    precision: Precision,
    settings: &Settings,
    on_note: &mut dyn FnMut(&str),
) -> Result<Vec<PhaseReport>> {
    let bench = Bench { device, model, settings, costs: Costs::new(&model.config, precision) };
    let phases = settings.phases.iter().map(|&phase| {
        on_note(phase.name());
        match (phase, phase.adapter()) {
            (Phase::Clip, _) => bench.clip(),
            (Phase::Prefill, _) => bench.prefill(),
            (_, Some(adapter)) => bench.train(phase, adapter),
            (_, None) => bench.decode(),
        }
    });
    phases.collect()
}

struct Bench<'a> {
    device: &'a ComputeDevice,
    model: &'a Llava,
    settings: &'a Settings,
    costs: Costs<'a>,
}

/// Launches of a phase, and the host's time for them.
struct Launches {
    /// Of the whole phase.
    dispatches: u64,
    /// Of the same with one layer less, where there is more than one.
    one_layer_less: Option<u64>,
    layers: usize,
    /// The host's seconds for all of them.
    encoding: f64,
    /// Kernel by kernel, where that is asked for.
    kernel_times: Vec<KernelTime>,
}

/// What repeated rounds of a phase took.
struct Timed {
    time: Sample,
    peak_bytes: u64,
}

impl Bench<'_> {
    fn clip(&self) -> Result<PhaseReport> {
        let (device, config) = (self.device, &self.model.config);
        let pixels = pixels(device, config);
        let timed = self.timed(|| Ok(device.timed(|| drop(self.model.encode_images(pixels.clone())))?.1))?;
        let layers = config.num_vision_layers_used();
        let launches = self.launches(layers, |layers| {
            let model = self.model.first_layers(usize::MAX, layers);
            let pixels = pixels.clone();
            Ok(move || {
                drop(model.encode_images(pixels.clone()));
                Ok(())
            })
        })?;
        Ok(self.report(Phase::Clip, timed, config.image_seq_len(), self.costs.clip(), launches))
    }

    fn prefill(&self) -> Result<PhaseReport> {
        let tokens = self.settings.prompt;
        let mut replies = Replies::new(self.model);
        let timed = self.timed(|| replies.timed_prefill(self.device, tokens))?;
        let launches = self.launches(self.layers(), |layers| {
            let mut replies = Replies::new(&self.model.first_layers(layers, usize::MAX));
            Ok(move || replies.prefill(tokens))
        })?;
        // A longer prompt waits for the device between its pieces.
        let launches = if tokens > PREFILL_CHUNK {
            let mut piece = Replies::new(self.model);
            Launches { encoding: self.encoding(|| piece.prefill(PREFILL_CHUNK))?, ..launches }
        } else {
            launches
        };
        Ok(self.report(Phase::Prefill, timed, tokens, self.costs.prefill(tokens), launches))
    }

    fn decode(&self) -> Result<PhaseReport> {
        let Settings { context, steps, .. } = *self.settings;
        let mut replies = Replies::new(self.model);
        let timed = self.timed(|| replies.decode(self.device, context, steps))?;
        let timed = Timed { time: timed.time.each(steps), ..timed };
        // The pass that ends the prompt and the step behind it are not counted: they may prepare what later steps repeat.
        let count = |model: &Llava| -> Result<(u64, Vec<KernelTime>)> {
            let mut replies = Replies::new(model);
            let mut decoder = replies.decoder(context, 2)?;
            // The step that later ones repeat is launched kernel by kernel.
            let kernel_times = self.kernel_times(|| decoder.advance().map(drop))?;
            let (step, dispatches) = count_dispatches(|| decoder.advance().map(drop));
            step.map(|()| (dispatches, kernel_times))
        };
        let layers = self.layers();
        let one_layer_less = match layers {
            1 => None,
            _ => Some(count(&self.model.first_layers(layers - 1, usize::MAX))?.0),
        };
        let (dispatches, kernel_times) = count(self.model)?;
        let mut seconds = Vec::with_capacity(ENCODINGS);
        for _ in 0..ENCODINGS {
            let mut decoder = replies.decoder(context, ENCODED_STEPS + 1)?;
            drop(decoder.advance()?);
            // Kept until the time is taken: dropping one waits for it.
            let steps = || (0..ENCODED_STEPS).map(|_| decoder.advance()).collect::<Result<Vec<_>>>();
            let (launched, encoded) = self.device.encoding_time(steps)?;
            launched?;
            seconds.push(encoded);
        }
        let encoding = median(seconds) / ENCODED_STEPS as f64;
        let launches = Launches { dispatches, one_layer_less, layers, encoding, kernel_times };
        Ok(self.report(Phase::Decode, timed, 1, self.costs.decode(context), launches))
    }

    fn train(&self, phase: Phase, adapter: AdapterShape) -> Result<PhaseReport> {
        let tokens = self.settings.prompt;
        let mut training = Training::new(self.model, adapter, tokens);
        let timed = self.timed(|| training.step(self.device))?;
        let dispatches = count_dispatches(|| training.once());
        dispatches.0?;
        let kernel_times = self.kernel_times(|| training.once())?;
        // The gradients alone: a step waits for its losses before the weights change.
        let gradients = count_dispatches(|| training.launch_gradients()).1.max(1);
        let encoding = self.encoding(|| training.launch_gradients())? / gradients as f64 * dispatches.1 as f64;
        drop(training);
        let one_layer_less = match self.layers() {
            1 => None,
            layers => {
                let fewer = self.model.first_layers(layers - 1, usize::MAX);
                let mut training = Training::new(&fewer, adapter, tokens);
                training.once()?;
                let counted = count_dispatches(|| training.once());
                counted.0?;
                Some(counted.1)
            }
        };
        let launches =
            Launches { dispatches: dispatches.1, one_layer_less, layers: self.layers(), encoding, kernel_times };
        let cost = self.costs.train(tokens, supervised(tokens), adapter);
        Ok(self.report(phase, timed, tokens, cost, launches))
    }

    fn layers(&self) -> usize {
        self.model.text.layers.len()
    }

    /// Counts and times the launches of what `with_layers` makes for so many layers.
    fn launches<W: FnMut() -> Result<()>>(
        &self,
        layers: usize,
        with_layers: impl Fn(usize) -> Result<W>,
    ) -> Result<Launches> {
        let count = |layers: usize| -> Result<(W, u64)> {
            let mut work = with_layers(layers)?;
            work()?;
            let (done, dispatches) = count_dispatches(&mut work);
            done.map(|()| (work, dispatches))
        };
        let (mut work, dispatches) = count(layers)?;
        let kernel_times = self.kernel_times(&mut work)?;
        let one_layer_less = if layers > 1 { Some(count(layers - 1)?.1) } else { None };
        Ok(Launches { dispatches, one_layer_less, layers, encoding: self.encoding(work)?, kernel_times })
    }

    /// What each kernel of `work` takes, where that is asked for; else `work` is done all the same.
    fn kernel_times(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<KernelTime>> {
        if self.settings.kernel_times == KernelTimes::LeftOut {
            return work().map(|()| Vec::new());
        }
        let (done, times) = time_kernels(work);
        self.device.wait()?;
        done.map(|()| times)
    }

    /// The host's time for what `work` launches, in seconds.
    fn encoding(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        let mut seconds = Vec::with_capacity(ENCODINGS);
        for _ in 0..ENCODINGS {
            let (done, encoded) = self.device.encoding_time(&mut work)?;
            done?;
            seconds.push(encoded);
        }
        Ok(median(seconds))
    }

    /// The time of `work` and the memory that was held for it, and for nothing else.
    fn timed(&self, work: impl FnMut() -> Result<Elapsed>) -> Result<Timed> {
        self.device.forget_peak();
        let time = repeat(self.settings.rounds, work)?;
        Ok(Timed { time, peak_bytes: self.device.held_bytes() })
    }

    fn report(&self, name: Phase, timed: Timed, tokens: usize, cost: Cost, launches: Launches) -> PhaseReport {
        let Launches { dispatches, one_layer_less, layers, encoding, kernel_times } = launches;
        let Timed { time, peak_bytes } = timed;
        let per_layer = match one_layer_less {
            Some(fewer) => dispatches as f64 - fewer as f64,
            None => dispatches as f64 / layers as f64,
        };
        PhaseReport {
            name,
            time,
            tokens_per_second: tokens as f64 / time.seconds,
            cost,
            share_of_ceiling: 0.0,
            bound: Bound::Memory,
            dispatches,
            dispatches_per_layer: per_layer,
            cpu_us_per_dispatch: if dispatches == 0 { 0.0 } else { 1e6 * encoding / dispatches as f64 },
            peak_memory_bytes: peak_bytes,
            kernel_times,
        }
    }
}
