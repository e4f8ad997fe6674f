//! A tensor's bytes, as floats: f32, or f16 packed two to a u32.
//!
//! The file is read a chunk at a time straight into the result, so that beside the result only a chunk is in memory.
//! Every value is looked at: one NaN in a weight makes every answer NaN, far from its cause.

use super::checkpoint::TensorInfo;
use super::file::ModelFile;
use crate::error::{Error, Result};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use safetensors::Dtype;

/// Values converted at a time: 1 MiB of f32. Even, so that pairs stay together.
const CHUNK: usize = 1 << 18;

const NOT_FINITE: &str = "the checkpoint is damaged or its training diverged; fetch it again or use another";
const NOT_F16: &str = "f16 holds magnitudes up to 65504; load with --weights f32";

// The file's little-endian values are used where they lie.
const _: () = assert!(cfg!(target_endian = "little"), "weights are read on little-endian machines only");

/// Whether tensors of this dtype are read.
pub(super) fn is_read(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// The tensor's values as f32, all finite.
pub(super) fn to_f32(file: &ModelFile, info: &TensorInfo) -> Result<Vec<f32>> {
    let mut values = allocate::<f32>(info, info.elements())?;
    let mut chunks = Chunks::new(file, info)?;
    for (chunk, into) in values.chunks_mut(CHUNK).enumerate() {
        chunks.read_f32(chunk, into)?;
        check(info, chunk * CHUNK, into, f32::MAX)?;
    }
    Ok(values)
}

/// The tensor's values as f16, two to a u32, the first in the low half: what WGSL's `unpack2x16float` takes apart.
pub(super) fn to_f16_pairs(file: &ModelFile, info: &TensorInfo) -> Result<Vec<u32>> {
    let row = info.shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(2) {
        let reason = format!(
            "tensor {} has rows of {row} values, and f16 weights are kept in pairs; load with --weights f32",
            info.name_in_file
        );
        return Err(Error::Safetensors { file: file.shown(), reason });
    }
    let mut pairs = allocate::<u32>(info, info.elements() / 2)?;
    let mut chunks = Chunks::new(file, info)?;
    let mut floats = vec![0.0; CHUNK.min(info.elements())];
    for (chunk, into) in pairs.chunks_mut(CHUNK / 2).enumerate() {
        let halves: &mut [f16] = bytemuck::cast_slice_mut::<u32, u16>(into).reinterpret_cast_mut();
        let floats = &mut floats[..halves.len()];
        chunks.read_f32(chunk, floats)?;
        check(info, chunk * CHUNK, floats, f16::MAX.to_f32())?;
        halves.convert_from_f32_slice(floats);
    }
    Ok(pairs)
}

/// Shows `take` the values of a matrix, whole rows at a time; a tensor of more dimensions is flattened to its first.
pub(super) fn rows(file: &ModelFile, info: &TensorInfo, mut take: impl FnMut(&[f32])) -> Result<()> {
    let row = info.shape.iter().skip(1).product::<usize>().max(1);
    let mut chunks = Chunks::of(file, info, (CHUNK / row).max(1) * row)?;
    let mut values = allocate::<f32>(info, chunks.len.min(info.elements()))?;
    for first in (0..info.elements()).step_by(chunks.len) {
        let values = &mut values[..chunks.len.min(info.elements() - first)];
        chunks.read_f32(first / chunks.len, values)?;
        check(info, first, values, f32::MAX)?;
        take(values);
    }
    Ok(())
}

/// A tensor's data, read chunk by chunk.
struct Chunks<'a> {
    file: &'a ModelFile,
    info: &'a TensorInfo,
    /// Values of a chunk.
    len: usize,
    /// Bytes of one value.
    width: usize,
    /// One chunk of 16-bit values; f32 needs none.
    halves: Vec<u16>,
}

impl<'a> Chunks<'a> {
    fn new(file: &'a ModelFile, info: &'a TensorInfo) -> Result<Self> {
        Self::of(file, info, CHUNK)
    }

    fn of(file: &'a ModelFile, info: &'a TensorInfo, len: usize) -> Result<Self> {
        let width = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                return Err(Error::TensorDtype { tensor: info.name_in_file.clone(), actual: format!("{other:?}") });
            }
        };
        let halves = if width == 2 { vec![0; len.min(info.elements())] } else { Vec::new() };
        Ok(Self { file, info, len, width, halves })
    }

    /// Fills `into`, which is as long as a chunk or the rest, with the values of this chunk.
    fn read_f32(&mut self, chunk: usize, into: &mut [f32]) -> Result<()> {
        let offset = self.info.offset + (chunk * self.len * self.width) as u64;
        if self.info.dtype == Dtype::F32 {
            return self.file.read_at(offset, bytemuck::cast_slice_mut(into));
        }
        let halves = &mut self.halves[..into.len()];
        self.file.read_at(offset, bytemuck::cast_slice_mut(halves))?;
        if self.info.dtype == Dtype::F16 {
            halves.reinterpret_cast::<f16>().convert_to_f32_slice(into);
        } else {
            halves.reinterpret_cast::<bf16>().convert_to_f32_slice(into);
        }
        Ok(())
    }
}

/// Refuses the first value that is not finite or larger than `most`; `start` is the index of the first.
fn check(info: &TensorInfo, start: usize, values: &[f32], most: f32) -> Result<()> {
    let Some(first) = values.iter().position(|value| value.is_nan() || value.abs() > most) else { return Ok(()) };
    let value = values[first];
    let hint = if value.is_finite() { NOT_F16 } else { NOT_FINITE };
    Err(Error::TensorValue { tensor: info.name_in_file.clone(), index: start + first, value, hint })
}

/// Zeros; an error, not an abort, where the machine has no such block.
fn allocate<T: Default + Clone>(info: &TensorInfo, len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| {
        let mib = (len * size_of::<T>()) >> 20;
        Error::Memory(format!("no {mib} MiB of memory for tensor {}: close other programs", info.name_in_file))
    })?;
    values.resize(len, T::default());
    Ok(values)
}

#[cfg(test)]
mod tests;
