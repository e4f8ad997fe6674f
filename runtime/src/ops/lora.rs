//! A low-rank adapter's product, added to what it adapts (arXiv 2106.09685). `B A` is never made.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    lora_backward_input as input_wgsl, lora_backward_weight as weight_wgsl, lora_down as down_wgsl, lora_up as up_wgsl,
    lora_vec as vec_wgsl,
};

use super::MoleOps;
use super::launch::{contiguous, dims, launch, output};
use super::tape::record;

/// Up to this many tokens a product is bound by reading the weights, and the row kernels win over the tiled ones.
pub(super) const VEC_TOKENS: usize = 4;

/// Tokens and features of a tile.
pub(super) const TILE: u32 = 32;

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
    let ([tokens, in_features], [rank, a_in]) = (dims(&x), dims(&a));
    let [out_features, b_rank] = dims(&b);
    assert!(a_in == in_features && b_rank == rank && dims(&base) == [tokens, out_features], "lora: shapes disagree");
    let y = output(&x, [tokens as usize, out_features as usize], DType::F32);
    let h = output(&x, [tokens as usize, rank as usize], DType::F32);
    if tokens as usize <= VEC_TOKENS {
        let down = vec_wgsl::Params { tokens, in_features, out_features: rank, experts: 1, scale }.words();
        launch(&vec_wgsl::PLAIN, &[&x, &a, &h], down, tokens * rank.div_ceil(4));
        let up = vec_wgsl::Params { tokens, in_features: rank, out_features, experts: 1, scale }.words();
        launch(&vec_wgsl::ADD, &[&h, &b, &y, &base], up, tokens * out_features.div_ceil(4));
        return y;
    }
    down(&x, &a, &h);
    let params = up_wgsl::Params { tokens, rank, out_features, experts: 1, scale }.words();
    launch(&up_wgsl::PLAIN, &[&h, &b, &base, &y], params, tokens.div_ceil(TILE) * out_features.div_ceil(TILE));
    y
}

/// `h = x A^T`.
fn down(x: &CubeTensor, a: &CubeTensor, h: &CubeTensor) {
    let ([tokens, in_features], [rank, _]) = (dims(x), dims(a));
    let params = down_wgsl::Params { tokens, in_features, rank, experts: 1 }.words();
    launch(&down_wgsl::PLAIN, &[x, a, h], params, tokens.div_ceil(TILE) * rank.div_ceil(TILE));
}

pub(super) fn kernel_backward(
    dy: CubeTensor,
    x: CubeTensor,
    a: CubeTensor,
    b: CubeTensor,
    scale: f32,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (dy, x, a, b) = (contiguous(dy), contiguous(x), contiguous(a), contiguous(b));
    let ([tokens, _], [rank, _]) = (dims(&x), dims(&a));
    let [h, dh] = [(); 2].map(|()| output(&x, [tokens as usize, rank as usize], DType::F32));
    down(&x, &a, &h);
    backward_input(&dy, &b, &dh, scale);
    let dx = output(&x, x.shape(), DType::F32);
    backward_input(&dh, &a, &dx, 1.0);
    (dx, backward_weight(&dh, &x, 1.0), backward_weight(&dy, &h, scale))
}

/// `dx = scale dy W`.
fn backward_input(dy: &CubeTensor, weight: &CubeTensor, dx: &CubeTensor, scale: f32) {
    let ([tokens, out_features], [_, in_features]) = (dims(dy), dims(weight));
    let params = input_wgsl::Params { tokens, out_features, in_features, experts: 1, scale, gated: 0 }.words();
    launch(&input_wgsl::PLAIN, &[dy, weight, dx], params, tokens.div_ceil(TILE) * in_features.div_ceil(TILE));
}

/// `dW = scale dy^T x`.
fn backward_weight(dy: &CubeTensor, x: &CubeTensor, scale: f32) -> CubeTensor {
    let ([tokens, out_features], [_, in_features]) = (dims(dy), dims(x));
    let dw = output(dy, [out_features as usize, in_features as usize], DType::F32);
    let params = weight_wgsl::Params { tokens, out_features, in_features, experts: 1, scale }.words();
    launch(&weight_wgsl::PLAIN, &[dy, x, &dw], params, out_features.div_ceil(TILE) * in_features.div_ceil(TILE));
    dw
}
