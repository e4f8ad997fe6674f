//! What the fused decode needs of a model: weights, adapters and cache, named as in the model.

use burn::tensor::Tensor;

use crate::ops::{MAX_EXPERTS, MAX_HEAD_DIM, PackedFormat, Weight};

/// Low-rank pairs on one projection, one for each expert.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `[experts, rank, in_features]`; a plain adapter is one expert.
    pub a: Tensor<3>,
    /// `[experts, out_features, rank]`.
    pub b: Tensor<3>,
    /// Factor on the product.
    pub scale: f32,
}

/// What sends a token to an expert.
#[derive(Clone, Debug)]
pub struct Router {
    /// `[experts, d_model]`.
    pub weight: Tensor<2>,
    /// `[experts]`.
    pub bias: Tensor<1>,
    /// Whether an expert's output is multiplied by its probability.
    pub gated: bool,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct DecodeLayer {
    /// `[d_model]`.
    pub input_norm: Tensor<1>,
    /// Queries, keys and values in one: `[(heads + 2 kv_heads) head_dim, d_model]`.
    pub qkv: Weight,
    /// Adapters on queries, keys and values.
    pub qkv_lora: [Option<LowRank>; 3],
    /// `[d_model, heads head_dim]`.
    pub o_proj: Weight,
    /// The adapter on it.
    pub o_lora: Option<LowRank>,
    /// `[d_model]`.
    pub mlp_norm: Tensor<1>,
    /// Gate and up in one: `[2 ffn, d_model]`.
    pub gate_up: Weight,
    /// `[d_model, ffn]`.
    pub down_proj: Weight,
    /// Adapters or experts on gate, up and down.
    pub mlp_lora: [Option<LowRank>; 3],
    /// `None` for plain adapters.
    pub router: Option<Router>,
    /// `[1, context, kv_heads, head_dim]`, written in place.
    pub keys: Tensor<4>,
    /// `[1, context, kv_heads, head_dim]`, written in place.
    pub values: Tensor<4>,
}

/// A language model and its cache.
#[derive(Clone, Debug)]
pub struct DecodeStack {
    /// `[vocab, d_model]`.
    pub embed: Weight,
    /// From the embeddings up.
    pub layers: Vec<DecodeLayer>,
    /// `[d_model]`.
    pub norm: Tensor<1>,
    /// `[vocab, d_model]`.
    pub output: Weight,
    /// Cosines and sines, `[context, head_dim]`.
    pub rotary: Tensor<2>,
    /// Added to the mean square in every norm.
    pub eps: f32,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl DecodeStack {
    /// Whether the fused kernels take these shapes: rows in whole vectors, and a cache of one sequence.
    pub fn fits(&self) -> bool {
        let quads = |weight: &Weight| match weight {
            Weight::Packed(packed) if packed.layout.format == PackedFormat::F16 => weight.dims()[1].is_multiple_of(8),
            _ => weight.dims()[1].is_multiple_of(4),
        };
        let layer = |layer: &DecodeLayer| {
            let experts = layer.router.as_ref().map_or(1, |router| router.bias.dims()[0]);
            let pairs = layer.qkv_lora.iter().chain([&layer.o_lora]).chain(&layer.mlp_lora).flatten();
            [&layer.qkv, &layer.o_proj, &layer.gate_up, &layer.down_proj].into_iter().all(quads)
                && experts <= MAX_EXPERTS
                && pairs.into_iter().all(|pair| pair.a.dims()[2].is_multiple_of(4))
                && layer.keys.dims()[0] == 1
        };
        quads(&self.output)
            && self.head_dim.is_multiple_of(4)
            && self.head_dim <= MAX_HEAD_DIM
            && self.layers.iter().all(layer)
    }

    /// Positions of the cache.
    pub(super) fn context(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.keys.dims()[1])
    }

    /// Experts of the routers, where there are any.
    pub(super) fn experts(&self) -> Option<usize> {
        self.layers.iter().find_map(|layer| layer.router.as_ref()).map(|router| router.bias.dims()[0])
    }
}
