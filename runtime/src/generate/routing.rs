//! Which experts the tokens of a sequence went to: kept on the device while the sequence runs, read once at its end.

use burn::tensor::Tensor;

use crate::device::{read_floats, read_ints};
use crate::error::Result;
use crate::nn::Routing;

/// The experts of every position of a sequence that went through the model; values row major.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingRecord {
    /// How many layers have experts: all of the language model's.
    pub layers: usize,
    /// How many positions went through the model: the prompt with pictures expanded, then the reply's tokens but for the
    /// last, which nothing had to follow.
    pub tokens: usize,
    /// How many experts a layer has.
    pub experts: usize,
    /// `[layers, tokens, experts]`.
    pub probs: Vec<f32>,
    /// `[layers, tokens]`: the likeliest expert.
    pub index: Vec<i32>,
}

/// Collects what the passes of one sequence hand out.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Pass by pass, the layers' routing.
    passes: Vec<Vec<Routing>>,
}

impl Recorder {
    /// Where the next pass puts its layers' routing.
    pub(super) fn pass(&mut self) -> &mut Vec<Routing> {
        self.passes.push(Vec::new());
        self.passes.last_mut().expect("it was just pushed")
    }

    /// Reads the first `tokens` positions (steps may have run ahead of the reply's end); `None` where the model has no
    /// experts.
    pub(super) async fn read(self, tokens: usize) -> Result<Option<RoutingRecord>> {
        let layers = self.passes.first().map_or(0, Vec::len);
        let (mut probs, mut index) = (vec![Vec::new(); layers], vec![Vec::new(); layers]);
        for pass in self.passes {
            assert_eq!(pass.len(), layers, "every pass runs through the same layers");
            for (layer, routing) in pass.into_iter().enumerate() {
                probs[layer].push(routing.probs);
                index[layer].push(routing.index);
            }
        }
        if layers == 0 {
            return Ok(None);
        }
        let probs = Tensor::stack::<3>(probs.into_iter().map(|parts| Tensor::cat(parts, 0)).collect(), 0);
        let index = Tensor::stack::<2>(index.into_iter().map(|parts| Tensor::cat(parts, 0)).collect(), 0);
        let [_, _, experts] = probs.dims();
        let probs = read_floats(probs.narrow(1, 0, tokens)).await?;
        let index = read_ints(index.narrow(1, 0, tokens)).await?;
        Ok(Some(RoutingRecord { layers, tokens, experts, probs, index }))
    }
}
