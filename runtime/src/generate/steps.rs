//! Tokens one after the other: by the fused decode where the device and the model have it, else operation by operation.

use std::future::Future;
use std::pin::Pin;

use burn::tensor::{Int, Tensor};

use super::routing::Recorder;
use crate::device::read_ints;
use crate::error::Result;
use crate::model::Llava;
use crate::nn::KvCache;
use crate::ops::{DecodedToken, Decoder, SampleParams, SampleState, sample};

/// A token on its way to the host.
pub(super) type Pending = Pin<Box<dyn Future<Output = Result<DecodedToken>>>>;

/// The state of decoding, all of it on the device.
pub(super) struct Steps {
    /// The last token drawn.
    token: Tensor<1, Int>,
    path: Path,
}

enum Path {
    /// The next step is the decoder's first, or one after it.
    Fused {
        decoder: Box<Decoder>,
        begun: bool,
    },
    Plain(Box<Plain>),
}

/// What the plain path carries along.
struct Plain {
    position: Tensor<1, Int>,
    /// Taken out while it is written: no clone of it may be alive then.
    sampler: Option<SampleState>,
    params: SampleParams,
}

impl Steps {
    /// Draws the first token from `hidden: [1, 1, d_model]`, the state behind a prompt of `position` positions.
    pub(super) fn new(
        model: &Llava,
        cache: &mut KvCache,
        position: usize,
        hidden: Tensor<3>,
        sampler: SampleState,
        params: SampleParams,
    ) -> (Self, Pending) {
        let (token, sampler) = sample(model.text.logits(hidden).flatten(0, 2), sampler, params);
        let stack = model.text.decode_stack(cache);
        let decoder = stack.and_then(|stack| Decoder::new(&stack, position, sampler.clone(), params));
        let path = match decoder {
            Some(decoder) => Path::Fused { decoder: Box::new(decoder), begun: false },
            None => Path::Plain(Box::new(Plain { position: model.position(position), sampler: Some(sampler), params })),
        };
        let first = later(token.clone());
        (Self { token, path }, first)
    }

    /// Feeds the last token and draws the next.
    pub(super) fn advance(
        &mut self,
        model: &Llava,
        cache: &mut KvCache,
        recorder: Option<&mut Recorder>,
    ) -> Result<Pending> {
        match &mut self.path {
            Path::Fused { decoder, begun: true } => Ok(Box::pin(decoder.step()?)),
            Path::Fused { decoder, begun } => {
                *begun = true;
                Ok(Box::pin(decoder.first(&self.token)?))
            }
            Path::Plain(plain) => {
                let Plain { position, sampler, params } = plain.as_mut();
                let x = model.text.embed(self.token.clone());
                let hidden = model.text.forward(x, cache, position, recorder.map(Recorder::pass));
                let state = sampler.take().expect("put back at the end of every step");
                let (token, state) = sample(model.text.logits(hidden).flatten(0, 2), state, *params);
                *sampler = Some(state);
                *position = position.clone() + 1;
                self.token = token.clone();
                Ok(later(token))
            }
        }
    }
}

/// Read when it is wanted.
fn later(token: Tensor<1, Int>) -> Pending {
    Box::pin(async move { Ok(DecodedToken { token: read_ints(token).await?[0], routing: None }) })
}
