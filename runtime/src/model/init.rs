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
    /// Tables of tokens and positions have the variance 1/4; norms begin as the identity, biases at zero.
    ///
    /// The bytes are held in memory: this is for small models.
    pub fn random_weights(&self, seed: u64) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tensors = self.expected_tensors();
        let values = tensors.iter().map(|(name, shape)| {
            let count = shape.iter().product();
            let bound = match self.first(name, shape) {
                First::Constant(value) => return vec![value; count],
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
        if ["embed_tokens", "position_embedding", "class_embedding"].iter().any(|table| name.contains(table)) {
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

/// How a tensor begins.
enum First {
    Constant(f32),
    Variance(f32),
}
