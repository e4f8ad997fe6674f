//! What a run will take of a device's memory, before anything is allocated.

use serde::Serialize;

use super::config::{Stage, TrainConfig};
use super::window::cores;
use crate::device::{AdapterKind, AdapterReport};
use crate::error::{Error, Result};
use crate::model::adapter::{AdapterConfig, Target};
use crate::model::{LlavaConfig, MemoryEstimate, Precision, gigabytes};

/// Columns of the vocabulary whose logits are there at once.
const LOGIT_CHUNK: u64 = 8192;

/// Bytes by purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrainMemory {
    /// Frozen weights as they lie on the device.
    pub weights: u64,
    /// Trained parameters, their gradients, and AdamW's two moments: 16 bytes each, and 4 more for every further set of
    /// gradients that is there at once.
    pub trained: u64,
    /// Every layer's input, or all that is computed in it, kept for the backward pass.
    pub layer_inputs: u64,
    /// One layer with its tape, or the loss, or the vision tower: whichever is largest.
    pub activations: u64,
    /// The largest single tensor: a kernel must be able to bind it.
    pub largest_tensor: u64,
}

impl TrainMemory {
    /// Estimates a run on such a device, whose micro-batches hold at most `tokens` positions, `longest` of them in one sample.
    pub fn new(
        config: &TrainConfig,
        model: &LlavaConfig,
        precision: Precision,
        longest: usize,
        device: AdapterKind,
    ) -> Self {
        let base = MemoryEstimate::with_context(model, precision, 0);
        let tokens = (longest * config.train.micro_batch) as u64;
        let trained = trained_parameters(config, model);
        // Where every weight is trained, it is counted there.
        let weights = if config.stage == Stage::Full { 0 } else { base.weights };
        let (text, vision) = (&model.text, &model.vision);
        let (d_model, ffn) = (text.hidden_size as u64, text.intermediate_size as u64);
        let q = (text.num_attention_heads * text.head_dim) as u64;
        let kv = (text.num_key_value_heads * text.head_dim) as u64;
        // Forward values that a tape keeps, and as much again for their gradients; on the CPU, and nowhere else, also the
        // scores of one sample.
        let layer = 2 * tokens * (7 * d_model + 4 * q + 4 * kv + 7 * ffn);
        let on_cpu = device == AdapterKind::Cpu;
        let scores = if on_cpu { 4 * (text.num_attention_heads as u64) * (longest as u64).pow(2) } else { 0 };
        // Where the CPU computes several micro-batches at once, all of this, and the gradients, are there several times.
        let at_once = if on_cpu { cores().min(config.train.accumulation) as u64 } else { 1 };
        let loss = tokens * (2 * LOGIT_CHUNK.min(text.vocab_size as u64) + 3 * d_model);
        let patches = vision.num_patches() as u64 + 1;
        let width = vision.hidden_size as u64;
        let tower_scores = if on_cpu { 3 * vision.num_attention_heads as u64 * patches.pow(2) } else { 0 };
        let tower = patches * (6 * width + 3 * vision.intermediate_size as u64) + tower_scores;
        // Every picture of a micro-batch goes through together; a sample is taken to have one. On a tape all layers are
        // kept.
        let kept_layers = if config.stage == Stage::Full { model.num_vision_layers_used() } else { 1 };
        let kept = (kept_layers * config.train.micro_batch) as u64;
        Self {
            weights,
            trained: (12 + 4 * if at_once > 1 { at_once + 1 } else { 1 }) * trained,
            layer_inputs: at_once
                * 4
                * text.num_hidden_layers as u64
                * if config.train.recompute { tokens * d_model } else { layer },
            activations: at_once * 4 * (layer + scores).max(loss).max(tower * kept),
            largest_tensor: base.largest_tensor.max(4 * tokens * ffn.max(LOGIT_CHUNK.min(text.vocab_size as u64))),
        }
    }

    /// All of it, were the weights as large as this.
    fn with_weights(&self, weights: u64) -> u64 {
        self.total() - self.weights + weights
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.trained + self.layer_inputs + self.activations
    }

