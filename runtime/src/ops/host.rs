//! Tensors read on the host, for the composed bodies.
//!
//! On the CPU device a read is a borrow or a copy in memory and its future is ready at once. The kernel bodies never
//! come here: on a GPU positions, ids and tokens stay in device buffers.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, TensorData};
use cubecl::future::reader::read_sync;

use super::PackedLayout;

/// The values of an int tensor, row major.
pub(super) fn ints<B: Backend>(tensor: IntTensor<B>) -> Vec<i32> {
    let data = read_sync(B::int_into_data(tensor)).expect("the CPU device reads its own memory");
    data.convert::<i32>().try_into_vec().expect("converted to i32 above")
}

/// The values of a float tensor, row major.
pub(super) fn floats<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    let data = read_sync(B::float_into_data(tensor)).expect("the CPU device reads its own memory");
    data.convert::<f32>().try_into_vec().expect("converted to f32 above")
}

/// An i32 tensor on the device of `like`.
pub(super) fn int_tensor<B: Backend>(values: Vec<i32>, like: &FloatTensor<B>) -> IntTensor<B> {
    let shape = [values.len()];
    B::int_from_data(TensorData::new(values, shape), &like.device())
}

/// A packed weight `[N, words]` to `[N, K]` in f32.
pub(super) fn unpack<B: Backend>(words: IntTensor<B>, layout: PackedLayout) -> FloatTensor<B> {
    let device = words.device();
    let [rows, _] = words.shape().dims();
    let data = read_sync(B::int_into_data(words)).expect("the CPU device reads its own memory");
    assert_eq!(data.dtype(), DType::U32, "packed weights are u32");
    let values = layout.unpack(bytemuck::cast_slice(data.as_bytes()));
    B::float_from_data(TensorData::new(values, [rows, layout.in_features]), &device)
}

/// PCG's output hash (O'Neill 2014): 32 well-mixed bits of any number. The kernels' is `shared/pcg.wgsl`.
pub(super) fn pcg(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}
