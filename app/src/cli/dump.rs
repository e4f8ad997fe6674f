//! `dump`: what is inside one forward pass, as a safetensors file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use mole_runtime::engine::{Command, Dump, DumpRequest, Event};
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::args::{DumpArgs, Shared};
use super::session::{Session, read_pictures};

/// Runs the model once and writes the file.
pub fn run(shared: &Shared, args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let pictures = read_pictures(&args.images)?;
    check_writable(&args.out)?;
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
    let mut tensors = vec![
        ("input_ids", TensorView::new(Dtype::I64, vec![dump.input_ids.len()], &ids)?),
        ("pixel_values", TensorView::new(Dtype::F32, vec![images, 3, height, width], &pixels)?),
        ("image_features", TensorView::new(Dtype::F32, dump.feature_dims.to_vec(), &features)?),
        ("logits", TensorView::new(Dtype::F32, dump.logit_dims.to_vec(), &logits)?),
    ];
    let routing = dump.routing.as_ref().map(|routing| {
        let index: Vec<u8> = routing.index.iter().flat_map(|&expert| i64::from(expert).to_le_bytes()).collect();
        ([routing.layers, routing.tokens, routing.experts], bytes(&routing.probs), index)
    });
    if let Some((dims, probs, index)) = &routing {
        tensors.push(("router_probs", TensorView::new(Dtype::F32, dims.to_vec(), probs)?));
        tensors.push(("expert_index", TensorView::new(Dtype::I64, dims[..2].to_vec(), index)?));
    }
    write_file(path, &serialize(tensors, None)?)
}

/// Fails now where [`write_file`] would fail later for anything but a full disk.
pub(super) fn check_writable(path: &Path) -> anyhow::Result<()> {
    let check = || match std::fs::metadata(path) {
        Ok(old) if old.is_dir() => Err(std::io::Error::from(std::io::ErrorKind::IsADirectory)),
        Ok(old) if !old.is_file() => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => {
            let (_, aside) = aside(path);
            File::create(&aside)?;
            std::fs::remove_file(&aside)
        }
    };
    check().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that is there whole or, if that fails, as it was.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    replace(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The file itself, links followed, and where it is written before it takes that place.
fn aside(path: &Path) -> (PathBuf, PathBuf) {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // A name of its own length: the file's with something added could be too long.
    let aside = path.with_file_name(format!(".llava-mole-{}.part", std::process::id()));
    (path, aside)
}

/// Writes aside and renames, so that a full disk leaves an old file as it was.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A device or a pipe is written to: renamed over, it would be gone. A link stays, and leads to the new file.
    if std::fs::metadata(path).is_ok_and(|old| !old.is_file() && !old.is_dir()) {
        return std::fs::write(path, bytes);
    }
    let (path, aside) = aside(path);
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| std::fs::rename(&aside, &path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    replaced
}
