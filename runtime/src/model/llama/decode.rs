//! The language model as the fused decode takes it.

use burn::tensor::Tensor;

use super::layer::LlamaLayer;
use super::{Llama, LlamaEnds};
use crate::device::{is_cpu, max_binding_bytes};
use crate::nn::{ExpertLora, Gating, KvCache, LayerKv, Lora, LoraLinear, MoleExperts};
use crate::ops::{DecodeLayer, DecodeStack, Kernels, LowRank, Router, Weight};

impl Llama {
    /// The model and the cache for [`crate::ops::Decoder`]; nothing may be appended to the cache while it lives. `None`
    /// where decoding is the plain path's: on the CPU, with [`Kernels::Plain`], where every token goes to all experts, or
    /// where no kernel can bind queries, keys and values, or gate and up, in one.
    pub fn decode_stack(&self, cache: &mut KvCache) -> Option<DecodeStack> {
        // Before any weights are joined.
        if is_cpu(&self.ends.norm.weight.device()) || Kernels::chosen() == Kernels::Plain {
            return None;
        }
        let first = &self.layers.first()?.self_attn;
        let layers = self.layers.iter().enumerate().map(|(index, layer)| layer.for_decode(cache.layer(index)));
        let LlamaEnds { embed_tokens, norm, .. } = &self.ends;
        Some(DecodeStack {
            embed: embed_tokens.clone(),
            layers: layers.collect::<Option<_>>()?,
            norm: norm.weight.clone(),
            output: self.ends.output().clone(),
            rotary: self.rotary.clone(),
            eps: norm.eps,
            heads: first.num_attention_heads,
            kv_heads: first.num_key_value_heads,
            head_dim: first.head_dim,
        })
    }
}

impl LlamaLayer {
    fn for_decode(&self, kv: &LayerKv) -> Option<DecodeLayer> {
        let (attention, mlp) = (&self.self_attn, &self.mlp);
        let [keys, values] = kv.tensors();
        let joined = |whole: &Option<Weight>, parts: &[&LoraLinear]| match whole {
            Some(whole) => Some(whole.clone()),
            None => cat(&parts.iter().map(|part| &part.base.weight).collect::<Vec<_>>()),
        };
        let mlp_lora = match &mlp.experts {
            None => [&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj].map(low_rank),
            Some(experts) if experts.gating == Gating::Dense => return None,
            Some(experts) => [&experts.gate, &experts.up, &experts.down].map(|pair| Some(expert_pairs(experts, pair))),
        };
        // Plain adapters beside experts on one projection are nobody's layout.
        let plain = [&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj].into_iter().any(|linear| linear.lora.is_some());
        if mlp.experts.is_some() && plain {
            return None;
        }
        Some(DecodeLayer {
            input_norm: self.input_layernorm.weight.clone(),
            qkv: joined(&attention.qkv, &[&attention.q_proj, &attention.k_proj, &attention.v_proj])?,
            qkv_lora: [&attention.q_proj, &attention.k_proj, &attention.v_proj].map(low_rank),
            o_proj: attention.o_proj.base.weight.clone(),
            o_lora: low_rank(&attention.o_proj),
            mlp_norm: self.post_attention_layernorm.weight.clone(),
            gate_up: joined(&mlp.gate_up, &[&mlp.gate_proj, &mlp.up_proj])?,
            down_proj: mlp.down_proj.base.weight.clone(),
            mlp_lora,
            router: mlp.experts.as_ref().map(router),
            keys,
            values,
        })
    }
}

/// Weights in one, where a kernel can bind so much.
fn cat(parts: &[&Weight]) -> Option<Weight> {
    let bytes: u64 = parts.iter().map(|part| part.bytes()).sum();
    (bytes <= max_binding_bytes(&parts[0].device())).then(|| Weight::cat(parts))
}

fn low_rank(linear: &LoraLinear) -> Option<LowRank> {
    let one = |tensor: &Tensor<2>| tensor.clone().unsqueeze();
    let pair = |lora: &Lora| LowRank { a: one(&lora.lora_a), b: one(&lora.lora_b), scale: lora.scale };
    linear.lora.as_ref().map(pair)
}

fn expert_pairs(experts: &MoleExperts, pair: &ExpertLora) -> LowRank {
    LowRank { a: pair.lora_a.clone(), b: pair.lora_b.clone(), scale: experts.scale }
}

fn router(experts: &MoleExperts) -> Router {
    let gated = experts.gating == Gating::Gated;
    Router { weight: experts.router_weight.clone(), bias: experts.router_bias.clone(), gated }
}
