//! Ratios of times, from rounds in which the two take turns.
//!
//! `clip`, `prefill` and `decode` are burn's own operations over ours; `a/b` is the time of a over that of b.

use serde::Serialize;

use super::cost::AdapterShape;
use super::generic::{Generic, dtype};
use super::rounds::{Contender, in_turn};
use super::work::{RANK, Replies, Training, adapted, pixels, text};
use super::{Phase, Settings};
use crate::device::{ComputeDevice, Elapsed};
use crate::error::Result;
use crate::model::{Llava, Precision};
use crate::ops::Kernels;

/// So many layers tell what the number of experts costs; sixteen experts on all of a large model are larger than it.
const EXPERT_LAYERS: usize = 4;

/// One time over another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// What is compared.
    pub name: &'static str,
    /// How many times as long the first takes.
    pub ratio: f64,
    /// How long that is: of a picture, a prompt, a training step, or the tokens of a round.
    pub seconds: f64,
}

/// Everything that is compared of the phases in `settings`.
///
/// # Errors
/// A device that fails.
pub fn compare(device: &ComputeDevice, model: &Llava, precision: Precision, settings: &Settings) -> Result<Vec<Ratio>> {
    let generic = Generic::new(&model.config, dtype(device, precision), device);
    let comparison = Comparison { device, model, settings };
    let mut ratios = Vec::new();
    if settings.measures(Phase::Clip) {
        ratios.extend(comparison.clip(&generic)?);
    }
    if settings.measures(Phase::Prefill) {
        ratios.extend(comparison.prefill(&generic)?);
    }
    if settings.measures(Phase::Decode) {
        ratios.extend(comparison.decode(&generic)?);
    }
    drop(generic);
    if settings.measures(Phase::Decode) {
        ratios.extend(comparison.adapted_decode()?);
    }
    if settings.measures(Phase::TrainLora) && settings.measures(Phase::TrainMole) {
        ratios.extend(comparison.training()?);
    }
    Ok(ratios)
}

struct Comparison<'a> {
    device: &'a ComputeDevice,
    model: &'a Llava,
    settings: &'a Settings,
}

impl Comparison<'_> {
    /// The first contender is what the others are divided by; each ratio bears its contender's name.
    fn ratios(&self, mut contenders: Vec<Contender<'_>>) -> Result<Vec<Ratio>> {
        let medians = in_turn(self.settings.rounds, &mut contenders)?;
        let others = contenders.iter().zip(&medians).skip(1);
        Ok(others
            .map(|(contender, median)| Ratio { name: contender.name, ratio: median / medians[0], seconds: *median })
            .collect())
    }

    fn clip(&self, generic: &Generic) -> Result<Vec<Ratio>> {
        let Self { device, model, .. } = *self;
        let pixels = pixels(device, &model.config);
        self.ratios(vec![
            contender("ours", || Ok(device.timed(|| drop(model.encode_images(pixels.clone())))?.1)),
            contender("clip", || Ok(device.timed(|| drop(generic.clip()))?.1)),
        ])
    }

    fn prefill(&self, generic: &Generic) -> Result<Vec<Ratio>> {
        let Self { device, model, settings } = *self;
        let (mut ours, mut plain) = (Replies::new(model), Replies::new(model));
        let ids = text(&model.config, settings.prompt, 0);
        let mut cache = generic.cache(settings.prompt);
        self.ratios(vec![
            contender("ours", || ours.timed_prefill(device, settings.prompt)),
            contender("prefill", || generic.prefill(device, &ids, &mut cache)),
            contender("prefill_plain/prefill", || plainly(|| plain.timed_prefill(device, settings.prompt))),
        ])
    }

    fn decode(&self, generic: &Generic) -> Result<Vec<Ratio>> {
        let Self { device, model, settings } = *self;
        let (context, steps) = (settings.context, settings.steps);
        let (mut ours, mut plain) = (Replies::new(model), Replies::new(model));
        let mut cache = generic.cache(context + steps);
        self.ratios(vec![
            contender("ours", || ours.decode(device, context, steps)),
            contender("decode", || generic.decode(device, context, steps, &mut cache)),
            contender("decode_plain/decode", || plainly(|| plain.decode(device, context, steps))),
        ])
    }

    fn adapted_decode(&self) -> Result<Vec<Ratio>> {
        let Self { device, model, settings } = *self;
        let (context, steps) = (settings.context, settings.steps);
        let replies = |model, experts| Replies::new(&adapted(model, AdapterShape { rank: RANK, experts }));
        let (mut lora, mut mole) = (replies(model, None), replies(model, Some(3)));
        let mut ratios = self.ratios(vec![
            contender("decode_lora", || lora.decode(device, context, steps)),
            contender("decode_mole/decode_lora", || mole.decode(device, context, steps)),
        ])?;
        drop((lora, mole));
        let few = model.first_layers(EXPERT_LAYERS, usize::MAX);
        let (mut two, mut sixteen) = (replies(&few, Some(2)), replies(&few, Some(16)));
        ratios.extend(self.ratios(vec![
            contender("decode_experts_2", || two.decode(device, context, steps)),
            contender("decode_experts_16/decode_experts_2", || sixteen.decode(device, context, steps)),
        ])?);
        Ok(ratios)
    }

    fn training(&self) -> Result<Vec<Ratio>> {
        let Self { device, model, settings } = *self;
        let training = |model, experts| Training::new(model, AdapterShape { rank: RANK, experts }, settings.prompt);
        let (mut lora, mut mole) = (training(model, None), training(model, Some(3)));
        let mut ratios = self.ratios(vec![
            contender("train_lora", || lora.step(device)),
            contender("train_mole/train_lora", || mole.step(device)),
        ])?;
        drop((lora, mole));
        let few = model.first_layers(EXPERT_LAYERS, usize::MAX);
        let (mut two, mut sixteen) = (training(&few, Some(2)), training(&few, Some(16)));
        ratios.extend(self.ratios(vec![
            contender("experts_2", || two.step(device)),
            contender("experts_16/experts_2", || sixteen.step(device)),
        ])?);
        Ok(ratios)
    }
}

fn contender<'a>(name: &'static str, work: impl FnMut() -> Result<Elapsed> + 'a) -> Contender<'a> {
    Contender { name, work: Box::new(work) }
}

/// Does it with the plain kernels.
fn plainly<R>(work: impl FnOnce() -> R) -> R {
    let chosen = Kernels::chosen();
    Kernels::Plain.choose();
    let result = work();
    chosen.choose();
    result
}
