//! Rows of an embedding table, by id.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, FloatDType, IndexingUpdateOp, Int, Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{embedding as embedding_wgsl, embedding_backward as backward_wgsl};

use super::launch::{contiguous, dims, launch, output, per_element};
use super::linear::weight_dims;
use super::tape::record;
use super::{MoleOps, PackedFormat, PackedLayout, Weight, host};

/// `y_t = weight[ids_t]`. `ids: [T]` (i32), weight `[V, D]`; returns `[T, D]`.
///
/// Ids are checked on the CPU before upload; an id outside the table (a sampler's "no token") is clamped into it.
pub fn embedding(ids: Tensor<1, Int>, weight: &Weight) -> Tensor<2> {
    let ids = ids.into_dispatch();
    Tensor::from_dispatch(match weight {
        Weight::F32(weight) => <Dispatch as MoleOps>::mole_embedding(ids, weight.clone().into_dispatch()),
        Weight::Packed(packed) => {
            <Dispatch as MoleOps>::embedding_packed(ids, packed.words.clone().into_dispatch(), packed.layout)
        }
    })
}

pub(super) fn composed<B: Backend>(ids: IntTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let [vocab, _] = weight.shape().dims();
    B::float_select(weight, 0, B::int_clamp(ids, 0.into(), (vocab as i64 - 1).into()))
}

/// Gathers packed rows first, so that the table is never unpacked whole.
pub(super) fn composed_packed<B: Backend>(
    ids: IntTensor<B>,
    words: IntTensor<B>,
    layout: PackedLayout,
) -> FloatTensor<B> {
    let [vocab, _] = words.shape().dims();
    let rows = B::int_select(words, 0, B::int_clamp(ids, 0.into(), (vocab as i64 - 1).into()));
    host::unpack::<B>(rows, layout)
}

/// `layout` is that of a packed weight.
pub(super) fn kernel(ids: CubeTensor, weight: CubeTensor, layout: Option<PackedLayout>) -> CubeTensor {
    let (ids, weight) = (contiguous(ids), contiguous(weight));
    let [tokens] = ids.shape().dims();
    let [vocab, d_model] = weight_dims(&weight, layout);
    let kernel = match layout.map(|layout| layout.format) {
        None => &embedding_wgsl::PLAIN,
        Some(PackedFormat::F16) => &embedding_wgsl::W_F16,
        Some(PackedFormat::Q8) => &embedding_wgsl::W_Q8,
        Some(PackedFormat::Q4) => &embedding_wgsl::W_Q4,
    };
    let y = output(&ids, [tokens, d_model as usize], DType::F32);
    let params = embedding_wgsl::Params { tokens: tokens as u32, vocab, d_model }.words();
    launch(kernel, &[&ids, &weight, &y], params, per_element(tokens * d_model as usize));
    y
}

pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    ids: IntTensor<B>,
    weight: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let (weight, node) = weight.into_parts();
    let [vocab, _] = weight.shape().dims::<2>();
    let y = B::mole_embedding(ids.clone(), weight);
    record::<B, C, _, 1>([node], y, (ids, vocab), |(ids, vocab), dy, _| {
        [Some(B::mole_embedding_backward(dy, ids, vocab))]
    })
}

/// Every id's row gets the sum of its tokens' gradients.
pub(super) fn composed_backward<B: Backend>(dy: FloatTensor<B>, ids: IntTensor<B>, vocab: usize) -> FloatTensor<B> {
    let [_, d_model] = dy.shape().dims();
    let ids = B::int_clamp(ids, 0.into(), (vocab as i64 - 1).into());
    let zeros = B::float_zeros(Shape::new([vocab, d_model]), &dy.device(), FloatDType::F32);
    B::float_select_assign(zeros, 0, ids, dy, IndexingUpdateOp::Add)
}

pub(super) fn kernel_backward(dy: CubeTensor, ids: CubeTensor, vocab: usize) -> CubeTensor {
    let (dy, ids) = (contiguous(dy), contiguous(ids));
    let [tokens, d_model] = dims(&dy);
    let dweight = output(&dy, [vocab, d_model as usize], DType::F32);
    let params = backward_wgsl::Params { tokens, vocab: vocab as u32, d_model }.words();
    launch(&backward_wgsl::PLAIN, &[&dy, &ids, &dweight], params, per_element(vocab * d_model as usize));
    dweight
}
