//! Dropout (Srivastava et al. 2014) with a mask that is a pure function of a seed, so that a layer run again in the
//! backward pass, on any device, drops the same elements.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::dropout as dropout_wgsl;

use super::MoleOps;
use super::host::pcg;
use super::launch::{contiguous, launch, output, per_element};
use super::tape::record;

/// `x / (1 - probability)` where a hash of (seed, element) keeps it, else 0. `x: [T, D]`, `probability` in `0..1`.
pub fn dropout(x: Tensor<2>, seed: u32, probability: f32) -> Tensor<2> {
    if probability == 0.0 {
        return x;
    }
    Tensor::from_dispatch(<Dispatch as MoleOps>::mole_dropout(x.into_dispatch(), seed, probability))
}

/// Hashes below this are dropped.
fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0) as u32
}

fn scale(probability: f32) -> f32 {
    1.0 / (1.0 - probability)
}

pub(super) fn composed<B: Backend>(x: FloatTensor<B>, seed: u32, probability: f32) -> FloatTensor<B> {
    let (threshold, scale, seed) = (threshold(probability), scale(probability), pcg(seed));
    let shape = x.shape();
    let mask = (0..shape.num_elements() as u32).map(|i| if pcg(i ^ seed) >= threshold { scale } else { 0.0 });
    let mask = B::float_from_data(TensorData::new(mask.collect::<Vec<f32>>(), shape), &x.device());
    B::float_mul(x, mask)
}

/// A linear function of x: the gradient goes through the same mask.
pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    seed: u32,
    probability: f32,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, node) = x.into_parts();
    let y = B::mole_dropout(x, seed, probability);
    record::<B, C, _, 1>([node], y, (seed, probability), |(seed, probability), dy, _| {
        [Some(B::mole_dropout(dy, seed, probability))]
    })
}

pub(super) fn kernel(x: CubeTensor, seed: u32, probability: f32) -> CubeTensor {
    let x = contiguous(x);
    let y = output(&x, x.shape(), DType::F32);
    let elements = x.shape().num_elements();
    let (threshold, scale) = (threshold(probability), scale(probability));
    let params = dropout_wgsl::Params { elements: elements as u32, seed, threshold, scale }.words();
    launch(&dropout_wgsl::PLAIN, &[&x, &y], params, per_element(elements));
    y
}
