//! `dump`: what is inside one forward pass, as a safetensors file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
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
    replace(path, &file).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes aside and renames, so that a full disk leaves an old file as it was.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A device or a pipe is written to: renamed over, it would be gone. A link stays, and leads to the new file.
    if std::fs::metadata(path).is_ok_and(|old| !old.is_file() && !old.is_dir()) {
        return std::fs::write(path, bytes);
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // A name of its own length: the file's with something added could be too long.
    let aside = path.with_file_name(format!(".llava-mole-{}.part", std::process::id()));
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| std::fs::rename(&aside, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    replaced
}
