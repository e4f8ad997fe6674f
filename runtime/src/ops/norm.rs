//! RMSNorm (arXiv 1910.07467) and LayerNorm (arXiv 1607.06450) over the last dimension.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{layer_norm as layer_norm_wgsl, rms_norm as rms_norm_wgsl};

use super::MoleOps;
use super::launch::{contiguous, dims, launch, output};

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
