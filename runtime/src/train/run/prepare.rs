//! From a configuration to a run: data, checkpoints, the model's trained parts.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use serde_json::{Value, json};

use super::{OnEvent, Run, TrainEvent, open_output};
use crate::data::{Dataset, Encoder, Mixture, Order, Rendering, check};
use crate::error::{Error, Result};
use crate::image::Preprocessor;
use crate::model::adapter::{Adapter, AdapterConfig, init_adapter};
use crate::model::{Llava, LlavaConfig, ParameterVisitor, Precision};
use crate::text::{ChatTemplate, ImageToken, Tokenizer};
use crate::train::checkpoint::{self, RunState, Saved};
use crate::train::config::{Stage, TrainConfig};
use crate::train::learner::Learner;
use crate::train::optimizer::Moments;
use crate::weights::{Checkpoint, ModelFiles};

/// Where a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its first step; a folder that holds a run already is refused.
    Fresh,
    /// At the newest checkpoint, or at the first step where there is none. Another configuration is refused.
    Resume,
    /// As `Resume`, whatever has changed.
    ForceResume,
}

/// What is to be trained.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// How.
    pub config: TrainConfig,
    /// From where.
    pub start: Start,
    /// How many bad samples are put up with.
    pub skip_bad: usize,
}

/// What belongs to the base model and needs no device.
pub struct RunParts {
    /// What its config says.
    pub model: LlavaConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// How its pictures become pixels.
    pub preprocessor: Preprocessor,
    /// Tells it from other models.
    pub fingerprint: u64,
    /// Its small files, which a whole checkpoint needs beside the weights.
    pub base_files: Vec<(String, Vec<u8>)>,
}

impl Run {
    /// Opens and checks the data, and finds the checkpoint to go on from.
    ///
    /// # Errors
    /// [`Error::Training`] for bad samples beyond those allowed, a run that is there already, or a changed configuration;
    /// [`Error::Data`], [`Error::Io`].
    pub fn prepare(request: TrainRequest, parts: RunParts, on_event: &mut OnEvent<'_>) -> Result<Self> {
        let TrainRequest { config, start, skip_bad } = request;
        let RunParts { model, tokenizer, template, preprocessor, fingerprint, base_files } = parts;
        let lock = open_output(&config)?;
        let saved = checkpoint::newest(&config.output)?;
        if let (Start::Fresh, Some(saved)) = (start, &saved) {
            return Err(Error::Training(format!(
                "{} holds a run at step {}; add --resume to go on with it, or name another output",
                config.output.display(),
                saved.state.step
            )));
        }
        let results = ["adapter", "model"].map(|name| config.output.join(name));
        if let (None, true, Some(result)) =
            (&saved, start != Start::ForceResume, results.iter().find(|path| path.exists()))
        {
            return Err(Error::Training(format!(
                "{} holds the result of a run whose checkpoints are gone, and would be replaced; name another output, or \
                 move it away",
                result.display()
            )));
        }
        if start != Start::Fresh && saved.is_none() {
            let _ = on_event(Some(TrainEvent::Note("no checkpoint yet; starting at the first step".to_string())));
        }
        // A run that goes on has long left what it started from.
        let init = match (&config.init_adapter, &saved) {
            (Some(path), None) => Some(Adapter::open(&Adapter::files(path)?, &model)?),
            _ => None,
        };
        let open = |sources: &[_]| sources.iter().cloned().map(Dataset::open).collect::<Result<Vec<_>>>();
        let (mut datasets, mut eval) = (open(&config.data)?, open(&config.eval)?);
        let pictures = format!("{preprocessor:?}");
        let known = |datasets: &[Dataset]| identity(&config, datasets, fingerprint, &pictures);
        let refuse = |identity: &Value, parts: &[&str]| match (start, &saved) {
            (Start::Resume, Some(saved)) => refuse_changes(saved, identity, parts),
            _ => Ok(()),
        };
        // Before the check, which may take long; how many samples are good is known after it.
        refuse(&known(&datasets), &["samples"])?;
        if config.train.eval_every > 0 && eval.is_empty() {
            let note = "train.eval_every is set, but there is no [[eval]] dataset: no held-out loss will be measured";
            let _ = on_event(Some(TrainEvent::Note(note.to_string())));
        }

        let max_length = config.train.max_length.min(model.text.max_position_embeddings);
        let rendering = match config.stage {
            Stage::Projector => Rendering::Caption,
            Stage::Finetune | Stage::Full => Rendering::Conversation,
        };
        let (image_token, patches_per_image) = (ImageToken(model.image_token_id), model.image_seq_len());
        let encoder = Encoder { rendering, template, tokenizer, image_token, patches_per_image, max_length };
        let mut check = |datasets: &mut [Dataset]| {
            check(datasets, &encoder, &preprocessor, skip_bad, |progress| {
                on_event(Some(TrainEvent::Checking(progress)))
            })
        };
        let report = check(&mut datasets)?;
        let held_out = if eval.is_empty() { None } else { Some(check(&mut eval)?) };
        let longest = report.longest.max(held_out.as_ref().map_or(0, |report| report.longest)).min(max_length);
        if let Some(empty) = datasets.iter().chain(&eval).find(|data| data.is_empty()) {
            return Err(Error::Training(format!("dataset {:?} has no good sample", empty.name())));
        }
        let identity = known(&datasets);
        refuse(&identity, &[])?;
        let _ = on_event(Some(TrainEvent::Checked(report)));
        if let Some(report) = held_out {
            let _ = on_event(Some(TrainEvent::Note(format!("held out: {report}"))));
        }

        let lens: Vec<usize> = datasets.iter().map(Dataset::len).collect();
        let weights: Vec<f64> = datasets.iter().map(Dataset::weight).collect();
        let order = if config.train.shuffle { Order::Shuffled } else { Order::File };
        let mixture = Mixture::new(&lens, &weights, config.seed, order)?;
        let steps = config.steps(lens.iter().sum());
        let state = match &saved {
            Some(saved) => RunState { identity, ..saved.state.clone() },
            None => fresh_state(identity),
        };
        Ok(Self {
            adapter: config.adapter(),
            config,
            model,
            datasets: Arc::new(datasets),
            eval,
            encoder: Arc::new(encoder),
            preprocessor: Arc::new(preprocessor),
            mixture,
            base_files,
            init,
            saved,
            start,
            _lock: lock,
            longest,
            steps,
            state,
        })
    }

