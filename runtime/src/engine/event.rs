//! What the engine tells.

use serde::Serialize;

use super::routing::ReplyRouting;
use crate::device::AdapterReport;
use crate::error::Error;
use crate::generate::{RoutingRecord, StopReason, Timings};
use crate::image::PatchGrid;
use crate::model::{LoadProgress, MemoryEstimate, Precision};
#[cfg(not(target_arch = "wasm32"))]
use crate::train::{Finished, TrainEvent};

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// How far loading is.
    Loading(LoadProgress),
    /// The model is ready.
    Loaded(Box<ModelInfo>),
    /// What loading the model would take; it is not loaded.
    Estimated(Box<ModelInfo>),
    /// The prompt was understood; the reply begins.
    Started {
        /// Tokens of the prompt with every picture expanded.
        prompt_tokens: usize,
        /// How many of them are patches of pictures.
        image_tokens: usize,
    },
    /// So many of the prompt's tokens went through the model.
    Prefilled {
        /// Counted from the start, those from the cache included.
        tokens: usize,
    },
    /// The next piece of the reply. Never half a character.
    Token(String),
    /// Where the next tokens of prompt and reply went: those that went through the model since the last of these. The
    /// `tokens` are only the new ones.
    Routed(ReplyRouting),
    /// Every token of what [`Command::Trace`](super::Command::Trace) named was told of.
    Traced,
    /// The reply is complete.
    Replied(Reply),
    /// What [`Command::Dump`](super::Command::Dump) asked for.
    Dumped(Box<Dump>),
    /// How a training run is getting on.
    #[cfg(not(target_arch = "wasm32"))]
    Training(TrainEvent),
    /// A training run has ended.
    #[cfg(not(target_arch = "wasm32"))]
    Trained(Box<Finished>),
    /// The command failed; the engine goes on.
    Failed(Error),
}

/// What was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct ModelInfo {
    /// Folder or name.
    pub name: String,
    /// The device it is on.
    pub device: AdapterReport,
    /// How its weights are kept.
    pub weights: Precision,
    /// Its parameters.
    pub parameters: u64,
    /// Most tokens of prompt and reply.
    pub context: usize,
    /// Embeddings a picture takes.
    pub image_tokens: usize,
    /// How it cuts pictures into patches.
    #[serde(skip)]
    pub patches: PatchGrid,
    /// What it takes of the device's memory.
    pub memory: MemoryEstimate,
    /// The adapter on it.
    pub adapter: Option<AdapterInfo>,
}

/// The adapter that was put on a model.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterInfo {
    /// Folder or name.
    pub name: String,
    /// Its parameters.
    pub parameters: u64,
    /// How many experts a layer has; 0 for plain LoRA.
    pub experts: usize,
}

/// A reply.
#[derive(Clone, Debug, Serialize)]
pub struct Reply {
    /// The words.
    pub text: String,
    /// The tokens.
    pub token_ids: Vec<u32>,
    /// Tokens of the prompt with every picture expanded.
    pub prompt_tokens: usize,
    /// How many of them are patches of pictures.
    pub image_tokens: usize,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Where the time went.
    pub timings: Timings,
    /// Where the tokens went, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<ReplyRouting>,
}

/// The inside of one forward pass; values row major.
#[derive(Clone, Debug)]
pub struct Dump {
    /// `[T_text]`, the image token once a picture.
    pub input_ids: Vec<i64>,
    /// `[N, 3, H, W]`.
    pub pixel_values: Vec<f32>,
    /// N, H, W.
    pub pixel_dims: [usize; 3],
    /// `[N, P, D]`.
    pub image_features: Vec<f32>,
    /// N, P, D.
    pub feature_dims: [usize; 3],
    /// `[T, V]` over the expanded sequence.
    pub logits: Vec<f32>,
    /// T, V.
    pub logit_dims: [usize; 2],
    /// Where the tokens of the expanded sequence went, where there are experts.
    pub routing: Option<RoutingRecord>,
}
