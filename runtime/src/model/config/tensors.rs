//! The tensors a model of this configuration is made of, by their names in Hugging Face's layout (transformers 4).
//!
//! The list is the contract between config and checkpoint: it is compared with the file's header before anything is
//! read, so that a model is loaded whole or not at all.

use super::LlavaConfig;

const VISION: &str = "vision_tower.vision_model";
const TEXT: &str = "language_model.model";
const LM_HEAD: &str = "language_model.lm_head.weight";

impl LlavaConfig {
    /// Name and shape of every tensor the model needs: the vision tower as far as its features come from, the
    /// projector, the language model. Linear weights are `[out, in]`.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = List(Vec::new());
        self.vision_tensors(&mut list);
        let (w, d) = (self.vision.hidden_size, self.text.hidden_size);
        list.affine("multi_modal_projector.linear_1", &[d, w]);
        list.affine("multi_modal_projector.linear_2", &[d, d]);
        self.text_tensors(&mut list);
        list.0
    }

    /// Tensors that a complete checkpoint also holds and this model does not use: the vision layers behind its
    /// features and the norm after them, and an output layer that repeats the embedding.
    pub fn unused_tensors(&self) -> Vec<String> {
        let mut list = List(Vec::new());
        list.affine(&format!("{VISION}.post_layernorm"), &[]);
        for layer in self.num_vision_layers_used()..self.vision.num_hidden_layers {
            self.vision_layer(&mut list, layer);
        }
        if self.text.tie_word_embeddings {
            list.one(LM_HEAD.to_owned(), &[]);
        }
        list.0.into_iter().map(|(name, _)| name).collect()
    }

    fn vision_tensors(&self, list: &mut List) {
        let (w, p) = (self.vision.hidden_size, self.vision.patch_size);
        list.one(format!("{VISION}.embeddings.class_embedding"), &[w]);
        list.one(format!("{VISION}.embeddings.patch_embedding.weight"), &[w, 3, p, p]);
        list.one(format!("{VISION}.embeddings.position_embedding.weight"), &[self.vision.num_patches() + 1, w]);
        // The name is spelt so in every CLIP checkpoint.
        list.affine(&format!("{VISION}.pre_layrnorm"), &[w]);
        for layer in 0..self.num_vision_layers_used() {
            self.vision_layer(list, layer);
        }
    }

    fn vision_layer(&self, list: &mut List, layer: usize) {
        let (w, f) = (self.vision.hidden_size, self.vision.intermediate_size);
        let layer = format!("{VISION}.encoder.layers.{layer}");
        for proj in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            list.affine(&format!("{layer}.self_attn.{proj}"), &[w, w]);
        }
        list.affine(&format!("{layer}.layer_norm1"), &[w]);
        list.affine(&format!("{layer}.layer_norm2"), &[w]);
        list.affine(&format!("{layer}.mlp.fc1"), &[f, w]);
        list.affine(&format!("{layer}.mlp.fc2"), &[w, f]);
    }

    fn text_tensors(&self, list: &mut List) {
        let text = &self.text;
        let (v, d, f) = (text.vocab_size, text.hidden_size, text.intermediate_size);
        let q = text.num_attention_heads * text.head_dim;
        let kv = text.num_key_value_heads * text.head_dim;
        list.one(format!("{TEXT}.embed_tokens.weight"), &[v, d]);
        for layer in 0..text.num_hidden_layers {
            let mut add = |name: &str, shape: &[usize]| list.one(format!("{TEXT}.layers.{layer}.{name}.weight"), shape);
            add("input_layernorm", &[d]);
            add("self_attn.q_proj", &[q, d]);
            add("self_attn.k_proj", &[kv, d]);
            add("self_attn.v_proj", &[kv, d]);
            add("self_attn.o_proj", &[d, q]);
            add("post_attention_layernorm", &[d]);
            add("mlp.gate_proj", &[f, d]);
            add("mlp.up_proj", &[f, d]);
            add("mlp.down_proj", &[d, f]);
        }
        list.one(format!("{TEXT}.norm.weight"), &[d]);
        if !text.tie_word_embeddings {
            list.one(LM_HEAD.to_owned(), &[v, d]);
        }
    }
}

struct List(Vec<(String, Vec<usize>)>);

impl List {
    fn one(&mut self, name: String, shape: &[usize]) {
        self.0.push((name, shape.to_vec()));
    }

    /// A weight of this shape and a bias as long as its first dimension.
    fn affine(&mut self, name: &str, shape: &[usize]) {
        self.one(format!("{name}.weight"), shape);
        self.one(format!("{name}.bias"), &shape[..shape.len().min(1)]);
    }
}
