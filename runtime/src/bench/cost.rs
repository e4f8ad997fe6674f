//! What a phase must move and compute at least, from the shapes alone.
//!
//! Counted are products (two operations a multiply-add) and attention's two products over the pairs that the mask lets
//! through; norms, activations and softmax are not. Of memory: every weight once each time it is needed, keys and values
//! of the cache as they are read and written, and the residual stream into and out of every layer. What a device could
//! keep beside its arithmetic (everything inside a layer) is not counted: a kernel that moves it has to be better than
//! one that does not.

use crate::model::{LlavaConfig, Precision};

/// Bytes of an activation, of a key or value in the cache, and of a trained parameter.
const F32: u64 = 4;

/// Bytes moved and floating-point operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Bytes that go to or come from the device's memory.
    pub bytes: u64,
    /// Additions and multiplications.
    pub flops: u64,
}

/// An adapter on every layer of the language model, of one rank: on attention LoRA, on the MLP LoRA or experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterShape {
    /// Rank of every pair.
    pub rank: usize,
    /// How many experts; `None` is plain LoRA on the MLP too.
    pub experts: Option<usize>,
}

/// A model's shape and how its weights are kept.
#[derive(Clone, Copy, Debug)]
pub struct Costs<'a> {
    config: &'a LlavaConfig,
    precision: Precision,
}

impl<'a> Costs<'a> {
    /// For a model of this shape.
    pub fn new(config: &'a LlavaConfig, precision: Precision) -> Self {
        Self { config, precision }
    }

    /// One picture through the vision tower and the projector.
    pub fn clip(&self) -> Cost {
        let (vision, d_model) = (&self.config.vision, self.config.text.hidden_size);
        let (w, f, patches) = (vision.hidden_size, vision.intermediate_size, vision.num_patches());
        let (tokens, seq) = (patches as u64 + 1, self.config.image_seq_len() as u64);
        let inputs = 3 * vision.patch_size * vision.patch_size;
        let layers = self.config.num_vision_layers_used() as u64;
        let layer = self.weights(&[[w, w], [w, w], [w, w], [w, w], [f, w], [w, f]]);
        let embedding = self.weights(&[[w, inputs]]);
        let projector = (d_model * w + d_model * d_model) as u64;
        let stream = 2 * F32 * tokens * w as u64;
        let pixels = F32 * 3 * (vision.image_size * vision.image_size) as u64;
        Cost {
            bytes: layers * (layer.bytes + stream)
                + embedding.bytes
                + F32 * projector
                + pixels
                + F32 * seq * d_model as u64,
            flops: layers * (2 * tokens * layer.parameters + 4 * tokens * tokens * w as u64)
                + 2 * patches as u64 * embedding.parameters
                + 2 * seq * projector,
        }
    }

    /// `tokens` through the language model into an empty cache, and the logits of the last.
    pub fn prefill(&self, tokens: usize) -> Cost {
        self.forward(tokens as u64, 0)
    }

    /// One token behind `context` others, and its logits.
    pub fn decode(&self, context: usize) -> Cost {
        self.forward(1, context as u64)
    }

    fn forward(&self, tokens: u64, context: u64) -> Cost {
        let text = &self.config.text;
        let (layer, head) = (self.weights(&self.layer()), self.weights(&[[text.vocab_size, text.hidden_size]]));
        let (width, layers) = (text.hidden_size as u64, text.num_hidden_layers as u64);
        let cached = 2 * F32 * (context + tokens) * (text.num_key_value_heads * text.head_dim) as u64;
        let stream = 2 * F32 * tokens * width;
        Cost {
            bytes: layers * (layer.bytes + cached + stream)
                + head.bytes
                + tokens * self.precision.bytes(1, text.hidden_size),
            flops: layers * (2 * tokens * layer.parameters + self.attention(tokens, context)) + 2 * head.parameters,
        }
    }

    /// One optimizer step over one sequence of `tokens`, of which `supervised` are learnt from; the base is frozen, and
    /// each layer runs again in the backward pass.
    ///
    /// A frozen product costs three of the forward pass (forward, again, the input's gradient), a trained one four.
    pub fn train(&self, tokens: usize, supervised: usize, adapter: AdapterShape) -> Cost {
        let text = &self.config.text;
        let (tokens, supervised) = (tokens as u64, supervised as u64);
        let (layer, head) = (self.weights(&self.layer()), self.weights(&[[text.vocab_size, text.hidden_size]]));
        let (width, layers) = (text.hidden_size as u64, text.num_hidden_layers as u64);
        let (used, trained) = self.adapter(adapter);
        // Into and out of the layer forward; its input and its output's gradient in, its input's gradient out backward.
        let stream = 5 * F32 * tokens * width;
        // Read three times, the gradient written; AdamW reads value, gradient and two moments, and writes three of them.
        let update = (3 + 1 + 7) * F32 * trained;
        Cost {
            bytes: layers * (3 * layer.bytes + stream + update)
                + 2 * head.bytes
                + tokens * self.precision.bytes(1, text.hidden_size),
            flops: layers * (6 * tokens * layer.parameters + 8 * tokens * used + 4 * self.attention(tokens, 0))
                + 4 * supervised * head.parameters,
        }
    }

