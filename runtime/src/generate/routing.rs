//! Which experts the tokens of a sequence went to: kept on the device as each pass leaves it, read pass by pass.

use std::collections::VecDeque;

use burn::tensor::Tensor;

use crate::device::{read_floats, read_ints};
use crate::error::Result;
use crate::nn::Routing;

/// The experts of positions that went through the model one after the other; values row major.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingRecord {
    /// How many layers have experts: all of the language model's.
    pub layers: usize,
    /// How many positions: of a whole record the prompt with pictures expanded, then the reply's tokens but for the
    /// last, which nothing had to follow.
    pub tokens: usize,
    /// How many experts a layer has.
    pub experts: usize,
    /// `[layers, tokens, experts]`.
    pub probs: Vec<f32>,
    /// `[layers, tokens]`: the likeliest expert.
    pub index: Vec<i32>,
}

impl RoutingRecord {
    /// One record of records that follow one another; `None` of none.
    pub(super) fn join(parts: &[Self]) -> Option<Self> {
        let first = parts.first()?;
        let (layers, experts) = (first.layers, first.experts);
        let mut whole = Self { layers, tokens: 0, experts, probs: Vec::new(), index: Vec::new() };
        whole.tokens = parts.iter().map(|part| part.tokens).sum();
        for layer in 0..layers {
            for part in parts {
                let rows = layer * part.tokens..(layer + 1) * part.tokens;
                whole.probs.extend_from_slice(&part.probs[rows.start * experts..rows.end * experts]);
                whole.index.extend_from_slice(&part.index[rows]);
            }
        }
        Some(whole)
    }
}

/// Collects what the passes of one sequence hand out.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Pass by pass, from the first that was not read yet.
    passes: VecDeque<Vec<Routing>>,
    /// Single positions that came with their tokens, behind all passes.
    singles: VecDeque<RoutingRecord>,
    /// Positions that were read.
    read: usize,
}

impl Recorder {
    /// Where the next pass puts its layers' routing.
    pub(super) fn pass(&mut self) -> &mut Vec<Routing> {
        self.passes.push_back(Vec::new());
        self.passes.back_mut().expect("it was just pushed")
    }

    /// Takes in where one position went, that follows all before: probabilities `[layers, experts]`, experts `[layers]`.
    pub(super) fn single(&mut self, probs: Vec<f32>, index: Vec<i32>) {
        let layers = index.len();
        self.singles.push_back(RoutingRecord { layers, tokens: 1, experts: probs.len() / layers.max(1), probs, index });
    }

    /// Reads what was not read yet, of the sequence's first `tokens` positions (steps may have run ahead of the reply's
    /// end); `None` where there is nothing, or the model has no experts.
    pub(super) async fn read_to(&mut self, tokens: usize) -> Result<Option<RoutingRecord>> {
        let mut parts: Vec<RoutingRecord> = self.read_passes(tokens).await?.into_iter().collect();
        while self.passes.is_empty()
            && self.read < tokens
            && let Some(single) = self.singles.pop_front()
        {
            self.read += 1;
            parts.push(single);
        }
        Ok(RoutingRecord::join(&parts))
    }

    async fn read_passes(&mut self, tokens: usize) -> Result<Option<RoutingRecord>> {
        let layers = self.passes.front().map_or(0, Vec::len);
        let (mut probs, mut index) = (vec![Vec::new(); layers], vec![Vec::new(); layers]);
        let mut found = 0;
        while layers > 0
            && self.read + found < tokens
            && let Some(pass) = self.passes.pop_front()
        {
            assert_eq!(pass.len(), layers, "every pass runs through the same layers");
            let [positions] = pass[0].index.dims();
            let wanted = positions.min(tokens - self.read - found);
            found += wanted;
            for (layer, routing) in pass.into_iter().enumerate() {
                probs[layer].push(routing.probs.narrow(0, 0, wanted));
                index[layer].push(routing.index.narrow(0, 0, wanted));
            }
        }
        if found == 0 {
            return Ok(None);
        }
        self.read += found;
        let probs = Tensor::stack::<3>(probs.into_iter().map(|parts| Tensor::cat(parts, 0)).collect(), 0);
        let index = Tensor::stack::<2>(index.into_iter().map(|parts| Tensor::cat(parts, 0)).collect(), 0);
        let [_, _, experts] = probs.dims();
        let (probs, index) = (read_floats(probs).await?, read_ints(index).await?);
        Ok(Some(RoutingRecord { layers, tokens: found, experts, probs, index }))
    }
}
