//! The reply, token by token.
//!
//! Position, last token, tokens seen and the sampler's step live in device buffers: a step uploads nothing. On a GPU the
//! next step is launched before the last token is read, so neither side waits for the other.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use burn::tensor::{Int, Tensor};
use serde::Serialize;
use web_time::Instant;

use super::prompt::{Prompt, Slot};
use super::routing::{Recorder, RoutingRecord};
use super::session::Session;
use crate::device::{breathe, read_ints};
use crate::error::{Error, Result};
use crate::model::Llava;
use crate::nn::{KvCache, Routing};
use crate::ops::{NO_TOKEN, SampleParams, SampleState, sample};

/// How a reply is made.
#[derive(Clone, Debug)]
pub struct GenerateParams {
    /// At most this many tokens.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    pub sample: SampleParams,
    /// Seed of the draws.
    pub seed: u32,
    /// Tokens that end the reply.
    pub eos_token_ids: Vec<u32>,
    /// Steps launched ahead of the token that is read: 1 hides the readback of a GPU; 0 wastes no work on a CPU.
    pub lookahead: usize,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said it is done.
    Eos,
    /// `max_new_tokens` were made.
    MaxTokens,
    /// The context is full.
    Context,
    /// It was stopped.
    Cancelled,
}

/// Where the time of a reply went, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Prompt to first token.
    pub prefill_seconds: f64,
    /// First token to last.
    pub decode_seconds: f64,
    /// Tokens after the first, by the second.
    pub tokens_per_second: f64,
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The tokens, without the one that ended it.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Where the time went.
    pub timings: Timings,
    /// Where the tokens went, if that was asked for and the model has experts.
    pub routing: Option<RoutingRecord>,
}

/// How far a reply is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// So many of the prompt's tokens went through the model.
    Prefilled(usize),
    /// The next token of the reply.
    Token(u32),
    /// Where the positions went that follow those told before: of the prompt, then of the reply.
    Routed(RoutingRecord),
}

/// One decode step's state on the device.
pub(super) struct Step {
    pub(super) token: Tensor<1, Int>,
    position: Tensor<1, Int>,
    sampler: SampleState,
}

/// Answers `prompt`. `on_progress` is told of every piece of the prompt and every token as it is read, and may stop the
/// reply there.
///
/// # Errors
/// What [`Prompt::check`] refuses; [`Error::Device`] if the device fails or the model yields no finite logit.
pub async fn generate(
    model: &Llava,
    session: &mut Session,
    prompt: &Prompt,
    params: &GenerateParams,
    on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    decode(model, session, prompt, params, None, on_progress).await
}

/// As [`generate`], and records which experts the tokens went to: those of the prompt, all of which runs through the
/// model again for it, and those of the reply. `on_progress` is told of each as soon as it is known to belong to the reply.
///
/// # Errors
/// As [`generate`].
pub async fn generate_with_routing(
    model: &Llava,
    session: &mut Session,
    prompt: &Prompt,
    params: &GenerateParams,
    on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    let mut recorder = Recorder::default();
    let (mut parts, mut on_progress) = (Vec::new(), on_progress);
    let on_all = |progress| {
        if let Progress::Routed(record) = &progress {
            parts.push(record.clone());
        }
        on_progress(progress)
    };
    let mut generated = decode(model, session, prompt, params, Some(&mut recorder), on_all).await?;
    // The record begins where the cache does, and ends with it.
    if let Some(rest) = recorder.read_to(session.filled.len()).await? {
        let _ = on_progress(Progress::Routed(rest.clone()));
        parts.push(rest);
    }
    generated.routing = RoutingRecord::join(&parts);
    Ok(generated)
}

