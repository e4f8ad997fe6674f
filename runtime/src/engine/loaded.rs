//! A device with a model on it, and everything around the model that turns words and pictures into its prompt.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};

use super::command::{DumpRequest, Picture, ReplyPrompt, ReplyRequest};
use super::event::{Dump, Event, Reply};
use super::routing::{Places, ReplyRouting};
use crate::device::{ComputeDevice, breathe, read_floats};
use crate::error::{Error, Result};
use crate::generate::{
    GenerateParams, Progress, Prompt, PromptImage, Session, StopReason, Timings, check_length,
    full_logits_with_routing, generate, generate_with_routing,
};
use crate::image::{PixelValues, Preprocessor, decode};
use crate::model::adapter::AdapterSize;
use crate::model::{Llava, MemoryEstimate, Precision};
use crate::text::{ChatTemplate, DecodeStream, ImageToken, MAX_PROMPT_BYTES, Message, Role, Tokenizer};

/// Pictures whose features are kept, so that a second question about one does not run the vision tower again.
const KEPT_PICTURES: usize = 16;

pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) device: ComputeDevice,
    pub(super) model: Llava,
    pub(super) precision: Precision,
    pub(super) adapter_size: AdapterSize,
    /// How many a layer has; 0 for none.
    pub(super) experts: usize,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: ChatTemplate,
    pub(super) preprocessor: Preprocessor,
    pub(super) eos_token_ids: Vec<u32>,
    pub(super) session: Session,
    pub(super) features: HashMap<u64, Tensor<2>>,
}

