//! Weights of random values for a model of any size: made on the device, with neither a file nor a copy on the host.
//!
//! A matrix is a block of at most 64 rows, drawn on the host and packed as any other, that the device repeats: its values
//! and scales are sound whatever the precision, and what is uploaded does not grow with the model. How long a kernel takes
//! does not depend on the values.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::LlavaConfig;
use super::loader::Precision;
use crate::ops::{PackedWeight, Weight};

/// The most rows that are drawn.
const BLOCK_ROWS: usize = 64;

/// The weights of a configuration. The same name has the same values each time.
#[derive(Clone, Debug)]
pub struct RandomWeights {
    /// Every tensor's number and shape.
    tensors: BTreeMap<String, (u64, Vec<usize>)>,
}

impl RandomWeights {
    /// The tensors that `config` names.
    pub fn new(config: &LlavaConfig) -> Self {
        let tensors = config.expected_tensors().into_iter().enumerate();
        Self { tensors: tensors.map(|(seed, (name, shape))| (name, (seed as u64, shape))).collect() }
    }

    /// A square matrix.
    pub fn square(edge: usize, precision: Precision, device: &Device) -> Weight {
        let name = "square".to_string();
        Self { tensors: BTreeMap::from([(name.clone(), (0, vec![edge, edge]))]) }.weight(&name, precision, device)
    }

    /// Rows and columns of a matrix.
    pub(super) fn dims(&self, name: &str) -> [usize; 2] {
        let (_, shape) = &self.tensors[name];
        [shape[0], shape[1..].iter().product()]
    }

    /// A matrix as `precision` keeps it; dims behind the first are flattened.
    pub(super) fn weight(&self, name: &str, precision: Precision, device: &Device) -> Weight {
        let (rows, columns, values) = self.block(name);
        let Some(layout) = precision.layout(columns) else { return Weight::F32(self.full_precision(name, device)) };
        let block_rows = values.len() / columns;
        let mut words = vec![0; block_rows * layout.row_words()];
        layout.pack(&values, &mut words);
        let block = TensorData::new(words, [block_rows, layout.row_words()]);
        let block: Tensor<2, Int> = Tensor::from_data(block, (device, DType::U32));
        let words = device.memory_persistent_allocations(block, |block| {
            let [block_rows, words] = block.dims();
            let copies = rows / block_rows;
            block.unsqueeze::<3>().expand([copies, block_rows, words]).reshape([rows, words])
        });
        Weight::Packed(PackedWeight { words, layout })
    }

    /// A matrix in f32.
    pub(super) fn full_precision(&self, name: &str, device: &Device) -> Tensor<2> {
        let (rows, columns, values) = self.block(name);
        let block = TensorData::new(values, [block_rows(rows), columns]);
        let block: Tensor<2> = Tensor::from_data(block, (device, DType::F32));
        device.memory_persistent_allocations(block, |block| {
            let [block_rows, columns] = block.dims();
            block.unsqueeze::<3>().expand([rows / block_rows, block_rows, columns]).reshape([rows, columns])
        })
    }

    /// A vector: norms are the identity, biases zero.
    pub(super) fn vector(&self, name: &str, device: &Device) -> Tensor<1> {
        let (_, shape) = &self.tensors[name];
        let value = if name.contains("norm") && name.ends_with("weight") { 1.0f32 } else { 0.0 };
        Tensor::from_data(TensorData::new(vec![value; shape[0]], [shape[0]]), (device, DType::F32))
    }

    /// Rows, columns, and the values of the rows that are repeated: uniform with variance 1 / inputs, so that a signal
    /// keeps its size.
    fn block(&self, name: &str) -> (usize, usize, Vec<f32>) {
        let (seed, shape) = &self.tensors[name];
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        let bound = (3.0 / columns as f32).sqrt();
        let values = (0..block_rows(rows) * columns).map(|_| rng.random_range(-bound..bound)).collect();
        (rows, columns, values)
    }
}

/// The largest power of two up to [`BLOCK_ROWS`] that divides `rows`: the block then fits a whole number of times.
fn block_rows(rows: usize) -> usize {
    1 << rows.trailing_zeros().min(BLOCK_ROWS.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Llava;
    use serde_json::json;

    #[test]
    fn a_model_of_random_weights_computes_with_every_precision() {
        let json = json!({ "model_type": "llava", "image_token_index": 3, "vision_feature_layer": -1,
            "text_config": { "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 160,
                "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2 },
            "vision_config": { "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 96,
                "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32, "patch_size": 8 } });
        let config = LlavaConfig::from_json(&json, None, None).expect("valid");
        for precision in Precision::ALL {
            let loaded = pollster::block_on(Llava::random(config.clone(), precision, &Device::flex()));
            let model = loaded.expect("nothing is read").first_layers(2, 1);
            assert_eq!((model.text.layers.len(), model.config.num_vision_layers_used()), (2, 1));
            let pictures = model.encode_images(Tensor::ones([1, 3, 32, 32], &Device::flex()));
            assert_eq!(pictures.dims(), [1, 16, 64]);
            let x = Tensor::cat(vec![model.embed_text(&[1, 2]).expect("in the vocabulary"), pictures], 1);
            let hidden = model.text.forward(x, &mut model.kv_cache(18), &model.position(0), None);
            let logits: Vec<f32> = model.text.logits(hidden).into_data().try_into_vec().expect("f32");
            let largest = logits.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
            assert!(largest > 0.01 && largest < 100.0, "{precision}: {largest}");
        }
    }
}
