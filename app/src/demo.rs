//! The demo model: a small LLaVA-MoLE inside the program, for those who have no checkpoint yet. A page fetches it instead.

use std::borrow::Cow;
use std::sync::Arc;

use mole_runtime::engine::ModelSource;
use mole_runtime::weights::{MemoryFiles, ModelFiles};

/// Files of a folder of the demo model, each under its name.
macro_rules! embedded {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../assets/demo/", $folder, "/", $name)))),*]
    };
}

/// What a model of its shape begins with: everything but the tokenizer and the weights.
pub const SHAPE: &[(&str, &[u8])] =
    embedded!("model": "config.json" "preprocessor_config.json" "tokenizer_config.json");

/// The base checkpoint.
pub const MODEL: &[(&str, &[u8])] = embedded!("model": "config.json" "preprocessor_config.json" "tokenizer_config.json"
    "tokenizer.json" "model.safetensors");

/// The experts.
pub const ADAPTER: &[(&str, &[u8])] = embedded!("adapter": "adapter_config.json" "adapter_model.safetensors");

/// The base checkpoint, to load.
pub fn model() -> ModelSource {
    source("the demo model", MODEL)
}

/// Its experts, to load.
pub fn adapter() -> ModelSource {
    source("the demo experts", ADAPTER)
}

fn source(name: &str, files: &[(&str, &'static [u8])]) -> ModelSource {
    let files: MemoryFiles = files.iter().map(|&(name, bytes)| (name.to_string(), Cow::Borrowed(bytes))).collect();
    ModelSource::Files(Arc::new(ModelFiles::from_memory(name, files)), name.to_string())
}
