//! `y = x W^T + b` with a frozen weight in f32 or f16.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Int, Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{linear as tiled, linear_vec as vec};

use super::MoleOps;
use super::launch::{contiguous, launch, output};

/// Up to this many rows the product is bound by reading the weight, and the row kernel wins over the tiled one.
const VEC_ROWS: usize = 4;

/// A weight matrix `[out_features, in_features]` as it is stored on the device.
#[derive(Clone, Debug)]
pub enum Weight {
    /// f32, `[out_features, in_features]`.
    F32(Tensor<2>),
    /// f16, packed two to a u32 along the input dimension: `[out_features, in_features / 2]`, the even element in the
    /// low half. It needs no device feature.
    F16(Tensor<2, Int>),
}

impl Weight {
    /// `[out_features, in_features]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::F32(weight) => weight.dims(),
            Self::F16(packed) => {
                let [rows, pairs] = packed.dims();
                [rows, 2 * pairs]
            }
        }
    }
}

/// `y = x W^T + b`.
///
/// `x: [rows, in_features]`, `bias: [out_features]`; returns `[rows, out_features]`. Sums are in f32.
pub fn linear(x: Tensor<2>, weight: &Weight, bias: Option<&Tensor<1>>) -> Tensor<2> {
    let x = x.into_dispatch();
    let bias = bias.map(|bias| bias.clone().into_dispatch());
    Tensor::from_dispatch(match (weight, bias) {
        (Weight::F32(w), None) => <Dispatch as MoleOps>::linear(x, w.clone().into_dispatch()),
        (Weight::F32(w), Some(bias)) => <Dispatch as MoleOps>::linear_bias(x, w.clone().into_dispatch(), bias),
        (Weight::F16(w), None) => <Dispatch as MoleOps>::linear_f16(x, w.clone().into_dispatch()),
        (Weight::F16(w), Some(bias)) => <Dispatch as MoleOps>::linear_f16_bias(x, w.clone().into_dispatch(), bias),
    })
}

pub(super) fn composed<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let [out_features, _] = weight.shape().dims();
    let y = B::float_matmul(x, B::float_transpose(weight));
    match bias {
        Some(bias) => B::float_add(y, B::float_reshape(bias, Shape::new([1, out_features]))),
        None => y,
    }
}

/// Both weight types: the weight's dtype says which.
pub(super) fn kernel(x: CubeTensor, weight: CubeTensor, bias: Option<CubeTensor>) -> CubeTensor {
    let (x, weight, bias) = (contiguous(x), contiguous(weight), bias.map(contiguous));
    let [rows, in_features] = x.shape().dims();
    let [out_features, stored] = weight.shape().dims();
    let packed = weight.dtype == DType::U32;
    assert_eq!(in_features, if packed { 2 * stored } else { stored }, "linear: x and weight disagree");
    let y = output(&x, [rows, out_features], DType::F32);

    let params = [rows, out_features, in_features].map(|dim| dim as u32).to_vec();
    let mut buffers = vec![&x, &weight];
    buffers.extend(bias.as_ref());
    buffers.push(&y);
    let (kernel, workgroups) = if rows <= VEC_ROWS {
        let kernel = match (packed, bias.is_some()) {
            (false, false) => &vec::PLAIN,
            (false, true) => &vec::BIAS,
            (true, false) => &vec::W_F16,
            (true, true) => &vec::W_F16_BIAS,
        };
        (kernel, rows * out_features.div_ceil(4))
    } else {
        let kernel = match (packed, bias.is_some()) {
            (false, false) => &tiled::PLAIN,
            (false, true) => &tiled::BIAS,
            (true, false) => &tiled::W_F16,
            (true, true) => &tiled::W_F16_BIAS,
        };
        (kernel, rows.div_ceil(64) * out_features.div_ceil(64))
    };
    launch(kernel, &buffers, params, workgroups as u32);
    y
}
