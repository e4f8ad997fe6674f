//! The router of a mixture of experts: one expert a token (arXiv 2101.03961, section 2.1).

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Int, Shape, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{router_top1 as router_wgsl, router_top1_backward as backward_wgsl};

use super::launch::{contiguous, dims, is_software, launch, output, per_element};
use super::tape::record;
use super::{MoleOps, host};

/// The most experts the kernel's workgroup holds.
pub const MAX_EXPERTS: usize = 64;

/// `p = softmax(x W^T + b)`, `e = arg max p`; ties go to the lower index.
///
/// `x: [T, D]`, `weight: [E, D]`, `bias: [E]`; returns `probs: [T, E]` and the expert `[T]` (i32).
pub fn router_top1(x: Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>) -> (Tensor<2>, Tensor<1, Int>) {
    let (weight, bias) = (weight.clone().into_dispatch(), bias.clone().into_dispatch());
    let (probs, index) = <Dispatch as MoleOps>::router_top1(x.into_dispatch(), weight, bias);
    (Tensor::from_dispatch(probs), Tensor::from_dispatch(index))
}

pub(super) fn composed<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> (FloatTensor<B>, IntTensor<B>) {
    let [experts, _] = weight.shape().dims();
    let logits = B::float_matmul(x, B::float_transpose(weight));
    let logits = B::float_add(logits, B::float_reshape(bias, Shape::new([1, experts])));
    let probs = B::softmax(logits.clone(), 1);
    // By the logits: two probabilities may round to one value where the logits still differ.
    let device = logits.device();
    let index: Vec<i32> = host::floats::<B>(logits)
        .chunks(experts)
        .map(|row| (1..experts).fold(0, |best, e| if row[e] > row[best] { e } else { best }) as i32)
        .collect();
    let shape = [index.len()];
    (probs, B::int_from_data(TensorData::new(index, shape), &device))
}

/// The decision itself has no gradient.
pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> (FloatTensor<Autodiff<B, C>>, IntTensor<B>) {
    let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
        (x.into_parts(), weight.into_parts(), bias.into_parts());
    let (probs, index) = B::router_top1(x.clone(), weight.clone(), bias);
    let saved = (x, weight, probs.clone());
    let nodes = [x_node, weight_node, bias_node];
    let probs = record::<B, C, _, 3>(nodes, probs, saved, |(x, weight, probs), dprobs, [dx, dw, db]| {
        let dlogits = B::router_top1_backward(dprobs, probs);
        [
            dx.then(|| B::linear_backward_input(dlogits.clone(), weight)),
            dw.then(|| B::linear_backward_weight(dlogits.clone(), x)),
            db.then(|| B::sum_rows(dlogits)),
        ]
    });
    (probs, index)
}

/// `dlogit_k = p_k (dp_k - sum_j p_j dp_j)`.
pub(super) fn composed_backward<B: Backend>(dprobs: FloatTensor<B>, probs: FloatTensor<B>) -> FloatTensor<B> {
    let mean = B::float_sum_dim(B::float_mul(probs.clone(), dprobs.clone()), 1);
    B::float_mul(probs, B::float_sub(dprobs, mean))
}

pub(super) fn kernel(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> (CubeTensor, CubeTensor) {
    let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
    let ([tokens, d_model], [experts, _]) = (dims(&x), dims(&weight));
    assert!(experts as usize <= MAX_EXPERTS, "router_top1: refused by the adapter's checks");
    let probs = output(&x, [tokens as usize, experts as usize], DType::F32);
    let index = output(&x, [tokens as usize], DType::I32);
    let params = router_wgsl::Params { tokens, d_model, experts }.words();
    let buffers = [&x, &weight, &bias, &probs, &index];
    match is_software(&x) {
        true => launch(&router_wgsl::ALONE, &buffers, params, per_element(tokens as usize)),
        false => launch(&router_wgsl::PLAIN, &buffers, params, tokens),
    }
    (probs, index)
}

pub(super) fn kernel_backward(dprobs: CubeTensor, probs: CubeTensor) -> CubeTensor {
    let (dprobs, probs) = (contiguous(dprobs), contiguous(probs));
    let [tokens, experts] = dims(&probs);
    let dlogits = output(&probs, probs.shape(), DType::F32);
    let params = backward_wgsl::Params { tokens, experts }.words();
    launch(&backward_wgsl::PLAIN, &[&dprobs, &probs, &dlogits], params, per_element(tokens as usize));
    dlogits
}
