//! The cache of a conversation and what stands in it.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::prompt::{Prompt, Slot};
use super::routing::{Recorder, RoutingRecord};
use crate::device::{breathe, read_floats};
use crate::error::Result;
use crate::model::{Llava, PREFILL_CHUNK};
use crate::nn::KvCache;

/// Caches grow in steps of this many positions, so that a growing chat seldom starts over.
const CAPACITY_STEP: usize = 512;

/// A cache that outlives one reply: the next prompt only prefills what differs.
#[derive(Debug, Default)]
pub struct Session {
    pub(super) cache: Option<KvCache>,
    pub(super) filled: Vec<Slot>,
}

impl Session {
    /// An empty session.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything and frees the cache.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes room for `needed` positions; a cache that is too small is replaced and prefilled anew.
    fn reserve(&mut self, model: &Llava, needed: usize) {
        let capacity = needed.next_multiple_of(CAPACITY_STEP).min(model.config.text.max_position_embeddings);
        if self.cache.as_ref().is_none_or(|cache| cache.capacity() < needed) {
            // Freed before the new one is made.
            self.clear();
            model.device().memory_cleanup();
            self.cache = Some(model.kv_cache(capacity));
        }
    }

    /// Brings the cache to the state after `prompt`, with room for `reserve` more positions, and returns the hidden
    /// state of its last token, `[1, 1, d_model]`; `None` if `on_chunk`, told the tokens done so far, stopped it.
    ///
    /// With a `recorder` nothing cached is reused: what is cached does not run again, so no router would say where it went.
    pub(super) async fn prefill(
        &mut self,
        model: &Llava,
        prompt: &Prompt,
        reserve: usize,
        mut recorder: Option<&mut Recorder>,
        mut on_chunk: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Tensor<3>>> {
        prompt.check(model)?;
        let slots = prompt.slots(model)?;
        let context = model.config.text.max_position_embeddings;
        self.reserve(model, slots.len().saturating_add(reserve).min(context));
        if recorder.is_some() {
            self.filled.clear();
        }
        let common = self.filled.iter().zip(&slots).take_while(|(a, b)| a == b).count();
        // The last token runs again even if it is cached: its hidden state is what is wanted.
        let mut from = common.min(slots.len() - 1);
        self.filled.truncate(from);
        let cache = self.cache.as_mut().expect("reserved above");
        loop {
            let to = (from + PREFILL_CHUNK).min(slots.len());
            let x = prompt.embed(model, from, to)?;
            let routing = recorder.as_deref_mut().map(Recorder::pass);
            let hidden = model.text.forward(x, cache, &model.position(from), routing);
            self.filled.extend(&slots[from..to]);
            if to == slots.len() {
                return Ok(Some(hidden.narrow(1, to - from - 1, 1)));
            }
            // Launches are queued: without waiting for a number, nothing could be stopped.
            read_floats(hidden.narrow(1, 0, 1).narrow(2, 0, 1)).await?;
            if on_chunk(to).is_break() {
                return Ok(None);
            }
            breathe().await;
            from = to;
        }
    }
}

/// Logits of every position of the expanded prompt, row major `[tokens, vocab]`.
///
/// # Errors
/// What [`Prompt::check`] refuses, and a device that fails.
pub async fn full_logits(model: &Llava, prompt: &Prompt) -> Result<Vec<f32>> {
    logits_of_all(model, prompt, None).await
}

/// As [`full_logits`], and where the tokens went; `None` where the model has no experts.
///
/// # Errors
/// As [`full_logits`].
pub async fn full_logits_with_routing(model: &Llava, prompt: &Prompt) -> Result<(Vec<f32>, Option<RoutingRecord>)> {
    let mut recorder = Recorder::default();
    let logits = logits_of_all(model, prompt, Some(&mut recorder)).await?;
    let routing = recorder.read_to(prompt.expanded_len(model.config.image_seq_len())).await?;
    Ok((logits, routing))
}

async fn logits_of_all(model: &Llava, prompt: &Prompt, mut recorder: Option<&mut Recorder>) -> Result<Vec<f32>> {
    prompt.check(model)?;
    let tokens = prompt.expanded_len(model.config.image_seq_len());
    let mut cache = model.kv_cache(tokens);
    let mut logits = Vec::with_capacity(tokens * model.config.text.vocab_size);
    for from in (0..tokens).step_by(PREFILL_CHUNK) {
        let to = (from + PREFILL_CHUNK).min(tokens);
        let x = prompt.embed(model, from, to)?;
        let routing = recorder.as_deref_mut().map(Recorder::pass);
        let hidden = model.text.forward(x, &mut cache, &model.position(from), routing);
        logits.extend(read_floats(model.text.logits(hidden)).await?);
    }
    Ok(logits)
}
