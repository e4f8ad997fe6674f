//! The work that is measured, on the paths that replies and runs take: a picture, a prompt, tokens, a training step.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use burn::tensor::{DType, Tensor, TensorData};
use pollster::block_on;

use super::cost::AdapterShape;
use crate::data::TokenizedSample;
use crate::device::{ComputeDevice, Elapsed};
use crate::error::{Error, Result};
use crate::generate::{Decoder, Prompt, Session};
use crate::model::adapter::{Target, init_adapter};
use crate::model::{Llava, LlavaConfig};
use crate::ops::{NO_TOKEN, SampleParams};
use crate::text::ImageToken;
use crate::train::{GradientStore, Learner, LoadedSample, Objective, Rates, Stage, TrainConfig, accumulate};

/// A rank that papers use.
pub const RANK: usize = 32;

/// Of so many tokens of a training sample one is learnt from.
const SUPERVISED_OF: usize = 8;

/// Pixels of one picture.
pub fn pixels(device: &ComputeDevice, config: &LlavaConfig) -> Tensor<4> {
    let edge = config.vision.image_size;
    let values = (0..3 * edge * edge).map(|index| (index * 37 % 256) as f32 / 128.0 - 1.0).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, [1, 3, edge, edge]), (&device.burn, DType::F32))
}

/// Text of `tokens` ids; another `salt` is another text from its first token on.
pub fn text(config: &LlavaConfig, tokens: usize, salt: usize) -> Vec<i64> {
    let vocab = config.text.vocab_size;
    let id = |index: usize| match ((index * 37 + salt * 7 + 1) % vocab) as i64 {
        // No picture stands there.
        id if id == config.image_token_id => (id + 1) % vocab as i64,
        id => id,
    };
    (0..tokens).map(id).collect()
}

fn prompt(config: &LlavaConfig, tokens: usize, salt: usize) -> Prompt {
    Prompt { ids: text(config, tokens, salt), images: Vec::new() }
}

/// A model with a cache, for prompts and replies.
pub struct Replies {
    model: Llava,
    session: Session,
    salt: usize,
}

impl Replies {
    /// With an empty cache.
    pub fn new(model: &Llava) -> Self {
        Self { model: model.clone(), session: Session::new(), salt: 0 }
    }

    /// A prompt up to the first token of its reply, launched and not waited for. No token of it is in the cache.
    ///
    /// # Errors
    /// As `generate`.
    pub fn prefill(&mut self, tokens: usize) -> Result<()> {
        self.salt = 1 - self.salt;
        let prompt = prompt(&self.model.config, tokens, self.salt);
        let params = SampleParams::default();
        block_on(Decoder::start(&self.model, &mut self.session, &prompt, params, 1)).map(drop)
    }

    /// The time of a prefill.
    ///
    /// # Errors
    /// As `generate`.
    pub fn timed_prefill(&mut self, device: &ComputeDevice, tokens: usize) -> Result<Elapsed> {
        let (done, elapsed) = device.timed(|| self.prefill(tokens))?;
        done.map(|()| elapsed)
    }

    /// A reply behind `context` tokens, which are prefilled where they are not yet.
    ///
    /// # Errors
    /// As `generate`.
    pub fn decoder(&mut self, context: usize, steps: usize) -> Result<Decoder<'_>> {
        let prompt = prompt(&self.model.config, context, 0);
        let params = SampleParams::default();
        block_on(Decoder::start(&self.model, &mut self.session, &prompt, params, steps))
    }

    /// The time of `steps` steps, whose tokens are read as a reply's are: on a GPU one step behind.
    ///
    /// # Errors
    /// As `generate`.
    pub fn decode(&mut self, device: &ComputeDevice, context: usize, steps: usize) -> Result<Elapsed> {
        let mut decoder = self.decoder(context, steps + 1)?;
        // The first step prepares what the others repeat.
        block_on(decoder.advance()?.read())?;
        let lookahead = usize::from(device.is_gpu());
        let (tokens, elapsed) = device.timed(move || block_on(read_steps(&mut decoder, steps, lookahead)))?;
        match tokens? {
            NO_TOKEN => Err(Error::Device("the output that was measured is not finite; it means nothing".to_string())),
            _ => Ok(elapsed),
        }
    }
}

