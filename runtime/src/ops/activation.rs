//! The element-wise activations: SwiGLU (arXiv 2002.05202), GELU and quick GELU (arXiv 1606.08415).

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    Kernel, gelu as gelu_wgsl, gelu_backward as gelu_backward_wgsl, quick_gelu as quick_gelu_wgsl,
    quick_gelu_backward as quick_gelu_backward_wgsl, swiglu as swiglu_wgsl, swiglu_backward as swiglu_backward_wgsl,
};

use super::MoleOps;
use super::launch::{contiguous, launch, output, per_element};
use super::tape::record;

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

pub(super) fn tracked_swiglu<B: MoleOps, C: CheckpointStrategy>(
    gate: FloatTensor<Autodiff<B, C>>,
    up: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let ((gate, gate_node), (up, up_node)) = (gate.into_parts(), up.into_parts());
    let y = B::swiglu(gate.clone(), up.clone());
    record::<B, C, _, 2>([gate_node, up_node], y, (gate, up), |(gate, up), dy, _| {
        let (dgate, dup) = B::swiglu_backward(dy, gate, up);
        [Some(dgate), Some(dup)]
    })
}

pub(super) fn tracked_gelu<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, node) = x.into_parts();
    record::<B, C, _, 1>([node], B::mole_gelu(x.clone()), x, |x, dy, _| [Some(B::mole_gelu_backward(dy, x))])
}

pub(super) fn tracked_quick_gelu<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, node) = x.into_parts();
    record::<B, C, _, 1>([node], B::quick_gelu(x.clone()), x, |x, dy, _| [Some(B::quick_gelu_backward(dy, x))])
}

/// `dup = dy silu(gate)`, `dgate = dy up s (1 + gate (1 - s))`, `s = sigmoid(gate)`.
pub(super) fn composed_swiglu_backward<B: Backend>(
    dy: FloatTensor<B>,
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let s = B::sigmoid(gate.clone());
    let dup = B::float_mul(dy.clone(), B::float_mul(gate.clone(), s.clone()));
    let slope = B::float_add_scalar(B::float_mul(gate, rest::<B>(s.clone())), 1.0.into());
    (B::float_mul(B::float_mul(dy, up), B::float_mul(s, slope)), dup)
}

/// `dy (Phi(x) + x phi(x))`, the normal distribution and its density.
pub(super) fn composed_gelu_backward<B: Backend>(dy: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let erf = B::float_erf(B::float_mul_scalar(x.clone(), std::f32::consts::FRAC_1_SQRT_2.into()));
    let distribution = B::float_mul_scalar(B::float_add_scalar(erf, 1.0.into()), 0.5.into());
    let density = B::float_exp(B::float_mul_scalar(B::float_mul(x.clone(), x.clone()), (-0.5).into()));
    let density = B::float_mul_scalar(density, (1.0 / std::f32::consts::TAU.sqrt()).into());
    B::float_mul(dy, B::float_add(distribution, B::float_mul(x, density)))
}

/// `dy s (1 + 1.702 x (1 - s))`, `s = sigmoid(1.702 x)`.
pub(super) fn composed_quick_gelu_backward<B: Backend>(dy: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let scaled = B::float_mul_scalar(x, 1.702.into());
    let s = B::sigmoid(scaled.clone());
    let slope = B::float_add_scalar(B::float_mul(scaled, rest::<B>(s.clone())), 1.0.into());
    B::float_mul(dy, B::float_mul(s, slope))
}

/// `1 - s`.
fn rest<B: Backend>(s: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add_scalar(B::float_neg(s), 1.0.into())
}

pub(super) fn kernel_swiglu_backward(dy: CubeTensor, gate: CubeTensor, up: CubeTensor) -> (CubeTensor, CubeTensor) {
    let (dy, gate, up) = (contiguous(dy), contiguous(gate), contiguous(up));
    let [dgate, dup] = [(); 2].map(|()| output(&gate, gate.shape(), DType::F32));
    let elements = dy.shape().num_elements();
    let params = swiglu_backward_wgsl::Params { elements: elements as u32 }.words();
    launch(&swiglu_backward_wgsl::PLAIN, &[&dy, &gate, &up, &dgate, &dup], params, per_element(elements));
    (dgate, dup)
}

pub(super) fn kernel_gelu_backward(dy: CubeTensor, x: CubeTensor) -> CubeTensor {
    element_wise_backward(&gelu_backward_wgsl::PLAIN, dy, x, |elements| gelu_backward_wgsl::Params { elements }.words())
}

pub(super) fn kernel_quick_gelu_backward(dy: CubeTensor, x: CubeTensor) -> CubeTensor {
    let params = |elements| quick_gelu_backward_wgsl::Params { elements }.words();
    element_wise_backward(&quick_gelu_backward_wgsl::PLAIN, dy, x, params)
}

fn element_wise_backward(
    kernel: &'static Kernel,
    dy: CubeTensor,
    x: CubeTensor,
    params: fn(u32) -> Vec<u32>,
) -> CubeTensor {
    let (dy, x) = (contiguous(dy), contiguous(x));
    let dx = output(&x, x.shape(), DType::F32);
    let elements = x.shape().num_elements();
    launch(kernel, &[&dy, &x, &dx], params(elements as u32), per_element(elements));
    dx
}
