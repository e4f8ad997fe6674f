//! Picks the next token: greedy, or temperature with top-k and top-p, after a repetition penalty. Seeded.
//!
//! The draw is the arg max of logit plus Gumbel noise, the noise of token i at step n being a hash of (seed, n, i): no
//! order of summation enters, so CPU and GPU pick the same token but for the last bits of `log`.

use std::cmp::Ordering;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::sample as sample_wgsl;

use super::host::pcg;
use super::launch::{contiguous, launch, output};
use super::{MoleOps, host};

/// What [`sample`] yields when no logit is finite.
pub const NO_TOKEN: i32 = -1;

/// How the next token is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleParams {
    /// 0 picks the largest logit; larger values, from about 0.01, flatten the distribution.
    pub temperature: f32,
    /// Only the k largest logits; 0 is off.
    pub top_k: u32,
    /// Only the fewest largest whose probabilities sum to p; 1 is off.
    pub top_p: f32,
    /// Divides (or multiplies, where negative) the logits of tokens already seen (arXiv 1909.05858); 1 is off.
    pub repetition_penalty: f32,
}

impl Default for SampleParams {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0 }
    }
}

/// What a run of draws carries along, in device buffers.
#[derive(Clone, Debug)]
pub struct SampleState {
    /// `[V]` (i32), 1 where the token occurred.
    pub seen: Tensor<1, Int>,
    /// `[2]` (i32): seed, step.
    pub rng: Tensor<1, Int>,
}

impl SampleState {
    /// A fresh run: `prompt` counts as seen; ids outside the vocabulary (image placeholders) do not.
    pub fn new(vocab: usize, prompt: &[i64], seed: u32, device: &Device) -> Self {
        let mut seen = vec![0i32; vocab];
        for &id in prompt {
            if let Some(slot) = usize::try_from(id).ok().and_then(|id| seen.get_mut(id)) {
                *slot = 1;
            }
        }
        let int = |values: Vec<i32>| {
            let shape = [values.len()];
            Tensor::from_data(TensorData::new(values, shape), (device, DType::I32))
        };
        Self { seen: int(seen), rng: int(vec![seed as i32, 0]) }
    }
}

/// Draws one token from `logits: [V]`; returns it as `[1]` (i32), or [`NO_TOKEN`].
///
/// The state is advanced; on a GPU in place, so no clone of it may be alive.
pub fn sample(logits: Tensor<1>, state: SampleState, params: SampleParams) -> (Tensor<1, Int>, SampleState) {
    let (token, seen, rng) = <Dispatch as MoleOps>::sample(
        logits.into_dispatch(),
        state.seen.into_dispatch(),
        state.rng.into_dispatch(),
        params,
    );
    let state = SampleState { seen: Tensor::from_dispatch(seen), rng: Tensor::from_dispatch(rng) };
    (Tensor::from_dispatch(token), state)
}

pub(super) fn composed<B: Backend>(
    logits: FloatTensor<B>,
    seen: IntTensor<B>,
    state: IntTensor<B>,
    params: SampleParams,
) -> (IntTensor<B>, IntTensor<B>, IntTensor<B>) {
    let device = logits.device();
    let int = |values: Vec<i32>| {
        let shape = [values.len()];
        B::int_from_data(TensorData::new(values, shape), &device)
    };
    let values = host::floats::<B>(logits);
    let mut seen = host::ints::<B>(seen);
    let mut state = host::ints::<B>(state);
    let token = draw(values, &seen, state[0] as u32, state[1] as u32, params);
    if let Ok(token) = usize::try_from(token) {
        seen[token] = 1;
    }
    state[1] = state[1].wrapping_add(1);
    (int(vec![token]), int(seen), int(state))
}

/// The definition, by sorting; the kernel finds the same thresholds without.
fn draw(mut logits: Vec<f32>, seen: &[i32], seed: u32, step: u32, params: SampleParams) -> i32 {
    let greedy = params.temperature == 0.0;
    let inverse = if greedy { 1.0 } else { 1.0 / params.temperature };
    for (logit, &seen) in logits.iter_mut().zip(seen) {
        if seen != 0 {
            let r = params.repetition_penalty;
            *logit = if *logit > 0.0 { *logit / r } else { *logit * r };
        }
        *logit *= inverse;
    }
    let threshold = if greedy { f32::NEG_INFINITY } else { threshold(&logits, params) };
    let mut best = (f32::MIN, NO_TOKEN);
    for (i, &logit) in logits.iter().enumerate() {
        let score = match greedy {
            true => logit,
            false if logit >= threshold => logit + gumbel(seed, step, i as u32),
            false => continue,
        };
        if score > best.0 {
            best = (score, i as i32);
        }
    }
    best.1
}

/// The smallest logit that top-k and then top-p keep. Equal logits stay or go together.
fn threshold(logits: &[f32], params: SampleParams) -> f32 {
    let mut sorted: Vec<f32> = logits.iter().copied().filter(|logit| !logit.is_nan()).collect();
    sorted.sort_by(|a, b| b.partial_cmp(a).unwrap_or(Ordering::Equal));
    let Some(&largest) = sorted.first() else { return f32::NEG_INFINITY };
    if params.top_k > 0 && (params.top_k as usize) < sorted.len() {
        let least = sorted[params.top_k as usize - 1];
        sorted.retain(|&logit| logit >= least);
    }
    let mut least = *sorted.last().expect("holds at least the largest");
    if params.top_p < 1.0 {
        let mass: f32 = sorted.iter().map(|logit| (logit - largest).exp()).sum();
        let mut kept = 0.0;
        for &logit in &sorted {
            least = logit;
            kept += (logit - largest).exp();
            if kept >= params.top_p * mass {
                break;
            }
        }
    }
    least
}

fn gumbel(seed: u32, step: u32, i: u32) -> f32 {
    let bits = pcg(i ^ pcg(step ^ pcg(seed)));
    // 23 bits: the sum is exact, never 0 or 1.
    let uniform = ((bits >> 9) as f32 + 0.5) * 1.192_092_9e-7;
    -(-uniform.ln()).ln()
}

pub(super) fn kernel(
    logits: CubeTensor,
    seen: CubeTensor,
    state: CubeTensor,
    params: SampleParams,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let logits = contiguous(logits);
    let token = output(&logits, [1], DType::I32);
    launch_into(&logits, &seen, &state, &token, params);
    (token, seen, state)
}

/// Draws into `token: [1]`.
pub(super) fn launch_into(
    logits: &CubeTensor,
    seen: &CubeTensor,
    state: &CubeTensor,
    token: &CubeTensor,
    params: SampleParams,
) {
    let [vocab] = logits.shape().dims();
    let words = sample_wgsl::Params {
        vocab: vocab as u32,
        top_k: params.top_k,
        temperature: params.temperature,
        top_p: params.top_p,
        repetition_penalty: params.repetition_penalty,
    }
    .words();
    launch(&sample_wgsl::PLAIN, &[logits, seen, state, token], words, 1);
}
