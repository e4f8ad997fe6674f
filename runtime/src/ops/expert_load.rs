//! How a pass was shared out among the experts.

use std::ops::Range;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Int, Shape, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::expert_load as expert_load_wgsl;

use super::launch::{contiguous, dims, launch, output};
use super::{MoleOps, host};

/// What fraction of each sequence's tokens went to each expert, and its mean probability there: `[S, E]` each.
///
/// `probs: [T, E]`, `index: [T]` (i32), the sequences' tokens not empty. Without a gradient.
pub fn expert_load(probs: Tensor<2>, index: Tensor<1, Int>, sequences: &[Range<usize>]) -> (Tensor<2>, Tensor<2>) {
    let ends = sequences.iter().flat_map(|sequence| [sequence.start as i32, sequence.end as i32]);
    let ends = TensorData::new(ends.collect::<Vec<i32>>(), [sequences.len(), 2]);
    let sequences = Tensor::<2, Int>::from_data(ends, (&index.device(), DType::I32));
    let (probs, index) = (probs.into_dispatch(), index.into_dispatch());
    let (fractions, means) = <Dispatch as MoleOps>::expert_load(probs, index, sequences.into_dispatch());
    (Tensor::from_dispatch(fractions), Tensor::from_dispatch(means))
}

pub(super) fn composed<B: Backend>(
    probs: FloatTensor<B>,
    index: IntTensor<B>,
    sequences: IntTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let device = probs.device();
    let [_, experts] = probs.shape().dims();
    let (probs, index) = (host::floats::<B>(probs), host::ints::<B>(index));
    let sequences = host::ints::<B>(sequences);
    let (mut fractions, mut means) = (Vec::new(), Vec::new());
    for ends in sequences.chunks(2) {
        let tokens = ends[0] as usize..ends[1] as usize;
        let len = tokens.len() as f32;
        for expert in 0..experts {
            let count = index[tokens.clone()].iter().filter(|&&one| one as usize == expert).count();
            let sum: f32 = tokens.clone().map(|token| probs[token * experts + expert]).sum();
            fractions.push(count as f32 / len);
            means.push(sum / len);
        }
    }
    let tensor = |values: Vec<f32>| {
        let shape = Shape::new([values.len() / experts, experts]);
        B::float_from_data(TensorData::new(values, shape), &device)
    };
    (tensor(fractions), tensor(means))
}

pub(super) fn kernel(probs: CubeTensor, index: CubeTensor, sequences: CubeTensor) -> (CubeTensor, CubeTensor) {
    let (probs, index, sequences) = (contiguous(probs), contiguous(index), contiguous(sequences));
    let ([_, experts], [count, _]) = (dims(&probs), dims(&sequences));
    let [fractions, means] = [(); 2].map(|()| output(&probs, [count as usize, experts as usize], DType::F32));
    let params = expert_load_wgsl::Params { experts, sequences: count }.words();
    let buffers = [&probs, &index, &sequences, &fractions, &means];
    launch(&expert_load_wgsl::PLAIN, &buffers, params, count * experts.div_ceil(16));
    (fractions, means)
}
