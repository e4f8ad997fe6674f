//! The balance loss: `sum_k f_k P_k`, f_k the fraction of a sample's tokens sent to expert k (no gradient), P_k its mean
//! probability. Without a factor K. Source: LLaVA-MoLE, arXiv 2401.16160, section 3.3, and its released code (`pooled`).

use std::ops::Range;

use burn::tensor::Tensor;

use super::config::BalanceScope;
use crate::nn::Routing;
use crate::ops::expert_load;

/// One layer's fractions and mean probabilities, `[samples, experts]` each.
#[derive(Clone, Debug)]
pub(super) struct LayerLoad {
    pub(super) fractions: Tensor<2>,
    pub(super) probs: Tensor<2>,
}

impl LayerLoad {
    /// Of samples that stand one behind the other.
    pub(super) fn new(routing: &Routing, sequences: &[Range<usize>]) -> Self {
        let (fractions, probs) = expert_load(routing.probs.clone(), routing.index.clone(), sequences);
        Self { fractions, probs }
    }
}

/// The balance loss of each sample, `[samples]`.
pub(super) fn losses(loads: &[LayerLoad], scope: BalanceScope) -> Tensor<1> {
    let products: Tensor<2> = match scope {
        BalanceScope::Layer => mean(loads.iter().map(|load| load.fractions.clone() * load.probs.clone())),
        BalanceScope::Pooled => {
            mean(loads.iter().map(|load| load.fractions.clone())) * mean(loads.iter().map(|load| load.probs.clone()))
        }
    };
    products.sum_dim(1).squeeze_dim(1)
}

/// What each layer's mean probabilities are multiplied by in the sum of all samples' losses: its gradient in them,
/// `[samples, experts]` a layer.
pub(super) fn factors(loads: &[LayerLoad], scope: BalanceScope) -> Vec<Tensor<2>> {
    let layers = loads.len() as f32;
    match scope {
        BalanceScope::Layer => loads.iter().map(|load| load.fractions.clone() / layers).collect(),
        BalanceScope::Pooled => {
            let pooled = mean(loads.iter().map(|load| load.fractions.clone())) / layers;
            vec![pooled; loads.len()]
        }
    }
}

/// The gradient of `sum_s sum_k factors_sk P_sk` in the probabilities `[tokens, experts]` that P is the mean of.
pub(super) fn gradient(factors: &Tensor<2>, sequences: &[Range<usize>]) -> Tensor<2> {
    let [_, experts] = factors.dims();
    let of_sequence = |(number, sequence): (usize, &Range<usize>)| {
        let factor = factors.clone().narrow(0, number, 1) / sequence.len() as f32;
        factor.expand([sequence.len(), experts])
    };
    let mut all: Vec<Tensor<2>> = sequences.iter().enumerate().map(of_sequence).collect();
    // One is most often all there are.
    if all.len() == 1 { all.remove(0) } else { Tensor::cat(all, 0) }
}

fn mean(tensors: impl ExactSizeIterator<Item = Tensor<2>>) -> Tensor<2> {
    let count = tensors.len() as f32;
    tensors.reduce(|sum, tensor| sum + tensor).expect("a model has layers") / count
}
