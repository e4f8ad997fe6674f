//! Writes a checkpoint anew with its matrices in f16, q8 or q4: smaller on disk, and loaded without conversion.
//!
//! Tensors keep Hugging Face's names. A matrix in q8 or q4 is a tensor of bytes `[rows, blocks, bytes of a block]`, the
//! blocks those of GGML's Q8_0 and Q4_0; what the runtime keeps in f32 (norms, biases, position embeddings, the
//! projector) stays as it is stored. One tensor is in memory at a time.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::config::LlavaConfig;
use super::estimate::is_packed;
use super::loader::{LoadProgress, Precision};
use crate::error::{Error, Result};
use crate::packed::PackedFormat;
use crate::weights::{Checkpoint, Dtype, Layout, ModelFiles, TensorInfo};

/// The largest of the files that are copied beside the weights.
const MAX_SMALL_FILE: u64 = 64 << 20;

/// How one tensor is written.
struct Plan {
    name: String,
    form: Form,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: u64,
}

enum Form {
    /// Its bytes as they are.
    Copy,
    F32,
    /// Rows packed for `Precision::layout`.
    Packed,
}

impl Plan {
    fn new(name: &str, stored: &TensorInfo, precision: Precision) -> Self {
        let (rows, columns) = (stored.shape[0], stored.shape[1..].iter().product::<usize>());
        let layout = (stored.shape.len() == 2 && is_packed(name)).then(|| precision.layout(columns));
        let (form, dtype, shape, bytes) = match layout {
            None => (Form::Copy, stored.dtype, stored.shape.clone(), stored.bytes),
            Some(None) => (Form::F32, Dtype::F32, stored.shape.clone(), 4 * stored.elements() as u64),
            Some(Some(layout)) => match layout.block_bytes() {
                Some(block_bytes) => {
                    let shape = vec![rows, columns / layout.block(), block_bytes];
                    let bytes = shape.iter().product::<usize>() as u64;
                    (Form::Packed, Dtype::U8, shape, bytes)
                }
                None => (Form::Packed, Dtype::F16, stored.shape.clone(), 2 * stored.elements() as u64),
            },
        };
        Self { name: name.to_string(), form, dtype, shape, bytes }
    }

    fn write(&self, checkpoint: &Checkpoint, precision: Precision, out: &mut impl Write) -> Result<io::Result<()>> {
        Ok(match self.form {
            Form::Copy => out.write_all(&checkpoint.read_bytes(&self.name)?),
            Form::F32 => out.write_all(bytemuck::cast_slice(&checkpoint.read_f32(&self.name)?)),
            Form::Packed => {
                let columns = checkpoint.get(&self.name).expect("planned from it").shape[1];
                let layout = precision.layout(columns).expect("planned as packed");
                let words = checkpoint.read_packed(&self.name, layout)?;
                match layout.format {
                    PackedFormat::F16 => out.write_all(bytemuck::cast_slice(&words)),
                    _ => out.write_all(&layout.blocks_of_words(&words)),
                }
            }
        })
    }
}

/// Writes the model in `files` to the folder `out`, which must not be there or be empty; returns the bytes of its weights.
///
/// # Errors
/// [`Error::Config`] for a checkpoint in LLaVA's original layout, [`Error::Io`] with the file that could not be written
/// (nothing is left of it then), and whatever reading the checkpoint can cause.
pub fn convert(
    files: &ModelFiles,
    precision: Precision,
    out: &Path,
    on_progress: &mut dyn FnMut(LoadProgress),
) -> Result<u64> {
    let (config, tower) = LlavaConfig::read(files)?;
    let checkpoint = Checkpoint::open(files, tower.as_ref())?;
    let expected = config.expected_tensors();
    checkpoint.check(&expected, &config.unused_tensors())?;
    if checkpoint.layout() == Layout::Original {
        return Err(Error::Config {
            file: "config.json".to_string(),
            reason: "is of LLaVA's original layout, and a Hugging Face checkpoint is written; convert it with \
                     transformers first"
                .to_string(),
        });
    }
    let refused = |source| Error::Io { path: out.to_path_buf(), source };
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(refused(io::Error::new(io::ErrorKind::AlreadyExists, "is not empty; name another folder")));
    }
    let aside = aside(out);
    let written = write_all(files, &checkpoint, &expected, precision, &aside, on_progress).and_then(|bytes| {
        // An empty folder may stand in the way.
        let _ = fs::remove_dir(out);
        fs::rename(&aside, out).map_err(refused)?;
        Ok(bytes)
    });
    if written.is_err() {
        // A full disk gets its space back; the error that matters is the first.
        let _ = fs::remove_dir_all(&aside);
    }
    written
}

/// Where a folder is written before it gets its name.
fn aside(out: &Path) -> PathBuf {
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    out.with_file_name(format!(".writing-{name}"))
}

fn write_all(
    files: &ModelFiles,
    checkpoint: &Checkpoint,
    expected: &[(String, Vec<usize>)],
    precision: Precision,
    folder: &Path,
    on_progress: &mut dyn FnMut(LoadProgress),
) -> Result<u64> {
    let io_error = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    };
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    for name in files.names()? {
        let small = [".json", ".jinja", ".txt", ".model"].iter().any(|end| name.ends_with(end));
        if small
            && !name.ends_with(".index.json")
            && !name.starts_with("adapter_")
            && let Some(bytes) = files.read_bytes(&name, MAX_SMALL_FILE)?
        {
            let path = folder.join(&name);
            fs::write(&path, bytes).map_err(io_error(&path))?;
        }
    }
    let stored = |name: &str| checkpoint.get(name).expect("the checkpoint was checked against the config");
    let plans: Vec<Plan> = expected.iter().map(|(name, _)| Plan::new(name, stored(name), precision)).collect();
    let total_bytes = plans.iter().map(|plan| plan.bytes).sum();
    let path = folder.join("model.safetensors");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(io_error(&path))?);
    out.write_all(&header(&plans)).map_err(io_error(&path))?;
    let mut done_bytes = 0;
    for plan in &plans {
        plan.write(checkpoint, precision, &mut out)?.map_err(io_error(&path))?;
        done_bytes += plan.bytes;
        on_progress(LoadProgress { done_bytes, total_bytes });
    }
    let file = out.into_inner().map_err(|error| io_error(&path)(error.into_error()))?;
    file.sync_all().map_err(io_error(&path))?;
    Ok(total_bytes)
}

/// The head of a safetensors file: its length, then where each tensor is, padded with spaces to 8 bytes.
fn header(plans: &[Plan]) -> Vec<u8> {
    let mut table = Map::new();
    table.insert("__metadata__".to_string(), json!({ "format": "pt" }));
    let mut start = 0;
    for plan in plans {
        let end = start + plan.bytes;
        let entry: Value = json!({ "dtype": plan.dtype, "shape": plan.shape, "data_offsets": [start, end] });
        table.insert(plan.name.clone(), entry);
        start = end;
    }
    let mut text = Value::Object(table).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}
