//! The demo model as it is put into the program: the base in f16, the experts beside it.

use std::path::Path;

use anyhow::Context;
use half::f16;
use mole_runtime::weights::{Checkpoint, ModelFiles};
use safetensors::tensor::{Dtype, TensorView};

/// Writes `out/model` and `out/adapter` from a trained base and its adapter.
pub fn package(base: &Path, adapter: &Path, out: &Path) -> anyhow::Result<()> {
    let (model, experts) = (out.join("model"), out.join("adapter"));
    for folder in [&model, &experts] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    for name in ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"] {
        copy(base, &model, name)?;
    }
    let path = model.join("model.safetensors");
    std::fs::write(&path, in_f16(base)?).with_context(|| path.display().to_string())?;
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        copy(adapter, &experts, name)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, name: &str) -> anyhow::Result<()> {
    std::fs::copy(from.join(name), to.join(name)).map(drop).with_context(|| from.join(name).display().to_string())
}

/// A checkpoint's tensors, each rounded to f16.
fn in_f16(base: &Path) -> anyhow::Result<Vec<u8>> {
    let checkpoint = Checkpoint::open(&ModelFiles::open(base)?, None)?;
    let mut tensors = Vec::new();
    for (name, info) in checkpoint.iter() {
        let values = checkpoint.read_f32(name)?;
        let bytes: Vec<u8> = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        tensors.push((info.name_in_file.clone(), info.shape.clone(), bytes));
    }
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in &tensors {
        views.push((name, TensorView::new(Dtype::F16, shape.clone(), bytes)?));
    }
    Ok(safetensors::serialize(views, None)?)
}