    /// Says how the frozen weights are kept on the device.
    ///
    /// # Errors
    /// [`Error::Training`] where the run that is taken up again kept them otherwise.
    pub fn weights_in(&mut self, precision: Precision) -> Result<()> {
        self.state.identity["weights"] = json!(precision);
        match (self.start, &self.saved) {
            (Start::Resume, Some(saved)) => refuse_changes(saved, &self.state.identity, &[]),
            _ => Ok(()),
        }
    }

    /// What is trained, as the configuration says.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The model with what the stage trains: fresh, from another adapter, or from the checkpoint.
    pub(super) fn learner(&mut self, mut model: Llava) -> Result<Learner> {
        if self.config.stage == Stage::Finetune {
            init_adapter(&self.adapter, &mut model, self.config.seed);
        }
        if let Some(init) = self.init.take() {
            self.start_from(init, &mut model)?;
        }
        let saved = self.saved.take();
        if let (Some(saved), false) = (&saved, self.config.stage == Stage::Full) {
            let adapter = Adapter::open(&ModelFiles::open(&saved.path)?, &model.config)?;
            // Not even --force makes one kind of adapter another. Stage `projector` keeps whatever lies over the base.
            match self.config.stage {
                Stage::Finetune => self.same_kind(&adapter)?,
                _ => self.keep(&adapter),
            }
            self.attach(adapter, &mut model)?;
        }
        let mut learner = Learner::new(model, &self.config);
        if let Some(saved) = &saved {
            let files = ModelFiles::open(&saved.path)?;
            if self.config.stage == Stage::Full {
                let checkpoint = Checkpoint::open(&files, None)?;
                checkpoint.check(&self.model.expected_tensors(), &[])?;
                let mut weights = Restore { checkpoint, result: Ok(()) };
                learner.visit(&mut weights);
                weights.result?;
            }
            let moments = Checkpoint::open_file(&files, "optimizer.safetensors")?;
            for (name, &time) in &saved.state.optimizer_steps {
                let read = |part: &str| -> Result<Tensor<1>> {
                    let values = moments.read_f32(&format!("{part}.{name}"))?;
                    let shape = [values.len()];
                    Ok(Tensor::from_data(TensorData::new(values, shape), (learner.model.device(), DType::F32)))
                };
                let moments = Moments { time, first: read("first")?, second: read("second")? };
                learner.optimizer.moments.insert(name.clone(), moments);
            }
        }
        self.saved = saved;
        Ok(learner)
    }

