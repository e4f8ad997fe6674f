//! What a model will take of a device's memory, before anything is allocated.

use serde::Serialize;

use super::adapter::AdapterSize;
use super::config::LlavaConfig;
use super::loader::Precision;
use crate::device::AdapterReport;
use crate::error::{Error, Result};

/// Positions assumed for the cache while loading: a few pictures and a page of text. A reply that needs more is measured
/// again.
const USUAL_CONTEXT: usize = 2048;

/// Tokens whose activations are alive at once: prompts are prefilled in pieces of this many.
pub const PREFILL_CHUNK: usize = 512;

/// Whether the matrix of this name is packed as `--weights` says. Position embeddings are added, not multiplied, and the
/// projector is small and trained: they stay in f32.
pub(super) fn is_packed(name: &str) -> bool {
    !["position_embedding", "multi_modal_projector"].iter().any(|part| name.contains(part))
}

/// Bytes by purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// Weights as they will lie on the device.
    pub weights: u64,
    /// The adapter, where there is one.
    pub adapter: u64,
    /// Keys and values of the context.
    pub kv_cache: u64,
    /// The largest set of activations alive at once.
    pub activations: u64,
    /// The largest single tensor: a kernel must be able to bind it.
    pub largest_tensor: u64,
    /// Its name.
    pub largest_tensor_name: String,
    #[serde(skip)]
    adapter_tensor: u64,
}

impl MemoryEstimate {
    /// Estimates a model with its weights in `precision` and a usual context.
    pub fn new(config: &LlavaConfig, precision: Precision) -> Self {
        Self::with_context(config, precision, config.text.max_position_embeddings.min(USUAL_CONTEXT))
    }

    /// Estimates a model with its weights in `precision` and a cache of `context` positions.
    pub fn with_context(config: &LlavaConfig, precision: Precision, context: usize) -> Self {
        let (mut weights, mut largest) = (0, (0, String::new()));
        for (name, shape) in config.expected_tensors() {
            let elements = shape.iter().map(|&dim| dim as u64).product::<u64>();
            let bytes = match shape.len() > 1 && is_packed(&name) {
                true => precision.bytes(shape[0], shape[1..].iter().product()),
                false => 4 * elements,
            };
            weights += bytes;
            if bytes > largest.0 {
                largest = (bytes, name);
            }
        }
        let text = &config.text;
        weights += 4 * (text.max_position_embeddings * text.head_dim) as u64;
        let context = context as u64;
        // Keys of one layer are one tensor.
        let kv_tensor = 4 * context * (text.num_key_value_heads * text.head_dim) as u64;
        if kv_tensor > largest.0 {
            largest = (kv_tensor, "the context's keys".to_string());
        }
        Self {
            weights,
            adapter: 0,
            adapter_tensor: 0,
            kv_cache: 2 * text.num_hidden_layers as u64 * kv_tensor,
            activations: Self::activations(config, context),
            largest_tensor: largest.0,
            largest_tensor_name: largest.1,
        }
    }

    /// With an adapter on the model.
    pub fn with_adapter(mut self, size: AdapterSize) -> Self {
        (self.adapter, self.adapter_tensor) = (size.total, size.largest_tensor);
        if size.largest_tensor > self.largest_tensor {
            self.largest_tensor = size.largest_tensor;
            self.largest_tensor_name = "the adapter's largest tensor".to_string();
        }
        self
    }

    /// The wider of the two towers: its residual stream, projections and MLP, and attention scores on the CPU.
    fn activations(config: &LlavaConfig, context: u64) -> u64 {
        let tower = |tokens: u64, width: usize, ffn: usize, heads: usize, keys: u64| {
            4 * tokens * (6 * width as u64 + 3 * ffn as u64 + 3 * heads as u64 * keys)
        };
        let (text, vision) = (&config.text, &config.vision);
        let chunk = (PREFILL_CHUNK as u64).min(context);
        let patches = vision.num_patches() as u64 + 1;
        let in_text = tower(chunk, text.hidden_size, text.intermediate_size, text.num_attention_heads, context);
        let in_vision =
            tower(patches, vision.hidden_size, vision.intermediate_size, vision.num_attention_heads, patches);
        in_text.max(in_vision) + 4 * text.vocab_size as u64
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.adapter + self.kv_cache + self.activations
    }

    /// Compares with what the device offers.
    ///
    /// # Errors
    /// [`Error::Memory`] with the figures and the flag that would make it fit.
    pub fn check(&self, config: &LlavaConfig, precision: Precision, device: &AdapterReport) -> Result<()> {
        let adapter = AdapterSize { total: self.adapter, largest_tensor: self.adapter_tensor };
        let fits = |estimate: &Self| {
            device.memory_bytes.is_none_or(|memory| estimate.total() <= memory)
                && estimate.largest_tensor <= device.max_binding_bytes
        };
        if fits(self) {
            return Ok(());
        }
        let smaller = Precision::ALL.into_iter().skip_while(|&other| other != precision).skip(1);
        let mut smaller = smaller.map(|other| (other, Self::new(config, other).with_adapter(adapter)));
        let way_out = match smaller.find(|(_, estimate)| fits(estimate)) {
            Some((other, estimate)) => format!("--weights {other} needs {} and fits", gigabytes(estimate.total())),
            None if device.backend == "flex" => "close other programs or choose a smaller model".to_string(),
            None => "choose a smaller model, or try --device cpu".to_string(),
        };
        let reason = if self.largest_tensor > device.max_binding_bytes {
            format!(
                "{} has {}, and {} binds at most {} at once",
                self.largest_tensor_name,
                gigabytes(self.largest_tensor),
                device.name,
                gigabytes(device.max_binding_bytes)
            )
        } else {
            let adapter = match self.adapter {
                0 => String::new(),
                bytes => format!("adapter {}, ", gigabytes(bytes)),
            };
            format!(
                "the model needs {} (weights {} in {precision}, {adapter}context {}, activations {}), and {} offers {}",
                gigabytes(self.total()),
                gigabytes(self.weights),
                gigabytes(self.kv_cache),
                gigabytes(self.activations),
                device.name,
                gigabytes(device.memory_bytes.unwrap_or(0))
            )
        };
        Err(Error::Memory(format!("{reason}; {way_out}")))
    }
}

/// Bytes for people: decimal units, as on the box of a card.
pub fn gigabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
