//! The normalisation layers.

use burn::tensor::Tensor;

use crate::ops::{layer_norm, rms_norm};

/// RMSNorm over the last dimension.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// `[d_model]`.
    pub weight: Tensor<1>,
    /// Added to the mean square.
    pub eps: f32,
}

impl RmsNorm {
    /// `x: [batch, tokens, d_model]`; the same shape back.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, d_model] = x.dims();
        rms_norm(x.reshape([batch * tokens, d_model]), &self.weight, self.eps).reshape([batch, tokens, d_model])
    }
}

/// LayerNorm over the last dimension.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// `[d_model]`.
    pub weight: Tensor<1>,
    /// `[d_model]`.
    pub bias: Tensor<1>,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm {
    /// `x: [batch, tokens, d_model]`; the same shape back.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, d_model] = x.dims();
        let x = x.reshape([batch * tokens, d_model]);
        layer_norm(x, &self.weight, &self.bias, self.eps).reshape([batch, tokens, d_model])
    }
}
