//! Tensors read on the host, for the composed bodies.
//!
//! On the CPU device a read is a borrow or a copy in memory and its future is ready at once. The kernel bodies never
//! come here: on a GPU positions, ids and tokens stay in device buffers.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, TensorData};
use cubecl::future::reader::read_sync;
use half::slice::HalfFloatSliceExt;

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

/// `[N, K / 2]` pairs of f16 in u32 to `[N, K]` in f32; the even element is in the low half.
pub(super) fn unpack_f16<B: Backend>(packed: IntTensor<B>) -> FloatTensor<B> {
    let device = packed.device();
    let [rows, pairs] = packed.shape().dims();
    let data = read_sync(B::int_into_data(packed)).expect("the CPU device reads its own memory");
    assert_eq!(data.dtype(), DType::U32, "packed weights are u32");
    let halves: &[half::f16] = bytemuck::cast_slice(data.as_bytes());
    let mut values = vec![0.0f32; rows * pairs * 2];
    halves.convert_to_f32_slice(&mut values);
    B::float_from_data(TensorData::new(values, [rows, pairs * 2]), &device)
}

/// PCG's output hash (O'Neill 2014): 32 well-mixed bits of any number. The kernels' is `shared/pcg.wgsl`.
pub(super) fn pcg(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}
