//! One layer of Llama, with room for adapters: LoRA on any projection, a mixture of LoRA experts on the MLP.

use std::ops::Range;

use burn::tensor::{DType, Int, Tensor, TensorData};

use crate::model::parameters::{ParameterVisitor, Parameters, visit_linear, visit_rms_norm};
use crate::nn::{LayerKv, LoraLinear, MoleExperts, Noise, RmsNorm, Routing};
use crate::ops::{AttentionMask, Weight, attention, rotary, swiglu};

/// A transformer layer.
#[derive(Clone, Debug)]
pub struct LlamaLayer {
    pub(super) input_layernorm: RmsNorm,
    pub(super) self_attn: LlamaAttention,
    pub(super) post_attention_layernorm: RmsNorm,
    pub(super) mlp: LlamaMlp,
}

#[derive(Clone, Debug)]
pub(super) struct LlamaAttention {
    pub(super) q_proj: LoraLinear,
    pub(super) k_proj: LoraLinear,
    pub(super) v_proj: LoraLinear,
    pub(super) o_proj: LoraLinear,
    /// The weights of q, k and v in one, while they are parts of it.
    pub(super) qkv: Option<Weight>,
    pub(super) num_attention_heads: usize,
    pub(super) num_key_value_heads: usize,
    pub(super) head_dim: usize,
}

#[derive(Clone, Debug)]
pub(super) struct LlamaMlp {
    pub(super) gate_proj: LoraLinear,
    pub(super) up_proj: LoraLinear,
    pub(super) down_proj: LoraLinear,
    /// The weights of gate and up in one, while they are parts of it.
    pub(super) gate_up: Option<Weight>,
    pub(super) experts: Option<MoleExperts>,
}

/// The keys that a pass's queries see.
pub(super) enum Keys<'a> {
    /// Those of the cache, to which the pass's own are appended at `position: [1]`; `key_range: [batch, 2]` are valid.
    Cached { kv: &'a mut LayerKv, position: &'a Tensor<1, Int>, key_range: &'a Tensor<2, Int> },
    /// Those of the pass itself: several sequences one behind the other.
    Packed(&'a Packing),
}

/// Sequences one behind the other, `[1, tokens, d_model]` in all; a token sees its own sequence up to itself. Nothing is
/// padded.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Where each sequence stands.
    pub sequences: Vec<Range<usize>>,
    /// `[tokens, 2]`: every token's sequence.
    key_range: Tensor<2, Int>,
    /// `[tokens, head_dim]`: the rotation of every token, at its position in its sequence.
    rotary: Tensor<2>,
    /// `[1]`, zero: where the rotations begin.
    start: Tensor<1, Int>,
}

impl Packing {
    pub(super) fn new(lengths: &[usize], rotary: &Tensor<2>) -> Self {
        let device = rotary.device();
        let (mut sequences, mut at) = (Vec::with_capacity(lengths.len()), 0);
        for &length in lengths {
            sequences.push(at..at + length);
            at += length;
        }
        let bounds = sequences.iter().flat_map(|s| vec![[s.start as i32, s.end as i32]; s.len()]);
        let positions = sequences.iter().flat_map(|s| 0..s.len() as i32);
        let positions = TensorData::new(positions.collect::<Vec<i32>>(), [at]);
        let positions = Tensor::<1, Int>::from_data(positions, (&device, DType::I32));
        let bounds = TensorData::new(bounds.flatten().collect::<Vec<i32>>(), [at, 2]);
        Self {
            sequences,
            key_range: Tensor::from_data(bounds, (&device, DType::I32)),
            rotary: rotary.clone().select(0, positions),
            start: Tensor::from_data(TensorData::new(vec![0i32], [1]), (&device, DType::I32)),
        }
    }
}

