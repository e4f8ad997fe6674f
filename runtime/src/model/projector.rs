//! The projector from vision features to the language model's embeddings: Linear, GELU (erf), Linear.

use burn::tensor::Tensor;

use super::loader::Loader;
use super::parameters::{ParameterVisitor, visit_linear};
use crate::error::Result;
use crate::nn::Linear;
use crate::ops::gelu;

/// LLaVA-1.5's two-layer projector.
#[derive(Clone, Debug)]
pub struct Projector {
    linear_1: Linear,
    linear_2: Linear,
}

impl Projector {
    /// Loads both layers, in f32 whatever the precision: they are small, and every stage trains them.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause.
    pub async fn load(loader: &mut Loader<'_>) -> Result<Self> {
        Ok(Self {
            linear_1: loader.linear_bias_f32("multi_modal_projector.linear_1").await?,
            linear_2: loader.linear_bias_f32("multi_modal_projector.linear_2").await?,
        })
    }

    /// `features: [images, patches, vision width]` to `[images, patches, d_model]`.
    pub fn forward(&self, features: Tensor<3>) -> Tensor<3> {
        let inner = self.linear_1.forward(features);
        let [images, patches, d_model] = inner.dims();
        let inner = gelu(inner.reshape([images * patches, d_model]));
        self.linear_2.forward(inner.reshape([images, patches, d_model]))
    }

    /// Shows the weights.
    pub fn visit(&mut self, visitor: &mut impl ParameterVisitor) {
        visit_linear(&mut self.linear_1, "multi_modal_projector.linear_1", visitor);
        visit_linear(&mut self.linear_2, "multi_modal_projector.linear_2", visitor);
    }
}
