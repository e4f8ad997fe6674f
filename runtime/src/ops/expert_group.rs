//! Tokens sorted by expert.

use std::ops::Range;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::expert_group as expert_group_wgsl;

use super::launch::{contiguous, dims, launch, output};
use super::lora::VEC_TOKENS;
use super::{MoleOps, host};

/// Which expert each token goes to, and the tokens in the order of their experts.
#[derive(Clone, Debug)]
pub struct ExpertGroups {
    /// `[T]` (i32), the expert of each token.
    pub index: Tensor<1, Int>,
    /// The sorted order; `None` for so few tokens that it is not needed.
    pub sorted: Option<SortedTokens>,
}

/// Tokens in the order of their experts.
#[derive(Clone, Debug)]
pub struct SortedTokens {
    /// `[E + 1]` (i32): expert e's tokens stand at `offsets[e]..offsets[e + 1]` of the permutation.
    pub offsets: Tensor<1, Int>,
    /// `[T]` (i32): token numbers, ascending within an expert.
    pub permutation: Tensor<1, Int>,
}

/// Sorts tokens by expert: a counting sort on the device, without readback and in a stable order.
///
/// `index: [T]` (i32) in `0..experts`.
pub fn expert_group(index: Tensor<1, Int>, experts: usize) -> ExpertGroups {
    let [tokens] = index.dims();
    let sorted = (tokens > VEC_TOKENS).then(|| {
        let (offsets, permutation) = <Dispatch as MoleOps>::expert_group(index.clone().into_dispatch(), experts);
        SortedTokens { offsets: Tensor::from_dispatch(offsets), permutation: Tensor::from_dispatch(permutation) }
    });
    ExpertGroups { index, sorted }
}

/// The same on the host, for the composed bodies.
pub(super) struct HostGroups {
    pub(super) offsets: Vec<i32>,
    pub(super) permutation: Vec<i32>,
}

impl HostGroups {
    /// Sorts `index`.
    pub(super) fn sort(index: &[i32], experts: usize) -> Self {
        let mut permutation: Vec<i32> = (0..index.len() as i32).collect();
        permutation.sort_by_key(|&t| index[t as usize]);
        let below = |e: usize| index.iter().filter(|&&expert| (expert as usize) < e).count() as i32;
        Self { offsets: (0..=experts).map(below).collect(), permutation }
    }

    /// Every expert that has tokens, and where they stand in the sorted order.
    pub(super) fn experts(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let rows = self.offsets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize);
        rows.enumerate().filter(|(_, rows)| !rows.is_empty())
    }

    /// Token numbers in sorted order, on the device of `like`.
    pub(super) fn permutation<B: Backend>(&self, like: &FloatTensor<B>) -> IntTensor<B> {
        host::int_tensor::<B>(self.permutation.clone(), like)
    }

    /// Where each token stands in the sorted order, on the device of `like`.
    pub(super) fn inverse<B: Backend>(&self, like: &FloatTensor<B>) -> IntTensor<B> {
        let mut inverse = vec![0; self.permutation.len()];
        for (at, &token) in self.permutation.iter().enumerate() {
            inverse[token as usize] = at as i32;
        }
        host::int_tensor::<B>(inverse, like)
    }
}

pub(super) fn composed<B: Backend>(index: IntTensor<B>, experts: usize) -> (IntTensor<B>, IntTensor<B>) {
    let device = index.device();
    let groups = HostGroups::sort(&host::ints::<B>(index), experts);
    let int = |values: Vec<i32>| {
        let shape = [values.len()];
        B::int_from_data(TensorData::new(values, shape), &device)
    };
    (int(groups.offsets), int(groups.permutation))
}

pub(super) fn kernel(index: CubeTensor, experts: usize) -> (CubeTensor, CubeTensor) {
    let index = contiguous(index);
    let [tokens] = dims(&index);
    let offsets = output(&index, [experts + 1], DType::I32);
    let permutation = output(&index, [tokens as usize], DType::I32);
    let params = expert_group_wgsl::Params { tokens, experts: experts as u32 }.words();
    launch(&expert_group_wgsl::PLAIN, &[&index, &offsets, &permutation], params, 1);
    (offsets, permutation)
}