impl LlamaLayer {
    /// `x: [batch, tokens, d_model]`, the same back, and where the tokens went if there are experts.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rotary: &Tensor<2>,
        keys: Keys<'_>,
        noise: &mut Noise,
    ) -> (Tensor<3>, Option<Routing>) {
        let x = x.clone() + self.self_attn.forward(self.input_layernorm.forward(x), rotary, keys, noise);
        let (y, routing) = self.mlp.forward(self.post_attention_layernorm.forward(x.clone()), noise);
        (x + y, routing)
    }

    /// The layer over packed sequences, for training: `x: [1, tokens, d_model]`, the same back, and where the tokens went
    /// if there are experts.
    pub fn forward_packed(&self, x: Tensor<3>, packing: &Packing, noise: &mut Noise) -> (Tensor<3>, Option<Routing>) {
        self.forward(x, &packing.rotary, Keys::Packed(packing), noise)
    }

    /// Shows the layer's parameters; `name` is the layer's.
    pub fn visit(&mut self, parameters: Parameters, name: &str, visitor: &mut impl ParameterVisitor) {
        match parameters {
            Parameters::Weights => {
                // Each weight may be replaced: they are no parts of a whole any more.
                self.self_attn.qkv = None;
                self.mlp.gate_up = None;
                visit_rms_norm(&mut self.input_layernorm, &format!("{name}.input_layernorm"), visitor);
                for (part, projection) in self.projections() {
                    visit_linear(&mut projection.base, &format!("{name}.{part}"), visitor);
                }
                visit_rms_norm(
                    &mut self.post_attention_layernorm,
                    &format!("{name}.post_attention_layernorm"),
                    visitor,
                );
            }
            Parameters::Adapters => {
                for (part, projection) in self.projections() {
                    if let Some(lora) = &mut projection.lora {
                        visitor.visit(&format!("{name}.{part}.lora_A.weight"), &mut lora.lora_a);
                        visitor.visit(&format!("{name}.{part}.lora_B.weight"), &mut lora.lora_b);
                    }
                }
                let Some(experts) = &mut self.mlp.experts else { return };
                visitor.visit(&format!("{name}.mlp.router.weight"), &mut experts.router_weight);
                visitor.visit(&format!("{name}.mlp.router.bias"), &mut experts.router_bias);
                let MoleExperts { gate, up, down, .. } = experts;
                for (part, pair) in [("gate", gate), ("up", up), ("down", down)] {
                    visitor.visit(&format!("{name}.mlp.moe_{part}.lora_A"), &mut pair.lora_a);
                    visitor.visit(&format!("{name}.mlp.moe_{part}.lora_B"), &mut pair.lora_b);
                }
            }
        }
    }

    /// Every projection by its name inside the layer.
    pub(in crate::model) fn projections(&mut self) -> [(&'static str, &mut LoraLinear); 7] {
        let (attention, mlp) = (&mut self.self_attn, &mut self.mlp);
        [
            ("self_attn.q_proj", &mut attention.q_proj),
            ("self_attn.k_proj", &mut attention.k_proj),
            ("self_attn.v_proj", &mut attention.v_proj),
            ("self_attn.o_proj", &mut attention.o_proj),
            ("mlp.gate_proj", &mut mlp.gate_proj),
            ("mlp.up_proj", &mut mlp.up_proj),
            ("mlp.down_proj", &mut mlp.down_proj),
        ]
    }

    /// The experts on the MLP.
    pub(in crate::model) fn experts(&mut self) -> &mut Option<MoleExperts> {
        &mut self.mlp.experts
    }
}

impl LlamaAttention {
    fn forward(&self, x: Tensor<3>, table: &Tensor<2>, keys: Keys<'_>, noise: &mut Noise) -> Tensor<3> {
        let [batch, tokens, d_model] = x.dims();
        let x = x.reshape([batch * tokens, d_model]);
        let heads = |heads: usize| [batch, tokens, heads, self.head_dim];
        let q = self.q_proj.forward(x.clone(), noise).reshape(heads(self.num_attention_heads));
        let k = self.k_proj.forward(x.clone(), noise).reshape(heads(self.num_key_value_heads));
        let v = self.v_proj.forward(x, noise).reshape(heads(self.num_key_value_heads));
        let y = match keys {
            Keys::Cached { kv, position, key_range } => {
                let (q, k) = (rotary(q, table, position), rotary(k, table, position));
                let [k, v] = kv.append(k, v, position);
                attention(q, &k, &v, key_range, position, AttentionMask::Causal)
            }
            Keys::Packed(packing) => {
                let (q, k) = (rotary(q, table, &packing.start), rotary(k, table, &packing.start));
                attention(q, &k, &v, &packing.key_range, &packing.start, AttentionMask::Packed)
            }
        };
        let y = y.reshape([batch * tokens, self.num_attention_heads * self.head_dim]);
        self.o_proj.forward(y, noise).reshape([batch, tokens, d_model])
    }
}

impl LlamaMlp {
    fn forward(&self, x: Tensor<3>, noise: &mut Noise) -> (Tensor<3>, Option<Routing>) {
        let [batch, tokens, d_model] = x.dims();
        let x = x.reshape([batch * tokens, d_model]);
        let gate = self.gate_proj.forward(x.clone(), noise);
        let up = self.up_proj.forward(x.clone(), noise);
        let (y, routing) = match &self.experts {
            Some(experts) => {
                let decision = experts.route(x.clone());
                let gate = experts.add(gate, x.clone(), &experts.gate, &decision, noise);
                let up = experts.add(up, x, &experts.up, &decision, noise);
                let h = swiglu(gate, up);
                let down = self.down_proj.forward(h.clone(), noise);
                (experts.add(down, h, &experts.down, &decision, noise), Some(decision.routing))
            }
            None => (self.down_proj.forward(swiglu(gate, up), noise), None),
        };
        (y.reshape([batch, tokens, d_model]), routing)
    }
}
