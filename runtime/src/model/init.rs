//! A model's first weights, drawn at random, for those who train one from nothing.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};

use super::LlavaConfig;

impl LlavaConfig {
    /// A safetensors file of f32 weights for a model of this configuration, drawn from `seed`.
    ///
    /// Matrices are uniform with variance 1 / inputs, so that a signal keeps its size through them (Glorot and Bengio,
    /// 2010); those that end a residual branch are smaller by the square root of the number of branches, as in GPT-2.
    /// The table of tokens has the variance 1/4, and so have the vision tower's positions: sines and cosines of row and
    /// column, so that from the first step on a patch can find its neighbours. Norms begin as the identity, biases at
    /// zero.
    ///
    /// The bytes are held in memory: this is for small models.
    pub fn random_weights(&self, seed: u64) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tensors = self.expected_tensors();
        let values = tensors.iter().map(|(name, shape)| {
            let count = shape.iter().product();
            let bound = match self.first(name, shape) {
                First::Constant(value) => return vec![value; count],
                First::Positions => return positions(shape[0] - 1, shape[1]),
                // A uniform distribution in +-bound has the variance bound^2 / 3.
                First::Variance(variance) => (3.0 * variance).sqrt(),
            };
            (0..count).map(|_| rng.random_range(-bound..bound)).collect::<Vec<f32>>()
        });
        let values: Vec<Vec<f32>> = values.collect();
        let views = tensors.iter().zip(&values).map(|((name, shape), values)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            (name, view.expect("as many values as the shape has places"))
        });
        safetensors::serialize(views, None).expect("names and shapes are the configuration's")
    }

    fn first(&self, name: &str, shape: &[usize]) -> First {
        if name.ends_with(".bias") {
            return First::Constant(0.0);
        }
        if name.contains("norm") {
            return First::Constant(1.0);
        }
        if name.contains("position_embedding") {
            return First::Positions;
        }
        if ["embed_tokens", "class_embedding"].iter().any(|table| name.contains(table)) {
            return First::Variance(0.25);
        }
        let inputs = shape[1..].iter().product::<usize>() as f32;
        let ends_branch = |names: &[&str]| names.iter().any(|part| name.contains(part));
        let branches = match name.starts_with("vision_tower") {
            true if ends_branch(&["out_proj", "fc2"]) => 2 * self.num_vision_layers_used(),
            false if ends_branch(&["o_proj", "down_proj"]) => 2 * self.text.num_hidden_layers,
            _ => 1,
        };
        First::Variance(1.0 / (inputs * branches as f32))
    }
}

/// `[patches + 1, width]`: zeros for the class token, then for each patch of the square the sines and cosines of its row
/// in the first half and of its column in the second, of wavelengths from 6 to 600 patches, with the variance 1/4.
fn positions(patches: usize, width: usize) -> Vec<f32> {
    let side = patches.isqrt();
    let mut table = vec![0.0; width];
    for patch in 0..patches {
        for at in [patch / side, patch % side] {
            let waves = width / 4;
            let angle = |wave: usize| at as f32 / 100f32.powf(wave as f32 / waves as f32);
            table.extend((0..waves).map(|wave| angle(wave).sin() / 2f32.sqrt()));
            table.extend((0..waves).map(|wave| angle(wave).cos() / 2f32.sqrt()));
        }
        // A width that is no multiple of four has some zeros more.
        table.resize((patch + 2) * width, 0.0);
    }
    table
}

/// How a tensor begins.
enum First {
    Constant(f32),
    Positions,
    Variance(f32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;
    use serde_json::json;

    fn config() -> LlavaConfig {
        let json = json!({ "model_type": "llava", "image_token_index": 3, "vision_feature_layer": -1,
            "text_config": { "model_type": "llama", "vocab_size": 500, "hidden_size": 64, "intermediate_size": 160,
                "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2 },
            "vision_config": { "model_type": "clip_vision_model", "hidden_size": 48, "intermediate_size": 96,
                "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 32, "patch_size": 8 } });
        LlavaConfig::from_json(&json, None, None).expect("valid")
    }

    #[test]
    fn every_tensor_is_there_and_the_seed_says_which() {
        let config = config();
        let bytes = config.random_weights(5);
        assert_eq!(bytes, config.random_weights(5));
        assert_ne!(bytes, config.random_weights(6));
        let file = SafeTensors::deserialize(&bytes).expect("whole");
        assert_eq!(file.len(), config.expected_tensors().len());
        for (name, shape) in config.expected_tensors() {
            assert_eq!(file.tensor(&name).expect("there").shape(), shape, "{name}");
        }
    }

    #[test]
    fn variances_are_those_that_keep_a_signals_size() {
        let bytes = config().random_weights(5);
        let file = SafeTensors::deserialize(&bytes).expect("whole");
        let square = |name: &str| {
            let tensor = file.tensor(name).expect("there");
            let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")));
            values.map(|value| value * value).sum::<f32>() / (tensor.data().len() / 4) as f32
        };
        let text = "language_model.model";
        for (name, variance) in [
            (format!("{text}.layers.0.mlp.gate_proj.weight"), 1.0 / 64.0),
            (format!("{text}.layers.1.mlp.down_proj.weight"), 1.0 / 160.0 / 4.0),
            (format!("{text}.layers.1.self_attn.o_proj.weight"), 1.0 / 64.0 / 4.0),
            (format!("{text}.embed_tokens.weight"), 0.25),
            ("language_model.lm_head.weight".to_string(), 1.0 / 64.0),
            ("vision_tower.vision_model.encoder.layers.0.mlp.fc2.weight".to_string(), 1.0 / 96.0 / 6.0),
            ("vision_tower.vision_model.embeddings.patch_embedding.weight".to_string(), 1.0 / 192.0),
        ] {
            assert!((square(&name) / variance - 1.0).abs() < 0.1, "{name}: {} of {variance}", square(&name));
        }
        assert_eq!(square(&format!("{text}.norm.weight")), 1.0);
        assert_eq!(square("vision_tower.vision_model.pre_layrnorm.bias"), 0.0);
        let table = square("vision_tower.vision_model.embeddings.position_embedding.weight");
        assert!((table / 0.25 * 17.0 / 16.0 - 1.0).abs() < 1e-3, "{table}");
    }

    #[test]
    fn a_patch_is_nearest_to_its_neighbours() {
        let (side, width) = (12, 48);
        let table = positions(side * side, width);
        assert_eq!(table.len(), (side * side + 1) * width);
        let row = |patch: usize| &table[(patch + 1) * width..(patch + 2) * width];
        let distance = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let of = 5 * side + 5;
        assert!(distance(of, of + 1) < distance(of, of + 2) && distance(of, of + 2) < distance(of, of + 5));
        assert!((distance(of, of + 1) - distance(of, of + side)).abs() < 1e-4);
    }
}