impl Loaded {
    /// Answers; `on_event` gets `Started`, `Prefilled` and `Token` (empty where a token adds no text), and may stop the
    /// reply.
    pub(super) async fn reply(
        &mut self,
        request: ReplyRequest,
        on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Reply> {
        if request.routing {
            self.require_experts()?;
        }
        let (text, pictures, chat) = match request.prompt {
            ReplyPrompt::Raw(text, _) if text.is_empty() => return Err(empty()),
            ReplyPrompt::Raw(text, pictures) => (text, pictures, false),
            ReplyPrompt::Chat(messages) => {
                // A template has words of its own: the model would answer something nobody asked.
                if messages.last().is_none_or(|message| message.text.trim().is_empty()) {
                    return Err(empty());
                }
                // Left to the template, a paste beyond all bounds would look like the template's fault.
                for message in messages.iter().filter(|message| message.text.len() > MAX_PROMPT_BYTES) {
                    self.tokenizer.encode(&message.text)?;
                }
                let text = self.template.render(&turns(&messages))?;
                (text, messages.into_iter().flat_map(|message| message.pictures).collect(), true)
            }
        };
        let ids = self.check(&text, &pictures, request.max_new_tokens)?;
        let prompt = self.prompt(ids, &pictures).await?;
        let patches = self.model.config.image_seq_len();
        let prompt_tokens = prompt.expanded_len(patches);
        let image_tokens = prompt.images.len() * patches;
        let params = GenerateParams {
            max_new_tokens: request.max_new_tokens,
            sample: request.sample,
            seed: request.seed,
            eos_token_ids: self.eos_token_ids.clone(),
            lookahead: usize::from(self.device.is_gpu()),
        };

        let mut words = Words::new(&self.tokenizer, chat);
        let mut reply = Reply {
            text: String::new(),
            token_ids: Vec::new(),
            prompt_tokens,
            image_tokens,
            stop_reason: StopReason::Cancelled,
            timings: Timings::default(),
            routing: None,
        };
        if on_event(Event::Started { prompt_tokens, image_tokens }).is_break() {
            return Ok(reply);
        }
        let mut failed = None;
        let mut places = Places::new(&prompt, 0, &self.model.config, &self.tokenizer)?;
        let mut whole: Option<ReplyRouting> = None;
        let on_progress = |progress| {
            let event = match progress {
                Progress::Prefilled(tokens) => Ok(Event::Prefilled { tokens }),
                Progress::Token(id) => {
                    places.say(id);
                    // Asked even where a token adds no text: a reply of such tokens must be stoppable too.
                    words.push(id).map(|text| Event::Token(text.unwrap_or_default()))
                }
                Progress::Routed(record) => places.place(&record).map(|part| {
                    match &mut whole {
                        Some(whole) => whole.tokens.extend_from_slice(&part.tokens),
                        None => whole = Some(part.clone()),
                    }
                    Event::Routed(part)
                }),
            };
            event.map_or_else(
                |error| {
                    failed = Some(error);
                    ControlFlow::Break(())
                },
                &mut *on_event,
            )
        };
        let (model, session) = (&self.model, &mut self.session);
        let generated = match request.routing {
            true => generate_with_routing(model, session, &prompt, &params, on_progress).await?,
            false => generate(model, session, &prompt, &params, on_progress).await?,
        };
        if let Some(error) = failed {
            return Err(error);
        }
        let (rest, text) = words.finish()?;
        if let Some(rest) = rest {
            let _ = on_event(Event::Token(rest));
        }
        reply.routing = whole;
        (reply.text, reply.token_ids) = (text, generated.token_ids);
        (reply.stop_reason, reply.timings) = (generated.stop_reason, generated.timings);
        Ok(reply)
    }

    /// Where the tokens of a conversation go that ends with an answer: `Routed` events, until it ends or is stopped.
    pub(super) async fn trace(
        &mut self,
        mut messages: Vec<super::Message>,
        on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        self.require_experts()?;
        let Some(answer) = messages.pop().filter(|last| last.role == Role::Assistant && !messages.is_empty()) else {
            return Err(Error::Prompt("ends without an answer, so there is nothing to trace".to_string()));
        };
        let asked = self.template.render(&turns(&messages))?;
        let pictures: Vec<Picture> = messages.into_iter().flat_map(|message| message.pictures).collect();
        // A model begins an answer with a space where its template leaves it to do so.
        let space = if asked.ends_with(char::is_whitespace) { "" } else { " " };
        let text = format!("{asked}{space}{}", answer.text);
        let ids = self.check(&text, &pictures, 0)?;
        let tokens = self.tokenizer.encode_prompt(&text, ImageToken(self.model.config.image_token_id))?;
        let said = tokens.iter().filter(|token| token.start.is_some_and(|start| start >= asked.len())).count();
        let prompt = self.prompt(ids, &pictures).await?;
        let mut places = Places::new(&prompt, said, &self.model.config, &self.tokenizer)?;
        let params = GenerateParams {
            max_new_tokens: 0,
            sample: Default::default(),
            seed: 0,
            eos_token_ids: Vec::new(),
            lookahead: 0,
        };
        let mut failed = None;
        let on_progress = |progress| match progress {
            Progress::Routed(record) => match places.place(&record) {
                Ok(part) => on_event(Event::Routed(part)),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
            Progress::Prefilled(tokens) => on_event(Event::Prefilled { tokens }),
            Progress::Token(_) => ControlFlow::Continue(()),
        };
        generate_with_routing(&self.model, &mut self.session, &prompt, &params, on_progress).await?;
        failed.map_or(Ok(()), Err)
    }

    fn require_experts(&self) -> Result<()> {
        if self.experts > 0 {
            return Ok(());
        }
        let reason = "has no experts, so there is no routing to record; name an adapter with experts (--adapter DIR)";
        Err(Error::Adapter { path: self.name.clone().into(), reason: reason.to_string() })
    }

    /// Token ids and pictures as the model takes them. A page lives between two pictures.
    async fn prompt(&mut self, ids: Vec<i64>, pictures: &[Picture]) -> Result<Prompt> {
        let mut images = Vec::with_capacity(pictures.len());
        for picture in pictures {
            breathe().await;
            images.push(self.encode(picture)?);
        }
        Ok(Prompt { ids, images })
    }

    /// One forward pass over a raw prompt, with everything inside.
    pub(super) async fn dump(&mut self, request: DumpRequest) -> Result<Dump> {
        let ids = self.check(&request.prompt, &request.pictures, 0)?;
        let side = self.model.config.vision.image_size;
        let (mut pixel_values, mut image_features, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for picture in &request.pictures {
            let pixels = self.preprocessor.preprocess(&decode(&picture.bytes, &picture.name)?)?;
            pixel_values.extend_from_slice(&pixels.data);
            let features = self.features_of(pixels);
            image_features.extend(read_floats(features.clone()).await?);
            images.push(PromptImage { key: key(picture), features });
        }
        let (patches, count) = (self.model.config.image_seq_len(), images.len());
        let prompt = Prompt { ids: ids.clone(), images };
        let (logits, routing) = full_logits_with_routing(&self.model, &prompt).await?;
        Ok(Dump {
            input_ids: ids,
            pixel_values,
            pixel_dims: [count, side, side],
            image_features,
            feature_dims: [count, patches, self.model.config.text.hidden_size],
            logit_dims: [prompt.expanded_len(patches), self.model.config.text.vocab_size],
            logits,
            routing,
        })
    }

    /// What it takes of the device's memory.
    pub(super) fn memory(&self) -> MemoryEstimate {
        MemoryEstimate::new(&self.model.config, self.precision).with_adapter(self.adapter_size)
    }

    /// Tokenizes and checks what can be checked before the device is touched.
    fn check(&self, text: &str, pictures: &[Picture], max_new_tokens: usize) -> Result<Vec<i64>> {
        if let Some(at) = text.find('\0') {
            return Err(Error::Prompt(format!(
                "holds a NUL character at byte {at}; it is binary data, or take it out"
            )));
        }
        let image_token_id = self.model.config.image_token_id;
        let ids = self.tokenizer.encode_with_images(text, ImageToken(image_token_id))?;
        let config = &self.model.config;
        let tokens = check_length(&ids, pictures.len(), config)?;
        let context = tokens.saturating_add(max_new_tokens).min(config.text.max_position_embeddings);
        let memory = MemoryEstimate::with_context(config, self.precision, context).with_adapter(self.adapter_size);
        memory.check(config, self.precision, &self.device.report)?;
        Ok(ids)
    }

    /// A picture's features, from before or from the vision tower.
    fn encode(&mut self, picture: &Picture) -> Result<PromptImage> {
        let key = key(picture);
        if let Some(features) = self.features.get(&key) {
            return Ok(PromptImage { key, features: features.clone() });
        }
        let pixels = self.preprocessor.preprocess(&decode(&picture.bytes, &picture.name)?)?;
        let features = self.features_of(pixels);
        if self.features.len() >= KEPT_PICTURES {
            self.features.clear();
        }
        self.features.insert(key, features.clone());
        Ok(PromptImage { key, features })
    }

    /// `[patches, d_model]`.
    fn features_of(&self, pixels: PixelValues) -> Tensor<2> {
        let dims = [1, 3, pixels.height, pixels.width];
        let pixels = Tensor::from_data(TensorData::new(pixels.data, dims), self.model.device());
        self.model.encode_images(pixels).squeeze_dim(0)
    }
}

/// As the template takes them.
fn turns(messages: &[super::Message]) -> Vec<Message> {
    let turn = |message: &super::Message| Message {
        role: message.role,
        text: message.text.clone(),
        images: message.pictures.len(),
    };
    messages.iter().map(turn).collect()
}

fn empty() -> Error {
    Error::Prompt("is empty; ask something".to_string())
}

/// Equal bytes have equal keys, whatever the file is called.
fn key(picture: &Picture) -> u64 {
    let mut hasher = DefaultHasher::new();
    picture.bytes.hash(&mut hasher);
    hasher.finish()
}

/// The reply's words as they grow. A chat's reply drops the space that the template leaves to the model.
struct Words<'a> {
    stream: DecodeStream<'a>,
    text: String,
    trim: bool,
}

impl<'a> Words<'a> {
    fn new(tokenizer: &'a Tokenizer, trim: bool) -> Self {
        Self { stream: DecodeStream::new(tokenizer), text: String::new(), trim }
    }

    fn push(&mut self, id: u32) -> Result<Option<String>> {
        let piece = self.stream.push(id)?;
        Ok(piece.and_then(|piece| self.grow(&piece)))
    }

    /// The last piece, if bytes of an incomplete character were held back, and the whole text.
    fn finish(mut self) -> Result<(Option<String>, String)> {
        let rest = self.stream.clone().finish()?;
        let rest = rest.and_then(|piece| self.grow(&piece));
        Ok((rest, self.text))
    }

    fn grow(&mut self, piece: &str) -> Option<String> {
        let piece = if self.trim && self.text.is_empty() { piece.trim_start() } else { piece };
        self.text.push_str(piece);
        (!piece.is_empty()).then(|| piece.to_string())
    }
}
