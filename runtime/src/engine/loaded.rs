//! A device with a model on it, and everything around the model that turns words and pictures into its prompt.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::command::{DumpRequest, LoadRequest, ModelSource, Picture, ReplyPrompt, ReplyRequest};
use super::event::{Dump, Event, ModelInfo, Reply};
use crate::device::{ComputeDevice, read_floats};
use crate::error::{Error, Result};
use crate::generate::{GenerateParams, Prompt, PromptImage, Session, full_logits, generate};
use crate::image::{PixelValues, Preprocessor, decode};
use crate::model::{LlavaConfig, LoadProgress, Llava, MemoryEstimate, Precision};
use crate::text::{ChatTemplate, DecodeStream, ImageToken, Message as TemplateMessage, Tokenizer};
use crate::weights::{Checkpoint, Dtype, ModelFiles};

/// Pictures whose features are kept, so that a second question about one does not run the vision tower again.
const KEPT_PICTURES: usize = 16;

pub(super) struct Loaded {
    device: ComputeDevice,
    model: Llava,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    preprocessor: Preprocessor,
    eos_token_ids: Vec<u32>,
    session: Session,
    features: HashMap<u64, Tensor<2>>,
}
