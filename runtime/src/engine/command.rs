//! What the engine can be asked to do.

use std::path::PathBuf;
use std::sync::Arc;

use crate::device::DeviceChoice;
use crate::image::AspectRatio;
use crate::model::Precision;
use crate::ops::SampleParams;
use crate::text::Role;
#[cfg(not(target_arch = "wasm32"))]
use crate::train::TrainRequest;
use crate::weights::ModelFiles;

/// A request to the engine.
#[derive(Debug)]
pub enum Command {
    /// Opens a device and loads a model, replacing the one before. Answers: `Loading`..., `Loaded`.
    Load(LoadRequest),
    /// Finds out what loading a model would take. Nothing is allocated, and what is loaded stays. Answers: `Estimated`.
    Estimate(LoadRequest),
    /// Answers a prompt. Answers: `Started`, `Prefilled`..., `Token`..., `Replied`; with routing `Routed` behind each
    /// piece of the prompt and each token.
    Reply(ReplyRequest),
    /// Finds out where the tokens of a conversation go that ends with an answer. Answers: `Routed`..., `Traced`.
    Trace(Vec<Message>),
    /// Runs the model once over a raw prompt and returns what is inside. Answers: `Dumped`.
    Dump(DumpRequest),
    /// Trains, in the place of any model that is loaded. Answers: `Training`, `Loading`..., `Training`..., `Trained`.
    #[cfg(not(target_arch = "wasm32"))]
    Train(Box<TrainCommand>),
    /// Stops the running reply at its next token, or the next piece of its prompt, and a training run at its next
    /// micro-batch. `Replied` follows with the part that was made, `Trained` after a checkpoint.
    Cancel,
}

/// What to train, and on which device.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Debug)]
pub struct TrainCommand {
    /// The base model; its adapter is the run's to choose.
    pub load: LoadRequest,
    /// The run.
    pub request: TrainRequest,
}

/// Which model, where, and how.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// The checkpoint.
    pub model: ModelSource,
    /// An adapter to put on it: LoRA, experts, a projector of its own.
    pub adapter: Option<ModelSource>,
    /// The device to run on.
    pub device: DeviceChoice,
    /// How to keep the weights; by default as the checkpoint and the device suggest.
    pub precision: Option<Precision>,
    /// How a picture that is not square is treated; by default as the checkpoint says.
    pub aspect_ratio: Option<AspectRatio>,
}

/// Where a checkpoint or an adapter comes from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A folder.
    Folder(PathBuf),
    /// Files that are open or in memory already, and a name for messages.
    Files(Arc<ModelFiles>, String),
}

/// A picture as it came: encoded bytes and a name for messages.
#[derive(Clone, Debug)]
pub struct Picture {
    /// File name, or a word for a pasted picture.
    pub name: String,
    /// PNG, JPEG or WebP.
    pub bytes: Arc<[u8]>,
}

/// One turn of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The words. `<image>` places a picture; pictures without a place go in front.
    pub text: String,
    /// The turn's pictures, in order.
    pub pictures: Vec<Picture>,
}

/// What to answer.
#[derive(Clone, Debug)]
pub enum ReplyPrompt {
    /// A conversation, rendered with the model's chat template. The whole of it each time: the engine finds out what
    /// it has in its cache already.
    Chat(Vec<Message>),
    /// A prompt as it is, with one `<image>` a picture.
    Raw(String, Vec<Picture>),
}

/// A prompt and how to answer it.
#[derive(Clone, Debug)]
pub struct ReplyRequest {
    /// What to answer.
    pub prompt: ReplyPrompt,
    /// At most this many tokens.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    pub sample: SampleParams,
    /// Seed of the draws.
    pub seed: u32,
    /// Record which experts the tokens go to, for [`Reply::routing`](super::Reply::routing). What the cache holds of the
    /// conversation is computed again for it, and a model without experts refuses.
    pub routing: bool,
}

/// A raw prompt to look into.
#[derive(Clone, Debug)]
pub struct DumpRequest {
    /// The prompt as it is, with one `<image>` a picture.
    pub prompt: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
}
