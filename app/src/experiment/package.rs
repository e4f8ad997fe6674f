//! The demo model as it is put into the program: the base and the experts in f16.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use half::f16;
use mole_runtime::weights::{Checkpoint, ModelFiles};
use safetensors::tensor::{Dtype, TensorView};

/// Writes `out/model` and `out/adapter` from a trained base and its adapter, each in one file of weights.
pub fn package(base: &Path, adapter: &Path, out: &Path) -> anyhow::Result<()> {
    let model = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"];
    folder(base, &out.join("model"), &model, "model.safetensors")?;
    folder(adapter, &out.join("adapter"), &["adapter_config.json"], "adapter_model.safetensors")
}

fn folder(from: &Path, to: &Path, files: &[&str], weights: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for name in files {
        std::fs::copy(from.join(name), to.join(name)).with_context(|| from.join(name).display().to_string())?;
    }
    let path = to.join(weights);
    std::fs::write(&path, in_f16(from, weights)?).with_context(|| path.display().to_string())
}

/// A file's tensors under their names, each rounded to f16.
fn in_f16(folder: &Path, file: &str) -> anyhow::Result<Vec<u8>> {
    let stored = Checkpoint::open_file(&ModelFiles::open(folder)?, file)?;
    let mut tensors = Vec::new();
    for (name, info) in stored.iter() {
        let values = stored.read_f32(name)?;
        let bytes: Vec<u8> = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        tensors.push((name, info.shape.clone(), bytes));
    }
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in &tensors {
        views.push((name, TensorView::new(Dtype::F16, shape.clone(), bytes)?));
    }
    // transformers reads a file only if it says whose layout it has.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_is_there_in_f16_and_the_other_files_are_as_they_were() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        let (base, adapter) = (fixtures.join("two_images/model"), fixtures.join("adapters/mole"));
        let out = tempfile::tempdir().unwrap();
        package(&base, &adapter, out.path()).unwrap();
        for (from, part, weights) in
            [(&base, "model", "model.safetensors"), (&adapter, "adapter", "adapter_model.safetensors")]
        {
            let packaged = out.path().join(part);
            let open = |folder: &Path| Checkpoint::open_file(&ModelFiles::open(folder).unwrap(), weights).unwrap();
            let (before, after) = (open(from), open(&packaged));
            assert!(before.iter().count() > 10 && before.iter().count() == after.iter().count());
            for (name, info) in before.iter() {
                let rounded: Vec<f32> =
                    before.read_f32(name).unwrap().iter().map(|&value| f16::from_f32(value).to_f32()).collect();
                assert!(rounded.iter().any(|&value| value != 0.0), "{name}");
                assert_eq!(after.read_f32(name).unwrap(), rounded, "{name}");
                let stored = after.get(name).unwrap();
                assert_eq!((&stored.shape, stored.dtype), (&info.shape, Dtype::F16), "{name}");
            }
            for file in std::fs::read_dir(&packaged).unwrap().map(|file| file.unwrap().file_name()) {
                if file != weights {
                    let read = |folder: &Path| std::fs::read(folder.join(&file)).unwrap();
                    assert_eq!(read(&packaged), read(from), "{file:?}");
                }
            }
        }
        assert_eq!(std::fs::read_dir(out.path().join("model")).unwrap().count(), 5);
        assert_eq!(std::fs::read_dir(out.path().join("adapter")).unwrap().count(), 2);
    }
}
