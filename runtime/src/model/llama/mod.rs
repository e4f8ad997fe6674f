//! Llama: pre-norm transformer layers with rotary positions, grouped-query attention and SwiGLU.
//!
//! Fields are named as in the checkpoint. Source: transformers `modeling_llama.py`; Touvron et al. 2023, arXiv 2307.09288.

mod decode;
mod layer;

pub use layer::{LlamaLayer, Packing};

use burn::tensor::{Int, Tensor};
use layer::{Keys, LlamaAttention, LlamaMlp};

use super::config::LlamaConfig;
use super::loader::Loader;
use super::parameters::{ParameterVisitor, Parameters, visit_linear, visit_rms_norm, visit_weight};
use crate::error::Result;
use crate::nn::{KvCache, Linear, LoraLinear, Noise, RmsNorm, Routing};
use crate::ops::{Weight, cross_entropy, embedding, rotary_table};

const PREFIX: &str = "language_model.model";

/// The language model.
#[derive(Clone, Debug)]
pub struct Llama {
    /// The layers, from the embeddings up.
    pub layers: Vec<LlamaLayer>,
    /// What stands before and after the layers.
    pub ends: LlamaEnds,
    rotary: Tensor<2>,
}

/// The embedding, the last norm and the output layer.
#[derive(Clone, Debug)]
pub struct LlamaEnds {
    embed_tokens: Weight,
    norm: RmsNorm,
    /// `None` where the output layer is the embedding itself.
    lm_head: Option<Linear>,
}

impl Llama {
    /// Loads the language model.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause.
    pub async fn load(loader: &mut Loader<'_>, config: &LlamaConfig) -> Result<Self> {
        let eps = config.rms_norm_eps as f32;
        let embed_tokens = loader.weight(&format!("{PREFIX}.embed_tokens.weight")).await?;
        // The largest first: the copies made on their way are gone before the rest is resident.
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => Some(loader.linear("language_model.lm_head").await?),
        };
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let name = |part: &str| format!("{}.{part}", layer_name(index));
            let input_layernorm = loader.rms_norm(&name("input_layernorm"), eps).await?;
            let ([q_proj, k_proj, v_proj], qkv) =
                loader.joined(["q", "k", "v"].map(|part| name(&format!("self_attn.{part}_proj")))).await?;
            let self_attn = LlamaAttention {
                q_proj: LoraLinear::new(q_proj),
                k_proj: LoraLinear::new(k_proj),
                v_proj: LoraLinear::new(v_proj),
                o_proj: LoraLinear::new(loader.linear(&name("self_attn.o_proj")).await?),
                qkv,
                num_attention_heads: config.num_attention_heads,
                num_key_value_heads: config.num_key_value_heads,
                head_dim: config.head_dim,
            };
            let post_attention_layernorm = loader.rms_norm(&name("post_attention_layernorm"), eps).await?;
            let ([gate_proj, up_proj], gate_up) =
                loader.joined(["gate", "up"].map(|part| name(&format!("mlp.{part}_proj")))).await?;
            let mlp = LlamaMlp {
                gate_proj: LoraLinear::new(gate_proj),
                up_proj: LoraLinear::new(up_proj),
                down_proj: LoraLinear::new(loader.linear(&name("mlp.down_proj")).await?),
                gate_up,
                experts: None,
            };
            layers.push(LlamaLayer { input_layernorm, self_attn, post_attention_layernorm, mlp });
        }
        let norm = loader.rms_norm(&format!("{PREFIX}.norm"), eps).await?;
        let rotary = rotary_table(config.max_position_embeddings, config.head_dim, config.rope_theta, loader.device());
        Ok(Self { layers, ends: LlamaEnds { embed_tokens, norm, lm_head }, rotary })
    }

    /// Embeddings of `ids: [tokens]` (i32), `[1, tokens, d_model]`.
    pub fn embed(&self, ids: Tensor<1, Int>) -> Tensor<3> {
        self.ends.embed(ids)
    }

    /// Runs all layers over `x: [batch, tokens, d_model]` whose first token stands at `position: [1]`, appending to the
    /// cache; returns the normed hidden states, same shape. The caller keeps `position + tokens` within the cache.
    ///
    /// `routing`, where it is asked for, gets one entry a layer with experts.
    pub fn forward(
        &self,
        mut x: Tensor<3>,
        cache: &mut KvCache,
        position: &Tensor<1, Int>,
        mut routing: Option<&mut Vec<Routing>>,
    ) -> Tensor<3> {
        let key_range = cache.key_range();
        for (index, layer) in self.layers.iter().enumerate() {
            let keys = Keys::Cached { kv: cache.layer(index), position, key_range: &key_range };
            let (y, went) = layer.forward(x, &self.rotary, keys, &mut Noise::off());
            if let Some(routing) = &mut routing {
                routing.extend(went);
            }
            x = y;
        }
        self.ends.norm.forward(x)
    }

    /// Sequences of these lengths, for [`LlamaLayer::forward_packed`]. None may be longer than the context.
    pub fn packing(&self, lengths: &[usize]) -> Packing {
        Packing::new(lengths, &self.rotary)
    }

    /// `hidden: [batch, tokens, d_model]` to logits `[batch, tokens, vocab]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        let output = Linear { weight: self.ends.output().clone(), bias: None };
        output.forward(hidden)
    }

    /// Shows the parameters of all layers, and the ends' weights.
    pub fn visit(&mut self, parameters: Parameters, visitor: &mut impl ParameterVisitor) {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.visit(parameters, &layer_name(index), visitor);
        }
        if parameters == Parameters::Weights {
            self.ends.visit(visitor);
        }
    }
}

/// The name of a layer in a checkpoint.
pub fn layer_name(index: usize) -> String {
    format!("{PREFIX}.layers.{index}")
}

impl LlamaEnds {
    /// Embeddings of `ids: [tokens]` (i32), `[1, tokens, d_model]`.
    pub fn embed(&self, ids: Tensor<1, Int>) -> Tensor<3> {
        embedding(ids, &self.embed_tokens).unsqueeze()
    }

    /// The loss of each row of `hidden: [rows, d_model]`, as it leaves the last layer, against its target token
    /// `[rows]` (i32): `[rows]`.
    pub fn loss(&self, hidden: Tensor<2>, targets: &Tensor<1, Int>) -> Tensor<1> {
        let hidden = self.norm.forward(hidden.unsqueeze()).squeeze_dim(0);
        cross_entropy(hidden, self.output(), targets)
    }

    fn output(&self) -> &Weight {
        self.lm_head.as_ref().map_or(&self.embed_tokens, |lm_head| &lm_head.weight)
    }

    /// Shows the weights.
    pub fn visit(&mut self, visitor: &mut impl ParameterVisitor) {
        visit_weight(&mut self.embed_tokens, &format!("{PREFIX}.embed_tokens.weight"), visitor);
        visit_rms_norm(&mut self.norm, &format!("{PREFIX}.norm"), visitor);
        if let Some(lm_head) = &mut self.lm_head {
            visit_linear(lm_head, "language_model.lm_head", visitor);
        }
    }
}