    /// Puts the adapter that the run starts from on the model.
    fn start_from(&mut self, init: Adapter, model: &mut Llava) -> Result<()> {
        if self.config.stage == Stage::Projector {
            self.keep(&init);
            return init.attach(model);
        }
        // What stage 1 leaves has a projector and nothing else: the rest stays fresh.
        if init.config.lora.targets.is_empty() && init.config.mole.is_none() {
            return init.attach_projector(model);
        }
        self.same_kind(&init)?;
        self.attach(init, model)
    }

    /// Takes an adapter's own description for the run's.
    fn keep(&mut self, adapter: &Adapter) {
        self.adapter = AdapterConfig { base_model: self.adapter.base_model.clone(), ..adapter.config.clone() };
    }

    /// Refuses an adapter of other rank, targets or experts than the run's.
    fn same_kind(&self, adapter: &Adapter) -> Result<()> {
        let comparable = |config: &AdapterConfig| {
            let mut json = config.to_json();
            json["base_model_name_or_path"] = Value::Null;
            json["lora_dropout"] = Value::Null;
            if let Some(mole) = json.get_mut("mole") {
                mole["dropout"] = Value::Null;
            }
            json
        };
        let differences = checkpoint::differences(&comparable(&adapter.config), &comparable(&self.adapter));
        if !differences.is_empty() {
            let reason = format!(
                "is another kind of adapter than the configuration describes ({}); change [lora] and [mole] to its values",
                differences.join("; ")
            );
            return Err(Error::Adapter { path: adapter.path().to_path_buf(), reason });
        }
        Ok(())
    }

    /// Puts an adapter on the model, with the run's own dropout.
    fn attach(&self, mut adapter: Adapter, model: &mut Llava) -> Result<()> {
        adapter.config.lora.dropout = self.adapter.lora.dropout;
        if let (Some(theirs), Some(ours)) = (&mut adapter.config.mole, &self.adapter.mole) {
            theirs.dropout = ours.dropout;
        }
        adapter.attach(model)
    }
}

/// Replaces parameters by a checkpoint's.
struct Restore {
    checkpoint: Checkpoint,
    result: Result<()>,
}

impl ParameterVisitor for Restore {
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
        match self.checkpoint.read_f32(name) {
            Ok(values) => {
                let data = TensorData::new(values, parameter.dims());
                *parameter = Tensor::from_data(data, (&parameter.device(), DType::F32));
            }
            Err(error) => self.result = Err(error),
        }
    }
}

fn fresh_state(identity: Value) -> RunState {
    RunState {
        version: env!("CARGO_PKG_VERSION").to_string(),
        step: 0,
        samples_drawn: 0,
        skipped: 0,
        best_eval: None,
        evals_since_best: 0,
        measured_at: None,
        optimizer_steps: Default::default(),
        routing: Default::default(),
        identity,
    }
}

/// What a resumed run must have in common with the one before. Paths are not in it: a run may move to another machine.
fn identity(config: &TrainConfig, datasets: &[Dataset], model: u64, pictures: &str) -> Value {
    let mut json = serde_json::to_value(config).expect("a configuration is plain data");
    let object = json.as_object_mut().expect("a struct");
    for path in ["model", "output", "init_adapter", "eval"] {
        object.remove(path);
    }
    let data: Vec<Value> = datasets
        .iter()
        .map(|data| {
            let content = format!("{:016x}", data.fingerprint());
            json!({ "name": data.name(), "weight": data.weight(), "samples": data.len(), "content": content })
        })
        .collect();
    object.insert("data".to_string(), json!(data));
    object.insert("model".to_string(), json!(format!("{model:016x}")));
    object.insert("pictures".to_string(), json!(pictures));
    object.insert("version".to_string(), json!(env!("CARGO_PKG_VERSION")));
    json
}

/// As it comes back from a file: serde_json prints numbers so that they are told apart, but reads some a little off.
fn as_stored(identity: &Value) -> Value {
    serde_json::from_str(&identity.to_string()).expect("printed by the same library")
}

/// Compares what a checkpoint was made by with what is to go on now; what is not known yet, or `later`, is left out.
fn refuse_changes(saved: &Saved, identity: &Value, later: &[&str]) -> Result<()> {
    let mut before = saved.state.identity.clone();
    if identity.get("weights").is_none() {
        before.as_object_mut().map(|object| object.remove("weights"));
    }
    let mut differences = checkpoint::differences(&before, &as_stored(identity));
    differences.retain(|line| !later.iter().any(|field| line.contains(&format!(".{field}:"))));
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Training(format!(
        "{} was made by another run:\n  {}\nchange that back, name another output, or add --force to go on all the same",
        saved.path.display(),
        differences.join("\n  ")
    )))
}
