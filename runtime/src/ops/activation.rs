//! The element-wise activations: SwiGLU (arXiv 2002.05202), GELU and quick GELU (arXiv 1606.08415).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{Kernel, gelu as gelu_wgsl, quick_gelu as quick_gelu_wgsl, swiglu as swiglu_wgsl};

use super::MoleOps;
use super::launch::{contiguous, launch, output, per_element};

/// `silu(gate) * up`, `silu(g) = g sigmoid(g)`. Both `[T, D]`.
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as MoleOps>::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

/// `x / 2 (1 + erf(x / sqrt 2))`, the exact form. `x: [T, D]`.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as MoleOps>::mole_gelu(x.into_dispatch()))
}

/// `x sigmoid(1.702 x)`. `x: [T, D]`.
pub fn quick_gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as MoleOps>::quick_gelu(x.into_dispatch()))
}

pub(super) fn composed_swiglu<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(B::float_mul(gate.clone(), B::sigmoid(gate)), up)
}

pub(super) fn composed_gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let erf = B::float_erf(B::float_mul_scalar(x.clone(), std::f32::consts::FRAC_1_SQRT_2.into()));
    B::float_mul(B::float_mul_scalar(x, 0.5.into()), B::float_add_scalar(erf, 1.0.into()))
}

pub(super) fn composed_quick_gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let gate = B::sigmoid(B::float_mul_scalar(x.clone(), 1.702.into()));
    B::float_mul(x, gate)
}

pub(super) fn kernel_swiglu(gate: CubeTensor, up: CubeTensor) -> CubeTensor {
    let (gate, up) = (contiguous(gate), contiguous(up));
    assert_eq!(gate.shape(), up.shape(), "swiglu: gate and up disagree");
    let y = output(&gate, gate.shape(), DType::F32);
    let elements = y.shape().num_elements();
    let params = swiglu_wgsl::Params { elements: elements as u32 }.words();
    launch(&swiglu_wgsl::PLAIN, &[&gate, &up, &y], params, per_element(elements));
    y
}

pub(super) fn kernel_gelu(x: CubeTensor) -> CubeTensor {
    element_wise(&gelu_wgsl::PLAIN, x, |elements| gelu_wgsl::Params { elements }.words())
}

pub(super) fn kernel_quick_gelu(x: CubeTensor) -> CubeTensor {
    element_wise(&quick_gelu_wgsl::PLAIN, x, |elements| quick_gelu_wgsl::Params { elements }.words())
}

fn element_wise(kernel: &'static Kernel, x: CubeTensor, params: fn(u32) -> Vec<u32>) -> CubeTensor {
    let x = contiguous(x);
    let y = output(&x, x.shape(), DType::F32);
    let elements = y.shape().num_elements();
    launch(kernel, &[&x, &y], params(elements as u32), per_element(elements));
    y
}
