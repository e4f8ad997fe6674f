//! A tensor's bytes, as floats or packed.
//!
//! The file is read a chunk at a time straight into the result, by all cores at once, so that beside the result only a
//! chunk for each core is in memory. Every value is looked at: one NaN in a weight makes every answer NaN, far from its
//! cause.

use super::checkpoint::TensorInfo;
use super::file::ModelFile;
use crate::error::{Error, Result};
use crate::packed::PackedLayout;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use safetensors::Dtype;

/// Values converted at a time: 1 MiB of f32.
const CHUNK: usize = 1 << 18;

const NOT_FINITE: &str = "the checkpoint is damaged or its training diverged; fetch it again or use another";
const NOT_F16: &str = "f16, which also holds the scales of q8 and q4, ends at 65504; load with --weights f32";

// The file's little-endian values are used where they lie.
const _: () = assert!(cfg!(target_endian = "little"), "weights are read on little-endian machines only");

/// Whether tensors of this dtype are read.
pub(super) fn is_read(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// The tensor's values as f32, all finite.
pub(super) fn to_f32(file: &ModelFile, info: &TensorInfo) -> Result<Vec<f32>> {
    let mut values = allocate::<f32>(info, info.elements())?;
    let row = info.packed.map_or(1, |layout| layout.in_features);
    let chunk_len = (CHUNK / row).max(1) * row;
    each_chunk(&mut values, chunk_len, |chunk, into| {
        read_f32(file, info, chunk * chunk_len, into)?;
        check(info, chunk * chunk_len, into, f32::MAX)
    })?;
    Ok(values)
}

/// The tensor's values in rows of `layout`.
pub(super) fn to_packed(file: &ModelFile, info: &TensorInfo, layout: PackedLayout) -> Result<Vec<u32>> {
    let (row, words) = (layout.in_features, layout.row_words());
    let mut packed = allocate::<u32>(info, info.elements() / row * words)?;
    let rows = (CHUNK / row).max(1);
    each_chunk(&mut packed, rows * words, |chunk, into| {
        if info.packed == Some(layout) {
            layout.words_of_blocks(&blocks(file, info, layout, chunk * rows, into.len() / words)?, into);
            let Some((bad, value)) = layout.bad_scale(into) else { return Ok(()) };
            return Err(value_error(info, (chunk * rows + bad) * row, value));
        }
        let mut values = allocate::<f32>(info, into.len() / words * row)?;
        read_f32(file, info, chunk * rows * row, &mut values)?;
        check(info, chunk * rows * row, &values, layout.largest())?;
        layout.pack(&values, into);
        Ok(())
    })?;
    Ok(packed)
}

/// The bytes of `count` rows of a packed tensor from row `first` on.
fn blocks(file: &ModelFile, info: &TensorInfo, layout: PackedLayout, first: usize, count: usize) -> Result<Vec<u8>> {
    let row_bytes = info.bytes as usize / (info.elements() / layout.in_features).max(1);
    let mut bytes = allocate::<u8>(info, count * row_bytes)?;
    file.read_at(info.offset + (first * row_bytes) as u64, &mut bytes)?;
    Ok(bytes)
}

/// Fills `values` from value `start` on; of a packed tensor whole rows.
fn read_f32(file: &ModelFile, info: &TensorInfo, start: usize, values: &mut [f32]) -> Result<()> {
    if let Some(layout) = info.packed {
        let (first, count) = (start / layout.in_features, values.len() / layout.in_features);
        let mut words = allocate::<u32>(info, count * layout.row_words())?;
        layout.words_of_blocks(&blocks(file, info, layout, first, count)?, &mut words);
        values.copy_from_slice(&layout.unpack(&words));
        return Ok(());
    }
    if info.dtype == Dtype::F32 {
        return file.read_at(info.offset + 4 * start as u64, bytemuck::cast_slice_mut(values));
    }
    if !is_read(info.dtype) {
        return Err(Error::TensorDtype { tensor: info.name_in_file.clone(), actual: format!("{:?}", info.dtype) });
    }
    let mut halves = allocate::<u16>(info, values.len())?;
    file.read_at(info.offset + 2 * start as u64, bytemuck::cast_slice_mut(&mut halves))?;
    match info.dtype {
        Dtype::F16 => halves.reinterpret_cast::<f16>().convert_to_f32_slice(values),
        _ => halves.reinterpret_cast::<bf16>().convert_to_f32_slice(values),
    }
    Ok(())
}

/// Does `work` for every `len` values, told the number of the chunk; the first error in order counts.
#[cfg(not(target_arch = "wasm32"))]
fn each_chunk<T: Send>(
    values: &mut [T],
    len: usize,
    work: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
) -> Result<()> {
    use rayon::prelude::*;
    let done: Vec<Result<()>> = values.par_chunks_mut(len).enumerate().map(|(chunk, into)| work(chunk, into)).collect();
    done.into_iter().collect()
}

#[cfg(target_arch = "wasm32")]
fn each_chunk<T>(values: &mut [T], len: usize, work: impl Fn(usize, &mut [T]) -> Result<()>) -> Result<()> {
    values.chunks_mut(len).enumerate().try_for_each(|(chunk, into)| work(chunk, into))
}

/// Refuses the first value that is not finite or larger than `most`; `start` is the index of the first.
fn check(info: &TensorInfo, start: usize, values: &[f32], most: f32) -> Result<()> {
    let bad = |value: &f32| value.is_nan() || value.abs() > most;
    // All of a part at once: a search that may end at each value is computed one by one.
    let parts = values.chunks(64).enumerate();
    let part = parts.into_iter().find(|(_, part)| part.iter().fold(false, |any, value| any | bad(value)));
    let Some((part, first)) = part.and_then(|(index, part)| Some((64 * index, part.iter().position(bad)?))) else {
        return Ok(());
    };
    Err(value_error(info, start + part + first, values[part + first]))
}

fn value_error(info: &TensorInfo, index: usize, value: f32) -> Error {
    let hint = if value.is_finite() { NOT_F16 } else { NOT_FINITE };
    Error::TensorValue { tensor: info.name_in_file.clone(), index, value, hint }
}

/// Zeros, which the system makes as they are touched, by whichever core; an error, not an abort, where the machine has no
/// such block.
fn allocate<T: bytemuck::Zeroable>(info: &TensorInfo, len: usize) -> Result<Vec<T>> {
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| {
        let mib = (len * size_of::<T>()) >> 20;
        Error::Memory(format!("no {mib} MiB of memory for tensor {}: close other programs", info.name_in_file))
    })
}

#[cfg(test)]
mod tests;
