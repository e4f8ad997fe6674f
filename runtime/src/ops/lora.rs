//! A low-rank adapter's product, added to what it adapts (arXiv 2106.09685). `B A` is never made.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::lora_vec as vec_wgsl;

use super::MoleOps;
use super::launch::{contiguous, dims, launch, output};
use super::low_rank::{LowRank, sizes};
use super::tape::record;

/// Up to this many tokens a product is bound by reading the weights, and the row kernels win over the tiled ones.
pub(super) const VEC_TOKENS: usize = 4;

/// `y = base + scale (x A^T) B^T`.
///
/// `base: [T, out]`, `x: [T, in]`, `a: [rank, in]`, `b: [out, rank]`; returns `[T, out]`.
pub fn lora(base: Tensor<2>, x: Tensor<2>, a: &Tensor<2>, b: &Tensor<2>, scale: f32) -> Tensor<2> {
    let (a, b) = (a.clone().into_dispatch(), b.clone().into_dispatch());
    Tensor::from_dispatch(<Dispatch as MoleOps>::lora(base.into_dispatch(), x.into_dispatch(), a, b, scale))
}

pub(super) fn composed<B: Backend>(
    base: FloatTensor<B>,
    x: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    scale: f32,
) -> FloatTensor<B> {
    let h = B::float_mul_scalar(B::float_matmul(x, B::float_transpose(a)), scale.into());
    B::float_add(base, B::float_matmul(h, B::float_transpose(b)))
}

/// The gradients of x, A and B; that of the base is dy itself.
///
/// `h = x A^T`, `dh = scale dy B`; `dx = dh A`, `dA = dh^T x`, `dB = scale dy^T h`.
pub(super) fn composed_backward<B: Backend>(
    dy: FloatTensor<B>,
    x: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    scale: f32,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let h = B::float_mul_scalar(B::float_matmul(x.clone(), B::float_transpose(a.clone())), scale.into());
    let dh = B::float_mul_scalar(B::float_matmul(dy.clone(), b), scale.into());
    let da = B::float_matmul(B::float_transpose(dh.clone()), x);
    (B::float_matmul(dh, a), da, B::float_matmul(B::float_transpose(dy), h))
}

pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    base: FloatTensor<Autodiff<B, C>>,
    x: FloatTensor<Autodiff<B, C>>,
    a: FloatTensor<Autodiff<B, C>>,
    b: FloatTensor<Autodiff<B, C>>,
    scale: f32,
) -> FloatTensor<Autodiff<B, C>> {
    let ((base, base_node), (x, x_node)) = (base.into_parts(), x.into_parts());
    let ((a, a_node), (b, b_node)) = (a.into_parts(), b.into_parts());
    let y = B::lora(base, x.clone(), a.clone(), b.clone(), scale);
    let nodes = [base_node, x_node, a_node, b_node];
    record::<B, C, _, 4>(nodes, y, (x, a, b, scale), |(x, a, b, scale), dy, _| {
        let (dx, da, db) = B::lora_backward(dy.clone(), x, a, b, scale);
        [Some(dy), Some(dx), Some(da), Some(db)]
    })
}

pub(super) fn kernel(base: CubeTensor, x: CubeTensor, a: CubeTensor, b: CubeTensor, scale: f32) -> CubeTensor {
    let (base, x, a, b) = (contiguous(base), contiguous(x), contiguous(a), contiguous(b));
    let product = sizes(&x, &a, &b, scale, None);
    let LowRank { tokens, rank, in_features, out_features, .. } = product;
    assert_eq!(dims(&base), [tokens, out_features], "lora: the base's shape");
    if tokens as usize <= VEC_TOKENS {
        let y = output(&x, base.shape(), DType::F32);
        let h = output(&x, [tokens as usize, rank as usize], DType::F32);
        let down = vec_wgsl::Params { tokens, in_features, out_features: rank, experts: 1, scale }.words();
        launch(&vec_wgsl::PLAIN, &[&x, &a, &h], down, tokens * rank.div_ceil(4));
        let up = vec_wgsl::Params { tokens, in_features: rank, out_features, experts: 1, scale }.words();
        launch(&vec_wgsl::ADD, &[&h, &b, &y, &base], up, tokens * out_features.div_ceil(4));
        return y;
    }
    let h = product.down(&x, &a);
    product.up(&h, &b, &base)
}

pub(super) fn kernel_backward(
    dy: CubeTensor,
    x: CubeTensor,
    a: CubeTensor,
    b: CubeTensor,
    scale: f32,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (dy, x, a, b) = (contiguous(dy), contiguous(x), contiguous(a), contiguous(b));
    let product = sizes(&x, &a, &b, scale, None);
    let (h, dh) = (product.down(&x, &a), product.down_backward(&dy, &b));
    (product.up_backward(&dh, &a), product.gradient_of_a(&dh, &x), product.gradient_of_b(&dy, &h))
}
