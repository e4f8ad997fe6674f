//! The balance loss: `sum_k f_k P_k`, f_k the fraction of a sample's tokens sent to expert k (no gradient), P_k its mean
//! probability. Without a factor K. Source: LLaVA-MoLE, arXiv 2401.16160, section 3.3, and its released code (`pooled`).

use std::ops::Range;

use burn::tensor::{DType, Int, Tensor};

use super::config::BalanceScope;
use crate::nn::Routing;

/// One layer's fractions and mean probabilities, `[samples, experts]` each.
#[derive(Clone, Debug)]
pub(super) struct LayerLoad {
    pub(super) fractions: Tensor<2>,
    pub(super) probs: Tensor<2>,
}

impl LayerLoad {
    /// Of samples that stand one behind the other.
    pub(super) fn new(routing: &Routing, sequences: &[Range<usize>]) -> Self {
        let [tokens, experts] = routing.probs.dims();
        let numbers =
            Tensor::<1, Int>::arange(0..experts as i64, (&routing.index.device(), DType::I32)).unsqueeze::<2>();
        let chosen = routing
            .index
            .clone()
            .unsqueeze_dim::<2>(1)
            .expand([tokens, experts])
            .equal(numbers.expand([tokens, experts]))
            .float();
        Self { fractions: means(&chosen, sequences), probs: means(&routing.probs, sequences) }
    }
}

/// The mean of each sequence's rows, `[sequences, columns]`.
pub(super) fn means(rows: &Tensor<2>, sequences: &[Range<usize>]) -> Tensor<2> {
    let mean = |sequence: &Range<usize>| rows.clone().narrow(0, sequence.start, sequence.len()).mean_dim(0);
    Tensor::cat(sequences.iter().map(mean).collect(), 0)
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

fn mean(tensors: impl ExactSizeIterator<Item = Tensor<2>>) -> Tensor<2> {
    let count = tensors.len() as f32;
    tensors.reduce(|sum, tensor| sum + tensor).expect("a model has layers") / count
}
