//! Llama: pre-norm transformer layers with rotary positions, grouped-query attention and SwiGLU.
//!
//! Fields are named as in the checkpoint. Source: transformers `modeling_llama.py`; Touvron et al. 2023, arXiv 2307.09288.

use burn::tensor::{Int, Tensor};

use super::config::LlamaConfig;
use super::loader::Loader;
use crate::error::Result;
use crate::nn::{KvCache, LayerKv, Linear, RmsNorm};
use crate::ops::{AttentionMask, Weight, attention, embedding, rotary, rotary_table, swiglu};

const PREFIX: &str = "language_model.model";

/// The language model.
#[derive(Debug)]
pub struct Llama {
    embed_tokens: Weight,
    layers: Vec<LlamaLayer>,
    norm: RmsNorm,
    lm_head: Linear,
    rotary: Tensor<2>,
}

#[derive(Debug)]
struct LlamaLayer {
    input_layernorm: RmsNorm,
    self_attn: LlamaAttention,
    post_attention_layernorm: RmsNorm,
    mlp: LlamaMlp,
}

#[derive(Debug)]
struct LlamaAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
}

#[derive(Debug)]
struct LlamaMlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

/// Where a forward pass stands, shared by all layers.
struct Pass<'a> {
    rotary: &'a Tensor<2>,
    position: &'a Tensor<1, Int>,
    key_range: Tensor<2, Int>,
}

impl Llama {
    /// Loads the language model.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause.
    pub fn load(loader: &mut Loader<'_>, config: &LlamaConfig) -> Result<Self> {
        let eps = config.rms_norm_eps as f32;
        let embed_tokens = loader.weight(&format!("{PREFIX}.embed_tokens.weight"))?;
        // The largest first: the copies made on their way are gone before the rest is resident.
        let lm_head = match config.tie_word_embeddings {
            true => Linear { weight: embed_tokens.clone(), bias: None },
            false => loader.linear("language_model.lm_head")?,
        };
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let name = |part: &str| format!("{PREFIX}.layers.{index}.{part}");
                Ok(LlamaLayer {
                    input_layernorm: loader.rms_norm(&name("input_layernorm"), eps)?,
                    self_attn: LlamaAttention {
                        q_proj: loader.linear(&name("self_attn.q_proj"))?,
                        k_proj: loader.linear(&name("self_attn.k_proj"))?,
                        v_proj: loader.linear(&name("self_attn.v_proj"))?,
                        o_proj: loader.linear(&name("self_attn.o_proj"))?,
                        num_attention_heads: config.num_attention_heads,
                        num_key_value_heads: config.num_key_value_heads,
                        head_dim: config.head_dim,
                    },
                    post_attention_layernorm: loader.rms_norm(&name("post_attention_layernorm"), eps)?,
                    mlp: LlamaMlp {
                        gate_proj: loader.linear(&name("mlp.gate_proj"))?,
                        up_proj: loader.linear(&name("mlp.up_proj"))?,
                        down_proj: loader.linear(&name("mlp.down_proj"))?,
                    },
                })
            })
            .collect::<Result<_>>()?;
        let norm = loader.rms_norm(&format!("{PREFIX}.norm"), eps)?;
        let rotary = rotary_table(config.max_position_embeddings, config.head_dim, config.rope_theta, loader.device());
        Ok(Self { embed_tokens, layers, norm, lm_head, rotary })
    }

    /// Embeddings of `ids: [tokens]` (i32), `[1, tokens, d_model]`.
    pub fn embed(&self, ids: Tensor<1, Int>) -> Tensor<3> {
        embedding(ids, &self.embed_tokens).unsqueeze()
    }

    /// Runs all layers over `x: [batch, tokens, d_model]` whose first token stands at `position: [1]`, appending to the
    /// cache; returns the normed hidden states, same shape. The caller keeps `position + tokens` within the cache.
    pub fn forward(&self, mut x: Tensor<3>, cache: &mut KvCache, position: &Tensor<1, Int>) -> Tensor<3> {
        let pass = Pass { rotary: &self.rotary, position, key_range: cache.key_range() };
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, cache.layer(index), &pass);
        }
        self.norm.forward(x)
    }

    /// `hidden: [batch, tokens, d_model]` to logits `[batch, tokens, vocab]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.lm_head.forward(hidden)
    }
}

impl LlamaLayer {
    fn forward(&self, x: Tensor<3>, kv: &mut LayerKv, pass: &Pass<'_>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.input_layernorm.forward(x), kv, pass);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }
}

impl LlamaAttention {
    fn forward(&self, x: Tensor<3>, kv: &mut LayerKv, pass: &Pass<'_>) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let heads = |heads: usize| [batch, tokens, heads, self.head_dim];
        let q = self.q_proj.forward(x.clone()).reshape(heads(self.num_attention_heads));
        let k = self.k_proj.forward(x.clone()).reshape(heads(self.num_key_value_heads));
        let v = self.v_proj.forward(x).reshape(heads(self.num_key_value_heads));
        let q = rotary(q, pass.rotary, pass.position);
        let k = rotary(k, pass.rotary, pass.position);
        let [k, v] = kv.append(k, v, pass.position);
        let y = attention(q, &k, &v, &pass.key_range, pass.position, AttentionMask::Causal);
        self.o_proj.forward(y.reshape([batch, tokens, self.num_attention_heads * self.head_dim]))
    }
}

impl LlamaMlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let flat = |x: Tensor<3>| {
            let [_, _, width] = x.dims();
            x.reshape([batch * tokens, width])
        };
        let h = swiglu(flat(self.gate_proj.forward(x.clone())), flat(self.up_proj.forward(x)));
        let [_, ffn] = h.dims();
        self.down_proj.forward(h.reshape([batch, tokens, ffn]))
    }
}