    /// Compares with what the device offers.
    ///
    /// # Errors
    /// [`Error::Memory`] with the figures and what would make it fit.
    pub fn check(&self, precision: Precision, device: &AdapterReport) -> Result<()> {
        if self.largest_tensor > device.max_binding_bytes {
            return Err(Error::Memory(format!(
                "training needs a tensor of {}, and {} binds at most {} at once; lower train.micro_batch or \
                 train.max_length, or use --weights f16",
                gigabytes(self.largest_tensor),
                device.name,
                gigabytes(device.max_binding_bytes)
            )));
        }
        let Some(offers) = device.memory_bytes.filter(|&memory| self.total() > memory) else { return Ok(()) };
        let way_out = match precision {
            Precision::F32 if self.weights > 0 && self.with_weights(self.weights / 2) <= offers => {
                "--weights f16 halves the weights and fits"
            }
            // 4.5 bits a weight.
            Precision::F32 if self.weights > 0 && self.with_weights(self.weights / 7) <= offers => {
                "--weights q4 makes the weights a seventh and fits"
            }
            Precision::F16 if self.with_weights(2 * self.weights / 7) <= offers => {
                "--weights q4 makes the weights two sevenths and fits"
            }
            _ if self.weights + self.trained < offers => {
                "lower train.micro_batch (raise train.accumulation) or max_length"
            }
            _ => "choose a smaller model, a lower rank or another device",
        };
        Err(Error::Memory(format!(
            "training needs {} (weights {} in {precision}, trained parameters with their optimizer {}, layer inputs {}, \
             activations {}), and {} offers {}; {way_out}",
            gigabytes(self.total()),
            gigabytes(self.weights),
            gigabytes(self.trained),
            gigabytes(self.layer_inputs),
            gigabytes(self.activations),
            device.name,
            gigabytes(offers)
        )))
    }
}

/// How many parameters a run trains.
pub fn trained_parameters(config: &TrainConfig, model: &LlavaConfig) -> u64 {
    let size = |shape: &[usize]| shape.iter().map(|&dim| dim as u64).product::<u64>();
    let of_model = |part: &str| -> u64 {
        model.expected_tensors().iter().filter(|(name, _)| name.starts_with(part)).map(|(_, shape)| size(shape)).sum()
    };
    match config.stage {
        Stage::Full => of_model(""),
        Stage::Projector => of_model("multi_modal_projector."),
        Stage::Finetune => of_model("multi_modal_projector.") + adapter_parameters(&config.adapter(), model),
    }
}

/// How many parameters an adapter has, without a projector.
fn adapter_parameters(adapter: &AdapterConfig, model: &LlavaConfig) -> u64 {
    let text = &model.text;
    let (d_model, ffn) = (text.hidden_size, text.intermediate_size);
    let (q, kv) = (text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim);
    let both = |target: &Target| match target {
        Target::QProj | Target::OProj => d_model + q,
        Target::KProj | Target::VProj => d_model + kv,
        Target::GateProj | Target::UpProj | Target::DownProj => d_model + ffn,
    };
    let lora: usize = adapter.lora.targets.iter().map(both).sum::<usize>() * adapter.lora.rank;
    let experts =
        adapter.mole.as_ref().map_or(0, |mole| mole.experts * (3 * mole.rank * (d_model + ffn) + d_model + 1));
    (text.num_hidden_layers * (lora + experts)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MODEL.md's figure for the paper's setting: 173M trainable at 7B, rank 32, three experts.
    #[test]
    fn the_papers_setting_trains_the_papers_number_of_parameters() {
        let config = TrainConfig::parse(
            "model = \"m\"\noutput = \"o\"\n[lora]\nrank = 32\nalpha = 64\n[mole]\nexperts = 3\nrank = 32\nalpha = 64\n\
             [[data]]\nname = \"a\"\npath = \"a.jsonl\"\n[train]\nsteps = 1\nlr = 1e-4\n",
            "test",
        )
        .unwrap();
        let json = serde_json::json!({ "model_type": "llava", "image_token_index": 32000,
            "text_config": { "model_type": "llama", "vocab_size": 32064 },
            "vision_config": { "model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336,
                "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14 } });
        let model = LlavaConfig::from_json(&json, None, None).unwrap();
        let millions = adapter_parameters(&config.adapter(), &model) as f64 / 1e6;
        assert!((170.0..=176.0).contains(&millions), "{millions}");
        let memory = TrainMemory::new(&config, &model, Precision::F16, 2048, AdapterKind::Discrete);
        assert!((15e9..25e9).contains(&(memory.total() as f64)), "{memory:?}");
        let mut config = config;
        config.train.recompute = false;
        let kept = TrainMemory::new(&config, &model, Precision::F16, 2048, AdapterKind::Discrete);
        assert_eq!(kept.layer_inputs, 32 * memory.activations, "every layer's activations, where one layer's are most");
    }
}
