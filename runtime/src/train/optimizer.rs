//! AdamW (arXiv 1711.05101) over the trained parameters, with projector and vision tower at rates of their own.

use std::collections::BTreeMap;

use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer as _};
use burn::tensor::Tensor;

use super::gradients::GradientStore;
use crate::model::ParameterVisitor;

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
    adamw: AdamW,
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
        let config = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(weight_decay as f32);
        Self { adamw: config.build(), moments: BTreeMap::new() }
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
        let gradient = match self.scale == 1.0 {
            true => gradient.clone(),
            false => gradient.clone() * self.scale,
        };
        let rate = match name.split_once('.') {
            Some(("multi_modal_projector", _)) => self.rates.projector_lr,
            Some(("vision_tower", _)) => self.rates.vision_lr,
            _ => self.rates.lr,
        };
        let before = self.optimizer.moments.remove(name).map(|moments| {
            let Moments { time, first, second } = moments;
            AdamWState { momentum: AdaptiveMomentumState::new(time, first, second) }
        });
        let dims = parameter.dims();
        let flat = parameter.clone().reshape([dims.iter().product::<usize>()]);
        let (updated, state) = self.optimizer.adamw.step(rate, flat, gradient, before);
        *parameter = updated.reshape(dims);
        let momentum = state.expect("AdamW keeps a state").momentum;
        let moments = Moments { time: momentum.time, first: momentum.moment_1, second: momentum.moment_2 };
        self.optimizer.moments.insert(name.to_string(), moments);
    }
}
