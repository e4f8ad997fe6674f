//! A linear layer with a low-rank adapter on it (arXiv 2106.09685).

use burn::tensor::Tensor;

use super::{Linear, Noise};
use crate::ops::lora;

/// A low-rank adapter: `scale B A x`.
#[derive(Clone, Debug)]
pub struct Lora {
    /// `[rank, in_features]`.
    pub lora_a: Tensor<2>,
    /// `[out_features, rank]`.
    pub lora_b: Tensor<2>,
    /// `alpha / rank`.
    pub scale: f32,
    /// Probability of dropping an element of the input, while training.
    pub dropout: f32,
}

/// `y = W x + b + scale B A x`.
#[derive(Clone, Debug)]
pub struct LoraLinear {
    /// What is adapted.
    pub base: Linear,
    /// The adapter, where there is one.
    pub lora: Option<Lora>,
}

impl LoraLinear {
    /// A layer without an adapter.
    pub fn new(base: Linear) -> Self {
        Self { base, lora: None }
    }

    /// `x: [T, in_features]`; returns `[T, out_features]`.
    pub fn forward(&self, x: Tensor<2>, noise: &mut Noise) -> Tensor<2> {
        let y = self.base.forward(x.clone());
        match &self.lora {
            Some(adapter) => {
                let x = noise.dropout(x, adapter.dropout);
                lora(y, x, &adapter.lora_a, &adapter.lora_b, adapter.scale)
            }
            None => y,
        }
    }
}
