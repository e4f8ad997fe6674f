//! CLIP's vision transformer, up to the hidden state whose features LLaVA takes.
//!
//! Fields are named as in the checkpoint. Source: transformers `modeling_clip.py`; Radford et al. 2021, arXiv 2103.00020.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::config::{FeatureSelect, LlavaConfig, VisionActivation};
use super::loader::Loader;
use super::parameters::{ParameterVisitor, visit_layer_norm, visit_linear, visit_weight};
use crate::error::Result;
use crate::nn::{LayerNorm, Linear};
use crate::ops::{AttentionMask, Weight, attention, gelu, patch_embed, quick_gelu};

const PREFIX: &str = "vision_tower.vision_model";

/// The vision tower.
#[derive(Clone, Debug)]
pub struct ClipVision {
    class_embedding: Tensor<1>,
    patch_embedding: Weight,
    position_embedding: Tensor<2>,
    pre_layrnorm: LayerNorm,
    layers: Vec<ClipLayer>,
    patch_size: usize,
    select: FeatureSelect,
    position: Tensor<1, Int>,
}

#[derive(Clone, Debug)]
struct ClipLayer {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    hidden_act: VisionActivation,
}

impl ClipVision {
    /// Loads the layers that the features need.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause.
    pub async fn load(loader: &mut Loader<'_>, config: &LlavaConfig) -> Result<Self> {
        let vision = &config.vision;
        let eps = vision.layer_norm_eps as f32;
        let class_embedding = loader.vector(&format!("{PREFIX}.embeddings.class_embedding")).await?;
        let patch_embedding = loader.weight(&format!("{PREFIX}.embeddings.patch_embedding.weight")).await?;
        let position_embedding =
            loader.full_precision(&format!("{PREFIX}.embeddings.position_embedding.weight")).await?;
        let pre_layrnorm = loader.layer_norm(&format!("{PREFIX}.pre_layrnorm"), eps).await?;
        let mut layers = Vec::with_capacity(config.num_vision_layers_used());
        for index in 0..config.num_vision_layers_used() {
            let name = |part: &str| format!("{PREFIX}.encoder.layers.{index}.{part}");
            layers.push(ClipLayer {
                layer_norm1: loader.layer_norm(&name("layer_norm1"), eps).await?,
                q_proj: loader.linear_bias(&name("self_attn.q_proj")).await?,
                k_proj: loader.linear_bias(&name("self_attn.k_proj")).await?,
                v_proj: loader.linear_bias(&name("self_attn.v_proj")).await?,
                out_proj: loader.linear_bias(&name("self_attn.out_proj")).await?,
                layer_norm2: loader.layer_norm(&name("layer_norm2"), eps).await?,
                fc1: loader.linear_bias(&name("mlp.fc1")).await?,
                fc2: loader.linear_bias(&name("mlp.fc2")).await?,
                heads: vision.num_attention_heads,
                hidden_act: vision.hidden_act,
            });
        }
        let position = Tensor::from_data(TensorData::new(vec![0i32], [1]), (loader.device(), DType::I32));
        Ok(Self {
            class_embedding,
            patch_embedding,
            position_embedding,
            pre_layrnorm,
            layers,
            patch_size: vision.patch_size,
            select: config.vision_feature_select_strategy,
            position,
        })
    }

    /// `pixels: [images, 3, height, width]` to features `[images, patches, width]`, the class token first if the
    /// config keeps it.
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        let patches = patch_embed(pixels, &self.patch_embedding, self.patch_size);
        let [images, count, width] = patches.dims();
        let class = self.class_embedding.clone().reshape([1, 1, width]).expand([images, 1, width]);
        let x = Tensor::cat(vec![class, patches], 1) + self.position_embedding.clone().unsqueeze();
        let mut x = self.pre_layrnorm.forward(x);
        let keys: Vec<i32> = (0..images).flat_map(|_| [0, count as i32 + 1]).collect();
        let key_range = Tensor::from_data(TensorData::new(keys, [images, 2]), (&self.position.device(), DType::I32));
        for layer in &self.layers {
            x = layer.forward(x, &key_range, &self.position);
        }
        match self.select {
            FeatureSelect::Default => x.narrow(1, 1, count),
            FeatureSelect::Full => x,
        }
    }

    /// Without the layers behind the first `layers`.
    pub(super) fn truncate(&mut self, layers: usize) {
        self.layers.truncate(layers);
    }

    /// Shows the weights.
    pub fn visit(&mut self, visitor: &mut impl ParameterVisitor) {
        visitor.visit(&format!("{PREFIX}.embeddings.class_embedding"), &mut self.class_embedding);
        visit_weight(&mut self.patch_embedding, &format!("{PREFIX}.embeddings.patch_embedding.weight"), visitor);
        visitor.visit(&format!("{PREFIX}.embeddings.position_embedding.weight"), &mut self.position_embedding);
        visit_layer_norm(&mut self.pre_layrnorm, &format!("{PREFIX}.pre_layrnorm"), visitor);
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let name = |part: &str| format!("{PREFIX}.encoder.layers.{index}.{part}");
            visit_layer_norm(&mut layer.layer_norm1, &name("layer_norm1"), visitor);
            visit_linear(&mut layer.q_proj, &name("self_attn.q_proj"), visitor);
            visit_linear(&mut layer.k_proj, &name("self_attn.k_proj"), visitor);
            visit_linear(&mut layer.v_proj, &name("self_attn.v_proj"), visitor);
            visit_linear(&mut layer.out_proj, &name("self_attn.out_proj"), visitor);
            visit_layer_norm(&mut layer.layer_norm2, &name("layer_norm2"), visitor);
            visit_linear(&mut layer.fc1, &name("mlp.fc1"), visitor);
            visit_linear(&mut layer.fc2, &name("mlp.fc2"), visitor);
        }
    }
}

impl ClipLayer {
    fn forward(&self, x: Tensor<3>, key_range: &Tensor<2, Int>, position: &Tensor<1, Int>) -> Tensor<3> {
        let [images, tokens, width] = x.dims();
        let heads = [images, tokens, self.heads, width / self.heads];
        let normed = self.layer_norm1.forward(x.clone());
        let q = self.q_proj.forward(normed.clone()).reshape(heads);
        let k = self.k_proj.forward(normed.clone()).reshape(heads);
        let v = self.v_proj.forward(normed).reshape(heads);
        let attended = attention(q, &k, &v, key_range, position, AttentionMask::Full);
        let x = x + self.out_proj.forward(attended.reshape([images, tokens, width]));

        let inner = self.fc1.forward(self.layer_norm2.forward(x.clone()));
        let [_, _, ffn] = inner.dims();
        let inner = inner.reshape([images * tokens, ffn]);
        let inner = match self.hidden_act {
            VisionActivation::QuickGelu => quick_gelu(inner),
            VisionActivation::Gelu => gelu(inner),
        };
        x + self.fc2.forward(inner.reshape([images, tokens, ffn]))
    }
}
