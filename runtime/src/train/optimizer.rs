//! AdamW (arXiv 1711.05101) over the trained parameters, with projector and vision tower at rates of their own.

use std::collections::BTreeMap;

use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer as _};
use burn::tensor::Tensor;

use super::gradients::GradientStore;
use crate::model::ParameterVisitor;
use crate::ops::{AdamWStep, adamw};

const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// The moments of one parameter.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Steps that this parameter took part in.
    pub time: usize,
    /// Running mean of the gradient, flat.
    pub first: Tensor<1>,
    /// Running mean of its square, flat.
    pub second: Tensor<1>,
}

/// AdamW and its state, by the parameter's name. A parameter without a gradient is left alone, and so is its state.
#[derive(Clone)]
pub struct Optimizer {
    /// For devices without a kernel of ours.
    adamw: AdamW,
    weight_decay: f64,
    /// The state, for a checkpoint.
    pub moments: BTreeMap<String, Moments>,
}

/// The learning rates of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of the language model and its adapters.
    pub lr: f64,
    /// Of the projector.
    pub projector_lr: f64,
    /// Of the vision tower.
    pub vision_lr: f64,
}

impl Optimizer {
    /// An optimizer without state.
    pub fn new(weight_decay: f64) -> Self {
        let [beta_1, beta_2] = BETAS;
        let config = AdamWConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(EPSILON);
        let adamw = config.with_weight_decay(weight_decay as f32).build();
        Self { adamw, weight_decay, moments: BTreeMap::new() }
    }

    /// One parameter's step, all of it flat.
    fn update(
        &self,
        parameter: Tensor<1>,
        gradient: &Tensor<1>,
        before: Option<Moments>,
        rate: f64,
        scale: f64,
    ) -> (Tensor<1>, Moments) {
        let time = before.as_ref().map_or(0, |moments| moments.time) + 1;
        let step = AdamWStep {
            scale: scale as f32,
            betas: BETAS,
            time,
            epsilon: EPSILON,
            rate: rate as f32,
            kept: (1.0 - rate * self.weight_decay) as f32,
        };
        let moments = before.as_ref().map(|moments| [&moments.first, &moments.second]);
        if let Some([updated, first, second]) = adamw(&parameter, gradient, moments, step) {
            return (updated, Moments { time, first, second });
        }
        let gradient = if scale == 1.0 { gradient.clone() } else { gradient.clone() * scale };
        let before = before.map(|Moments { time, first, second }| AdamWState {
            momentum: AdaptiveMomentumState::new(time, first, second),
        });
        let (updated, state) = self.adamw.step(rate, parameter, gradient, before);
        let momentum = state.expect("AdamW keeps a state").momentum;
        (updated, Moments { time: momentum.time, first: momentum.moment_1, second: momentum.moment_2 })
    }

    /// A step that the caller applies to its parameters: every parameter shown to it moves.
    ///
    /// - `scale`: what the gradients are multiplied by, 1 or less where they are clipped.
    pub fn step<'a>(&'a mut self, gradients: &'a GradientStore, rates: Rates, scale: f64) -> Step<'a> {
        Step { optimizer: self, gradients, rates, scale }
    }
}

/// One step over all parameters.
pub struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: &'a GradientStore,
    rates: Rates,
    scale: f64,
}

impl ParameterVisitor for Step<'_> {
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
        let Some(gradient) = self.gradients.get(name) else { return };
        let rate = match name.split_once('.') {
            Some(("multi_modal_projector", _)) => self.rates.projector_lr,
            Some(("vision_tower", _)) => self.rates.vision_lr,
            _ => self.rates.lr,
        };
        let dims = parameter.dims();
        let flat = parameter.clone().reshape([dims.iter().product::<usize>()]);
        let before = self.optimizer.moments.remove(name);
        let (updated, moments) = self.optimizer.update(flat, gradient, before, rate, self.scale);
        *parameter = updated.reshape(dims);
        self.optimizer.moments.insert(name.to_string(), moments);
    }
}
