//! Decoding a step at a time, for whoever measures it: the same steps that a reply takes, without its ends.

use std::ops::ControlFlow;

use super::prompt::Prompt;
use super::session::Session;
use super::steps::{self, Steps};
use crate::error::Result;
use crate::model::Llava;
use crate::nn::KvCache;
use crate::ops::{SampleParams, SampleState};

/// A reply under way.
pub struct Decoder<'a> {
    model: &'a Llava,
    cache: &'a mut KvCache,
    steps: Steps,
}

/// A token that was launched and not read yet.
pub struct Pending(steps::Pending);

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
        let cache = session.cache.as_mut().expect("made by the prefill");
        let (steps, _) = Steps::new(model, cache, session.filled.len(), hidden, sampler, params);
        Ok(Self { model, cache, steps })
    }

    /// Launches the next step: it feeds the last token and draws the next, which is not waited for.
    ///
    /// # Errors
    /// A device that fails.
    pub fn advance(&mut self) -> Result<Pending> {
        Ok(Pending(self.steps.advance(self.model, self.cache, None)?))
    }
}

impl Pending {
    /// Waits for the token.
    ///
    /// # Errors
    /// A device that fails.
    pub async fn read(self) -> Result<i32> {
        Ok(self.0.await?.token)
    }
}
