//! Appends keys or values to a static cache.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{Int, Slice, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::kv_write as kv_write_wgsl;

use super::launch::{contiguous, dims, launch, per_element};
use super::{MoleOps, host};

/// `cache[b, position + t] = value[b, t]`.
///
/// `cache: [B, C, G, Dh]`, `value: [B, T, G, Dh]`, `position: [1]` (i32). The cache is consumed and returned: on a GPU
/// it is the same buffer, so no clone of it may be alive. What would fall beyond the context is dropped.
pub fn kv_write(cache: Tensor<4>, value: Tensor<4>, position: &Tensor<1, Int>) -> Tensor<4> {
    let position = position.clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as MoleOps>::kv_write(cache.into_dispatch(), value.into_dispatch(), position))
}

pub(super) fn composed<B: Backend>(
    cache: FloatTensor<B>,
    value: FloatTensor<B>,
    position: IntTensor<B>,
) -> FloatTensor<B> {
    let [_, context, _, _] = cache.shape().dims();
    let [_, tokens, _, _] = value.shape().dims();
    let from = host::ints::<B>(position)[0].max(0) as usize;
    let to = (from + tokens).min(context);
    if from >= to {
        return cache;
    }
    let rows = |from: usize, to: usize| [Slice::full(), Slice::new(from as isize, Some(to as isize), 1)];
    let value = B::float_slice(value, &rows(0, to - from));
    B::float_slice_assign(cache, &[&rows(from, to)[..], &[Slice::full(), Slice::full()]].concat(), value)
}

pub(super) fn kernel(cache: CubeTensor, value: CubeTensor, position: CubeTensor) -> CubeTensor {
    let (value, position) = (contiguous(value), contiguous(position));
    assert!(cache.is_contiguous(), "the cache is allocated contiguous and written in place");
    let [batch, context, kv_heads, head_dim] = dims(&cache);
    let [_, tokens, _, _] = dims(&value);
    let width = kv_heads * head_dim;
    let params = kv_write_wgsl::Params { batch, tokens, context, width }.words();
    launch(&kv_write_wgsl::PLAIN, &[&value, &position, &cache], params, per_element((batch * tokens * width) as usize));
    cache
}
