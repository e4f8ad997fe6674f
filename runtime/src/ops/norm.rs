//! RMSNorm (arXiv 1910.07467) and LayerNorm (arXiv 1607.06450) over the last dimension.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    layer_norm as layer_norm_wgsl, layer_norm_backward as layer_backward_wgsl, rms_norm as rms_norm_wgsl,
    rms_norm_backward as rms_backward_wgsl,
};

use super::MoleOps;
use super::launch::{contiguous, dims, launch, output};
use super::tape::record;

/// `x / sqrt(mean(x^2) + eps) * weight`. `x: [T, D]`, `weight: [D]`.
pub fn rms_norm(x: Tensor<2>, weight: &Tensor<1>, eps: f32) -> Tensor<2> {
    let weight = weight.clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as MoleOps>::rms_norm(x.into_dispatch(), weight, eps))
}

/// `(x - mean) / sqrt(var + eps) * weight + bias`, variance without Bessel's correction. `x: [T, D]`, `weight`, `bias: [D]`.
pub fn layer_norm(x: Tensor<2>, weight: &Tensor<1>, bias: &Tensor<1>, eps: f32) -> Tensor<2> {
    let (weight, bias) = (weight.clone().into_dispatch(), bias.clone().into_dispatch());
    Tensor::from_dispatch(<Dispatch as MoleOps>::mole_layer_norm(x.into_dispatch(), weight, bias, eps))
}

pub(super) fn composed_rms<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>, eps: f32) -> FloatTensor<B> {
    let [_, d_model] = x.shape().dims();
    let mean = B::float_mean_dim(B::float_mul(x.clone(), x.clone()), 1);
    let root = B::float_sqrt(B::float_add_scalar(mean, eps.into()));
    B::float_mul(B::float_div(x, root), B::float_reshape(weight, Shape::new([1, d_model])))
}

pub(super) fn composed_layer<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    eps: f32,
) -> FloatTensor<B> {
    let [_, d_model] = x.shape().dims();
    let row = Shape::new([1, d_model]);
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 1);
    let root = B::float_sqrt(B::float_add_scalar(variance, eps.into()));
    let scaled = B::float_mul(B::float_div(centred, root), B::float_reshape(weight, row.clone()));
    B::float_add(scaled, B::float_reshape(bias, row))
}

pub(super) fn kernel_rms(x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
    let (x, weight) = (contiguous(x), contiguous(weight));
    let [tokens, d_model] = dims(&x);
    let y = output(&x, x.shape(), DType::F32);
    let params = rms_norm_wgsl::Params { tokens, d_model, eps }.words();
    launch(&rms_norm_wgsl::PLAIN, &[&x, &weight, &y], params, tokens);
    y
}

pub(super) fn kernel_layer(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, eps: f32) -> CubeTensor {
    let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
    let [tokens, d_model] = dims(&x);
    let y = output(&x, x.shape(), DType::F32);
    let params = layer_norm_wgsl::Params { tokens, d_model, eps }.words();
    launch(&layer_norm_wgsl::PLAIN, &[&x, &weight, &bias, &y], params, tokens);
    y
}

pub(super) fn tracked_rms<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    eps: f32,
) -> FloatTensor<Autodiff<B, C>> {
    let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
    let y = B::rms_norm(x.clone(), weight.clone(), eps);
    record::<B, C, _, 2>([x_node, weight_node], y, (x, weight, eps), |(x, weight, eps), dy, [dx, dw]| {
        let dw = dw.then(|| {
            let normed = B::rms_norm(x.clone(), ones_like::<B>(&weight), eps);
            B::sum_rows(B::float_mul(dy.clone(), normed))
        });
        [dx.then(|| B::rms_norm_backward(dy, x, weight, eps)), dw]
    })
}

pub(super) fn tracked_layer<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
    eps: f32,
) -> FloatTensor<Autodiff<B, C>> {
    let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
        (x.into_parts(), weight.into_parts(), bias.into_parts());
    let y = B::mole_layer_norm(x.clone(), weight.clone(), bias, eps);
    let nodes = [x_node, weight_node, bias_node];
    record::<B, C, _, 3>(nodes, y, (x, weight, eps), |(x, weight, eps), dy, [dx, dw, db]| {
        let dw = dw.then(|| {
            let ones = ones_like::<B>(&weight);
            let zeros = B::float_zeros(weight.shape(), &weight.device(), FloatDType::F32);
            let normed = B::mole_layer_norm(x.clone(), ones, zeros, eps);
            B::sum_rows(B::float_mul(dy.clone(), normed))
        });
        let db = db.then(|| B::sum_rows(dy.clone()));
        [dx.then(|| B::layer_norm_backward(dy, x, weight, eps)), dw, db]
    })
}

fn ones_like<B: Backend>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_ones(tensor.shape(), &tensor.device(), FloatDType::F32)
}

/// `dx = r (g - x r^2 mean(g x))` with `g = dy weight` and `r` the factor of the forward pass.
pub(super) fn composed_rms_backward<B: Backend>(
    dy: FloatTensor<B>,
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    eps: f32,
) -> FloatTensor<B> {
    let [_, d_model] = x.shape().dims();
    let g = B::float_mul(dy, B::float_reshape(weight, Shape::new([1, d_model])));
    let mean = B::float_add_scalar(B::float_mean_dim(B::float_mul(x.clone(), x.clone()), 1), eps.into());
    let along = B::float_div(B::float_mean_dim(B::float_mul(g.clone(), x.clone()), 1), mean.clone());
    B::float_div(B::float_sub(g, B::float_mul(x, along)), B::float_sqrt(mean))
}

/// `dx = r (g - mean(g) - z mean(g z))` with `g = dy weight`, `z` the normed input, `r` the factor of the forward pass.
pub(super) fn composed_layer_backward<B: Backend>(
    dy: FloatTensor<B>,
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    eps: f32,
) -> FloatTensor<B> {
    let [_, d_model] = x.shape().dims();
    let g = B::float_mul(dy, B::float_reshape(weight, Shape::new([1, d_model])));
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 1);
    let root = B::float_sqrt(B::float_add_scalar(variance, eps.into()));
    let z = B::float_div(centred, root.clone());
    let along = B::float_mul(z.clone(), B::float_mean_dim(B::float_mul(g.clone(), z), 1));
    B::float_div(B::float_sub(B::float_sub(g.clone(), B::float_mean_dim(g, 1)), along), root)
}

pub(super) fn kernel_rms_backward(dy: CubeTensor, x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
    let (dy, x, weight) = (contiguous(dy), contiguous(x), contiguous(weight));
    let [tokens, d_model] = dims(&x);
    let dx = output(&x, x.shape(), DType::F32);
    let params = rms_backward_wgsl::Params { tokens, d_model, eps }.words();
    launch(&rms_backward_wgsl::PLAIN, &[&dy, &x, &weight, &dx], params, tokens);
    dx
}

pub(super) fn kernel_layer_backward(dy: CubeTensor, x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
    let (dy, x, weight) = (contiguous(dy), contiguous(x), contiguous(weight));
    let [tokens, d_model] = dims(&x);
    let dx = output(&x, x.shape(), DType::F32);
    let params = layer_backward_wgsl::Params { tokens, d_model, eps }.words();
    launch(&layer_backward_wgsl::PLAIN, &[&dy, &x, &weight, &dx], params, tokens);
    dx
}
