//! Decoding a step at a time, for whoever measures it: the same steps that a reply takes, without its ends.

use burn::tensor::{Int, Tensor};

use super::decode::{Step, advance, pick};
use super::prompt::Prompt;
use super::session::Session;
use crate::device::read_ints;
use crate::error::Result;
use crate::model::Llava;
use crate::nn::KvCache;
use crate::ops::{SampleParams, SampleState};

use std::ops::ControlFlow;

/// A reply under way.
pub struct Decoder<'a> {
    model: &'a Llava,
    cache: &'a mut KvCache,
    step: Option<Step>,
    params: SampleParams,
}

/// A token that was launched and not read yet.
pub struct Pending(Tensor<1, Int>);

impl<'a> Decoder<'a> {
    /// Prefills `prompt` and launches the first token. `steps` more will be wanted at most.
    ///
    /// # Errors
    /// As [`generate`](super::generate).
    pub async fn start(
        model: &'a Llava,
        session: &'a mut Session,
        prompt: &Prompt,
        params: SampleParams,
        steps: usize,
    ) -> Result<Self> {
        let hidden = session.prefill(model, prompt, steps + 1, None, |_| ControlFlow::Continue(())).await?;
        let hidden = hidden.expect("nothing stops this prefill");
        let sampler = SampleState::new(model.config.text.vocab_size, &prompt.ids, 0, model.device());
        let step = pick(model, hidden, model.position(session.filled.len()), sampler, params);
        let cache = session.cache.as_mut().expect("made by the prefill");
        Ok(Self { model, cache, step: Some(step), params })
    }

    /// Launches the next step: it feeds the last token and draws the next, which is not waited for.
    pub fn advance(&mut self) -> Pending {
        let step = self.step.take().expect("put back below");
        let step = advance(self.model, self.cache, step, self.params, None);
        let pending = Pending(step.token.clone());
        self.step = Some(step);
        pending
    }
}

impl Pending {
    /// Waits for the token.
    ///
    /// # Errors
    /// A device that fails.
    pub async fn read(self) -> Result<i32> {
        Ok(read_ints(self.0).await?[0])
    }
}
