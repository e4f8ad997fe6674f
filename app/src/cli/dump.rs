//! `dump`: what is inside one forward pass, as a safetensors file.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use mole_runtime::engine::{Command, Dump, DumpRequest, Event};
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::args::{DumpArgs, Shared};
use super::session::{Session, read_pictures};

/// Runs the model once and writes the file.
pub fn run(shared: &Shared, args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let pictures = read_pictures(&args.images)?;
    let session = Session::open(shared)?;
    let request = Command::Dump(DumpRequest { prompt: args.prompt.clone(), pictures });
    let dump = session.request(request, |event| match event {
        Event::Dumped(dump) => Some(dump),
        _ => None,
    })?;
    write(&dump, &args.out)?;
    eprintln!("{}: logits {:?}", args.out.display(), dump.logit_dims);
    Ok(ExitCode::SUCCESS)
}

fn write(dump: &Dump, path: &Path) -> anyhow::Result<()> {
    let ids: Vec<u8> = dump.input_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let [images, height, width] = dump.pixel_dims;
    let (pixels, features, logits) = (bytes(&dump.pixel_values), bytes(&dump.image_features), bytes(&dump.logits));
    let tensors = [
        ("input_ids", TensorView::new(Dtype::I64, vec![dump.input_ids.len()], &ids)?),
        ("pixel_values", TensorView::new(Dtype::F32, vec![images, 3, height, width], &pixels)?),
        ("image_features", TensorView::new(Dtype::F32, dump.feature_dims.to_vec(), &features)?),
        ("logits", TensorView::new(Dtype::F32, dump.logit_dims.to_vec(), &logits)?),
    ];
    let file = serialize(tensors, None)?;
    // Written aside and renamed: a full disk leaves an old file as it was.
    let name = path.file_name().ok_or_else(|| anyhow!("{} is not a file name", path.display()))?;
    let mut aside = name.to_os_string();
    aside.push(".part");
    let aside = path.with_file_name(aside);
    let written = std::fs::write(&aside, file).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
