//! Has the driver compile a model's kernels while its weights are still on their way: a model of the same kind, a layer of
//! each part and as narrow as it can be, answers a prompt.

use std::thread::JoinHandle;

use burn::tensor::{DType, Tensor};
use pollster::block_on;

use super::decoder::Decoder;
use super::{Prompt, Session};
use crate::device::ComputeDevice;
use crate::error::Result;
use crate::model::{Llava, LlavaConfig, Precision};
use crate::ops::SampleParams;

/// Widths that every kernel for large models takes.
const WIDTH: usize = 128;

/// Tokens of the prompt: more than the kernels for a few rows take.
const TOKENS: usize = 16;

/// Begins on a thread of its own, which has a stream and memory of its own, and gives that back. `None` where there is
/// nothing to compile.
pub(crate) fn warm_up(config: &LlavaConfig, precision: Precision, device: &ComputeDevice) -> Option<JoinHandle<()>> {
    if !device.is_gpu() {
        return None;
    }
    let (config, device) = (narrowed(config), device.clone());
    let work = move || {
        // What goes wrong here goes wrong again with the model itself, and is told then.
        if let Err(error) = answer(config, precision, &device) {
            log::debug!("compiling ahead: {error}");
        }
        device.burn.memory_cleanup();
    };
    std::thread::Builder::new().name("warm-up".to_string()).spawn(work).ok()
}

/// Heads stay as wide as they are, and as many to a key's: those decide between kernels.
fn narrowed(config: &LlavaConfig) -> LlavaConfig {
    let mut config = config.first_layers(1, 1);
    let text = &mut config.text;
    text.num_attention_heads /= text.num_key_value_heads;
    text.num_key_value_heads = 1;
    (text.hidden_size, text.intermediate_size, text.vocab_size) = (WIDTH, WIDTH, WIDTH);
    text.max_position_embeddings = text.max_position_embeddings.min(2 * WIDTH);
    config.image_token_id = 0;
    let vision = &mut config.vision;
    vision.hidden_size = vision.head_dim();
    (vision.num_attention_heads, vision.intermediate_size) = (1, WIDTH);
    // Four patches and the class.
    vision.image_size = 2 * vision.patch_size;
    config
}

fn answer(config: LlavaConfig, precision: Precision, device: &ComputeDevice) -> Result<()> {
    let edge = config.vision.image_size;
    let model = block_on(Llava::random(config, precision, &device.burn))?;
    drop(model.encode_images(Tensor::zeros([1, 3, edge, edge], (&device.burn, DType::F32))));
    let prompt = Prompt { ids: vec![1; TOKENS], images: Vec::new() };
    let mut session = Session::new();
    let mut decoder = block_on(Decoder::start(&model, &mut session, &prompt, SampleParams::default(), 2))?;
    block_on(decoder.advance()?.read())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What goes wrong is told nobody: the toy must be one that answers, whatever it is the toy of.
    #[test]
    fn toys_of_large_models_answer() {
        let device = ComputeDevice::cpu();
        // LLaVA-1.5-7B, and a language model with grouped queries and tied embeddings.
        for (heads, kv_heads, tied) in [(32, 32, false), (32, 4, true)] {
            let config = json!({
                "model_type": "llava", "image_token_index": 32000, "vision_feature_layer": -2,
                "vision_feature_select_strategy": "default",
                "text_config": { "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
                    "num_hidden_layers": 32, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
                    "vocab_size": 32064, "max_position_embeddings": 4096, "tie_word_embeddings": tied },
                "vision_config": { "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
                    "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14 },
            });
            let config = narrowed(&LlavaConfig::from_json(&config, None, None).expect("a model's shape"));
            for precision in Precision::ALL {
                answer(config.clone(), precision, &device).unwrap_or_else(|error| panic!("{precision}: {error}"));
            }
        }
    }
}