async fn decode(
    model: &Llava,
    session: &mut Session,
    prompt: &Prompt,
    params: &GenerateParams,
    mut recorder: Option<&mut Recorder>,
    mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    let context = model.config.text.max_position_embeddings;
    let start = Instant::now();
    let done = |token_ids, stop_reason, timings| Generated { token_ids, stop_reason, timings, routing: None };
    let on_chunk = |tokens| on_progress(Progress::Prefilled(tokens));
    let prefilled = session.prefill(model, prompt, params.max_new_tokens, recorder.as_deref_mut(), on_chunk).await?;
    let Some(hidden) = prefilled else {
        return Ok(done(Vec::new(), StopReason::Cancelled, Timings::default()));
    };
    let prompt_len = session.filled.len();
    // The last step made may still be fed, so a reply of n tokens takes n - 1 positions behind the prompt.
    let room = context - prompt_len + 1;
    let (limit, at_limit) = match params.max_new_tokens <= room {
        true => (params.max_new_tokens, StopReason::MaxTokens),
        false => (room, StopReason::Context),
    };
    if limit == 0 {
        return Ok(done(Vec::new(), at_limit, Timings::default()));
    }

    let sampler = SampleState::new(model.config.text.vocab_size, &prompt.ids, params.seed, model.device());
    let mut step = pick(model, hidden, model.position(prompt_len), sampler, params.sample);
    let mut launched = 1;
    let mut unread = VecDeque::from([step.token.clone()]);
    let mut token_ids: Vec<u32> = Vec::new();
    let mut first_token = start;
    let cache = session.cache.as_mut().expect("made by the prefill");
    let stop_reason = loop {
        while unread.len() <= params.lookahead && launched < limit {
            step = advance(model, cache, step, params.sample, recorder.as_deref_mut().map(Recorder::pass));
            launched += 1;
            unread.push_back(step.token.clone());
        }
        let Some(token) = unread.pop_front() else { break at_limit };
        let id = read_ints(token).await?[0];
        if token_ids.is_empty() {
            first_token = Instant::now();
        }
        if id == NO_TOKEN {
            return Err(Error::Device(
                "the model's output is not finite; try --weights f32, or another checkpoint".to_string(),
            ));
        }
        // That there is a token here says that all before it belong to the reply.
        if let Some(recorder) = recorder.as_deref_mut()
            && let Some(record) = recorder.read_to(prompt_len + token_ids.len()).await?
            && on_progress(Progress::Routed(record)).is_break()
        {
            break StopReason::Cancelled;
        }
        let id = id as u32;
        if params.eos_token_ids.contains(&id) {
            break StopReason::Eos;
        }
        token_ids.push(id);
        if on_progress(Progress::Token(id)).is_break() {
            break StopReason::Cancelled;
        }
        breathe().await;
    };
    // Every token but the newest launched one was fed to the cache.
    let fed = token_ids.len().min(launched - 1);
    session.filled.extend(token_ids[..fed].iter().map(|&id| Slot::Token(i64::from(id))));

    let decode_seconds = first_token.elapsed().as_secs_f64();
    let later = token_ids.len().saturating_sub(1);
    let timings = Timings {
        prefill_seconds: (first_token - start).as_secs_f64(),
        decode_seconds,
        tokens_per_second: if later > 0 { later as f64 / decode_seconds } else { 0.0 },
    };
    Ok(done(token_ids, stop_reason, timings))
}

/// Feeds the last token and draws the next.
pub(super) fn advance(
    model: &Llava,
    cache: &mut KvCache,
    step: Step,
    params: SampleParams,
    routing: Option<&mut Vec<Routing>>,
) -> Step {
    let x = model.text.embed(step.token);
    let hidden = model.text.forward(x, cache, &step.position, routing);
    pick(model, hidden, step.position + 1, step.sampler, params)
}

/// Draws from the logits of `hidden: [1, 1, d_model]`; the token drawn will stand at `position`.
pub(super) fn pick(
    model: &Llava,
    hidden: Tensor<3>,
    position: Tensor<1, Int>,
    sampler: SampleState,
    params: SampleParams,
) -> Step {
    let logits = model.text.logits(hidden).flatten(0, 2);
    let (token, sampler) = sample(logits, sampler, params);
    Step { token, position, sampler }
}
