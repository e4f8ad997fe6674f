//! The language model's part of the configuration: Llama.
//!
//! Source: transformers `configuration_llama.py`, class `LlamaConfig`, whose defaults a missing field takes.

use super::fields::Fields;
use crate::error::Result;

/// Llama: pre-norm layers without biases, rotary positions, SwiGLU, grouped-query attention.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding and of the output layer.
    pub vocab_size: usize,
    /// Width of a token.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; each serves `num_attention_heads / num_key_value_heads` query heads.
    pub num_key_value_heads: usize,
    /// Width of one attention head: `hidden_size / num_attention_heads` unless the file says otherwise.
    pub head_dim: usize,
    /// The context: most tokens, pictures' patches included.
    pub max_position_embeddings: usize,
    /// Added to the mean square in RMS norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary embedding's wavelengths.
    pub rope_theta: f64,
    /// Whether the output layer is the embedding itself.
    pub tie_word_embeddings: bool,
}

impl LlamaConfig {
    /// Reads Llama's fields. Their `model_type` is the caller's to check: in the original layout they stand at the top.
    pub(super) fn read(fields: &Fields) -> Result<Self> {
        fields.word("hidden_act", &["silu"])?;
        for bias in ["attention_bias", "mlp_bias"] {
            if fields.flag(bias)? == Some(true) {
                return Err(fields.refuse(bias, "Llama layers with biases are not supported"));
            }
        }
        let hidden_size = fields.count("hidden_size", 4096, 1 << 16)?;
        let num_attention_heads = fields.count("num_attention_heads", 32, 1024)?;
        if hidden_size % num_attention_heads != 0 {
            return Err(fields.inconsistent(format_args!(
                "hidden_size {hidden_size} is no multiple of num_attention_heads {num_attention_heads}"
            )));
        }
        let num_key_value_heads = fields.count("num_key_value_heads", num_attention_heads, num_attention_heads)?;
        if num_attention_heads % num_key_value_heads != 0 {
            return Err(fields.inconsistent(format_args!(
                "num_attention_heads {num_attention_heads} is no multiple of num_key_value_heads {num_key_value_heads}"
            )));
        }
        let head_dim = fields.count("head_dim", hidden_size / num_attention_heads, 256)?;
        if !head_dim.is_multiple_of(2) || head_dim > 256 {
            return Err(
                fields.inconsistent(format_args!("head_dim is {head_dim}; an even number from 2 to 256 is accepted"))
            );
        }
        Ok(Self {
            vocab_size: fields.count("vocab_size", 32_000, 1 << 22)?,
            hidden_size,
            intermediate_size: fields.count("intermediate_size", 11_008, 1 << 20)?,
            num_hidden_layers: fields.count("num_hidden_layers", 32, 512)?,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            max_position_embeddings: fields.count("max_position_embeddings", 2048, 1 << 22)?,
            rms_norm_eps: fields.positive("rms_norm_eps", 1e-6, 0.1)?,
            rope_theta: rope_theta(fields)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
        })
    }
}

/// The rotary base: inside `rope_parameters` (transformers 5) or at Llama's own level (4). Every way of scaling the
/// positions is refused: it would change the answers unnoticed.
fn rope_theta(fields: &Fields) -> Result<f64> {
    let parameters = fields.child("rope_parameters")?;
    for rope in [&parameters, &fields.child("rope_scaling")?] {
        for kind in ["rope_type", "type"] {
            rope.word(kind, &["default"])?;
        }
        if rope.has("factor") || rope.get("partial_rotary_factor").is_some_and(|part| part.as_f64() != Some(1.0)) {
            let field = if rope.has("factor") { "factor" } else { "partial_rotary_factor" };
            return Err(rope.refuse(field, "rotary embeddings are supported unscaled and over the whole head"));
        }
    }
    let holder = if parameters.has("rope_theta") { &parameters } else { fields };
    holder.positive("rope_theta", 10_000.0, f64::from(f32::MAX))
}