    /// `q k^T` and `p v` of one layer: a query sees the context and the tokens up to itself.
    fn attention(&self, tokens: u64, context: u64) -> u64 {
        let text = &self.config.text;
        let pairs = tokens * context + tokens * (tokens + 1) / 2;
        4 * pairs * (text.num_attention_heads * text.head_dim) as u64
    }

    /// The adapter's parameters that a token meets in one layer, and all that are trained there.
    fn adapter(&self, adapter: AdapterShape) -> (u64, u64) {
        let [attention, mlp] = [0..4, 4..7].map(|part| self.layer()[part].iter().flatten().sum::<usize>());
        let (attention, mlp) = ((adapter.rank * attention) as u64, (adapter.rank * mlp) as u64);
        let Some(experts) = adapter.experts else { return (attention + mlp, attention + mlp) };
        let (experts, width) = (experts as u64, self.config.text.hidden_size as u64);
        let router = experts * width;
        (attention + mlp + router, attention + experts * mlp + router + experts)
    }

    /// `[out, in]` of a layer's matrices: attention's four, the MLP's three.
    fn layer(&self) -> [[usize; 2]; 7] {
        let text = &self.config.text;
        let (d, f) = (text.hidden_size, text.intermediate_size);
        let (q, kv) = (text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim);
        [[q, d], [kv, d], [kv, d], [d, q], [f, d], [f, d], [d, f]]
    }

    fn weights(&self, matrices: &[[usize; 2]]) -> Weights {
        let parameters = matrices.iter().map(|[rows, columns]| (rows * columns) as u64).sum();
        let bytes = matrices.iter().map(|&[rows, columns]| self.precision.bytes(rows, columns)).sum();
        Weights { parameters, bytes }
    }
}

/// Some matrices together.
struct Weights {
    parameters: u64,
    bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Width 8, two heads of 4 on one key head, FFN 16, vocabulary 32, two layers; a tower of width 4 over four patches.
    fn config() -> LlavaConfig {
        let json = json!({ "model_type": "llava", "image_token_index": 3, "vision_feature_layer": -1,
            "text_config": { "model_type": "llama", "vocab_size": 32, "hidden_size": 8, "intermediate_size": 16,
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1 },
            "vision_config": { "model_type": "clip_vision_model", "hidden_size": 4, "intermediate_size": 8,
                "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 4, "patch_size": 2 } });
        LlavaConfig::from_json(&json, None, None).expect("valid")
    }

    // A layer has 64 + 32 + 32 + 64 weights in attention and 3 * 128 in the MLP: 576. The output layer has 256.

    #[test]
    fn prefill_is_counted_as_by_hand() {
        // Three tokens see 1 + 2 + 3 keys of two heads of 4: 4 * 6 * 8 = 192 a layer.
        let flops = 2 * (2 * 3 * 576 + 192) + 2 * 256;
        // Keys and values of three tokens: 2 * 4 * 3 * 4. The stream: 2 * 4 * 3 * 8. Three rows of the embedding.
        let bytes = 2 * (4 * 576 + 96 + 192) + 4 * 256 + 3 * 4 * 8;
        assert_eq!(Costs::new(&config(), Precision::F32).prefill(3), Cost { bytes, flops });
    }

    #[test]
    fn a_step_reads_every_weight_and_the_cache_once() {
        // The fourth token sees four keys; three are read and one is written.
        let flops = 2 * (2 * 576 + 4 * 4 * 8) + 2 * 256;
        let bytes = 2 * (2 * 576 + 2 * 4 * 4 * 4 + 2 * 4 * 8) + 2 * 256 + 2 * 8;
        assert_eq!(Costs::new(&config(), Precision::F16).decode(3), Cost { bytes, flops });
    }

    #[test]
    fn a_picture_is_counted_as_by_hand() {
        // Five tokens; a layer has 4 * 16 + 2 * 32 = 128 weights; patches have 3 * 2 * 2 values; the projector is
        // 8 * 4 + 8 * 8 = 96 and sees four patches.
        let flops = 3 * (2 * 5 * 128 + 4 * 25 * 4) + 2 * 4 * 48 + 2 * 4 * 96;
        let bytes = 3 * (4 * 128 + 2 * 4 * 5 * 4) + 4 * 48 + 4 * 96 + 4 * 48 + 4 * 4 * 8;
        assert_eq!(Costs::new(&config(), Precision::F32).clip(), Cost { bytes, flops });
    }

    #[test]
    fn a_training_step_is_counted_as_by_hand() {
        // Rank 2: attention's pairs have 2 * (16 + 12 + 12 + 16) = 112 values, the MLP's 2 * 3 * 24 = 144.
        let costs = config();
        let costs = Costs::new(&costs, Precision::F32);
        let lora = costs.train(3, 2, AdapterShape { rank: 2, experts: None });
        let step = |used: u64, trained: u64| Cost {
            bytes: 2 * (3 * 4 * 576 + 5 * 4 * 3 * 8 + 44 * trained) + 2 * 4 * 256 + 3 * 4 * 8,
            flops: 2 * (6 * 3 * 576 + 8 * 3 * used + 4 * 192) + 4 * 2 * 256,
        };
        assert_eq!(lora, step(256, 256));
        // Three experts: a token meets one of them, and the router's 3 * 8; its biases are trained too.
        let mole = costs.train(3, 2, AdapterShape { rank: 2, experts: Some(3) });
        assert_eq!(mole, step(256 + 24, 112 + 3 * 144 + 24 + 3));
    }
}