/// The last of `steps` tokens.
async fn read_steps(decoder: &mut Decoder<'_>, steps: usize, lookahead: usize) -> Result<i32> {
    let mut unread = std::collections::VecDeque::new();
    let mut last = 0;
    for launched in 0..steps + lookahead {
        if launched < steps {
            unread.push_back(decoder.advance()?);
        }
        if launched >= lookahead
            && let Some(token) = unread.pop_front()
        {
            last = token.read().await?;
        }
    }
    Ok(last)
}

/// The model with a fresh adapter on it.
pub fn adapted(model: &Llava, shape: AdapterShape) -> Llava {
    let mut model = model.clone();
    init_adapter(&train_config(shape).adapter(), &mut model, 7);
    model
}

/// LoRA on attention; on the MLP LoRA or experts of the same rank. One sequence a step.
pub fn train_config(AdapterShape { rank, experts }: AdapterShape) -> TrainConfig {
    let mole = experts
        .map_or(String::new(), |experts| format!("[mole]\nexperts = {experts}\nrank = {rank}\nalpha = {}\n", 2 * rank));
    let mut targets = BTreeSet::from([Target::QProj, Target::KProj, Target::VProj, Target::OProj]);
    if experts.is_none() {
        targets.extend([Target::GateProj, Target::UpProj, Target::DownProj]);
    }
    let targets: Vec<String> = targets.into_iter().map(|target| format!("\"{}\"", target.name())).collect();
    let config = format!(
        "model = \"m\"\noutput = \"o\"\n[lora]\nrank = {rank}\nalpha = {}\ntargets = [{}]\n{mole}[[data]]\nname = \"d\"\n\
         path = \"d\"\n[train]\nsteps = 1\nlr = 1e-4\n",
        2 * rank,
        targets.join(", ")
    );
    TrainConfig::parse(&config, "bench").expect("a configuration of ours")
}

/// How many of a sample's tokens are learnt from: the answer at its end.
pub fn supervised(tokens: usize) -> usize {
    tokens.div_ceil(SUPERVISED_OF)
}

/// A model that learns from one sample again and again.
pub struct Training {
    learner: Learner,
    sample: LoadedSample,
    step: u64,
}

impl Training {
    /// With a fresh adapter on `model`.
    pub fn new(model: &Llava, shape: AdapterShape, tokens: usize) -> Self {
        let config = &model.config;
        let supervised = (0..tokens).map(|token| token >= tokens - supervised(tokens)).collect();
        let (ids, image_token) = (text(config, tokens, 0), ImageToken(config.image_token_id));
        let tokens = TokenizedSample { ids, supervised, images: Vec::new(), image_token };
        let patches_per_image = config.image_seq_len();
        let sample = LoadedSample { dataset: 0, tokens, pixels: Vec::new(), patches_per_image };
        Self { learner: Learner::new(adapted(model, shape), &train_config(shape)), sample, step: 0 }
    }

    /// The time of a step: forward, backward, the norm, AdamW.
    ///
    /// # Errors
    /// A device that fails, or numbers that are none.
    pub fn step(&mut self, device: &ComputeDevice) -> Result<Elapsed> {
        let (applied, elapsed) = device.timed(|| self.once())?;
        applied.map(|()| elapsed)
    }

    /// A step.
    ///
    /// # Errors
    /// As [`Training::step`].
    pub fn once(&mut self) -> Result<()> {
        let rates = Rates { lr: 1e-4, projector_lr: 1e-4, vision_lr: 1e-4 };
        let window = std::slice::from_ref(&self.sample);
        let report = block_on(self.learner.step(window, self.step, rates, &mut || ControlFlow::Continue(())))?;
        self.step += 1;
        match report.is_some_and(|report| report.applied) {
            true => Ok(()),
            false => Err(Error::Training("the step that was measured is not finite; it means nothing".to_string())),
        }
    }

    /// The gradients of a step, launched and not waited for.
    ///
    /// # Errors
    /// A device that fails.
    pub fn launch_gradients(&self) -> Result<()> {
        let supervised_tokens = self.sample.tokens.supervised_tokens();
        let objective =
            Objective { stage: Stage::Finetune, balance: None, recompute: true, supervised_tokens, samples: 1 };
        let mut store = GradientStore::default();
        accumulate(&self.learner.model, std::slice::from_ref(&self.sample), &objective, 0, &mut store).map(drop)
    }
}
