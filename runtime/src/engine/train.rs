//! Training as the engine runs it: the base model's files, the data, the device, the run.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::command::{ModelSource, TrainCommand};
use super::event::Event;
use super::load::{Prepared, default_precision};
use crate::device::{AdapterReport, ComputeDevice};
use crate::error::{Error, Result};
use crate::model::adapter::AdapterSize;
use crate::model::{Llava, LlavaConfig, Precision};
use crate::train::{Run, RunParts, Stage, TrainEvent, TrainMemory};
use crate::weights::{Layout, ModelFiles};

/// A small file of a checkpoint beyond this is none.
const MAX_SMALL_FILE: u64 = 64 << 20;

/// A run whose data and base were checked, before any device is touched.
pub(super) struct PreparedRun {
    prepared: Prepared,
    precision: Option<Precision>,
    run: Run,
}

impl PreparedRun {
    /// Checks the base, then the data.
    pub(super) fn check(
        command: TrainCommand,
        on_event: &mut dyn FnMut(Option<TrainEvent>) -> ControlFlow<()>,
    ) -> Result<Self> {
        let TrainCommand { mut load, request } = command;
        let folder = ModelFiles::open(&request.config.model)?;
        let small = small_files(&folder)?;
        if request.config.from_scratch {
            load.model = from_scratch(&folder, &small, request.config.seed)?;
        }
        let prepared = Prepared::check(&load)?;
        let stage = request.config.stage;
        let precision = match (stage, load.precision) {
            (Stage::Full, Some(packed)) if packed != Precision::F32 => {
                return Err(Error::Training(format!(
                    "stage \"full\" trains every weight, which takes f32; leave --weights {packed} out"
                )));
            }
            (Stage::Full, _) => Some(Precision::F32),
            (_, asked) => asked,
        };
        let base_files = match stage {
            Stage::Full if prepared.checkpoint.layout() == Layout::Original => {
                return Err(Error::Training(
                    "stage \"full\" writes a Hugging Face checkpoint, and this one is in LLaVA's original layout; \
                     convert it with transformers first"
                        .to_string(),
                ));
            }
            Stage::Full => small.clone(),
            _ => Vec::new(),
        };
        // The tokenizer and the chat template say what is learnt.
        let files = small.iter().flat_map(|(name, bytes)| name.bytes().chain(bytes.iter().copied()));
        let fingerprint = files.fold(prepared.checkpoint.fingerprint()?, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let parts = RunParts {
            model: prepared.config.clone(),
            tokenizer: prepared.tokenizer.clone(),
            template: prepared.template.clone(),
            preprocessor: prepared.preprocessor.clone(),
            fingerprint,
            base_files,
        };
        let run = Run::prepare(request, parts, on_event)?;
        Ok(Self { prepared, precision, run })
    }

    /// Loads the base and trains.
    pub(super) async fn train(
        self,
        device: ComputeDevice,
        outbox: &async_channel::Sender<Event>,
        on_event: &mut dyn FnMut(Option<TrainEvent>) -> ControlFlow<()>,
    ) -> Result<()> {
        let Self { prepared, precision, mut run } = self;
        let precision = precision.unwrap_or_else(|| prepared.default_precision(&device.report));
        run.weights_in(precision)?;
        let memory = TrainMemory::new(run.config(), &prepared.config, precision, run.longest, device.report.kind);
        memory.check(precision, &device.report)?;
        let note = format!(
            "training on {} ({}), frozen weights in {precision}; about {} of memory",
            device.report.name,
            device.report.backend,
            crate::model::gigabytes(memory.total())
        );
        let _ = on_event(Some(TrainEvent::Note(note)));
        let mut on_progress = |progress| {
            let _ = outbox.try_send(Event::Loading(progress));
        };
        let Prepared { config, checkpoint, .. } = prepared;
        let model = Llava::load(config, &checkpoint, precision, &device.burn, &mut on_progress).await?;
        let finished = run.train(model, on_event).await?;
        let _ = outbox.try_send(Event::Trained(Box::new(finished)));
        Ok(())
    }
}

impl Prepared {
    /// How the weights are kept where nobody says.
    fn default_precision(&self, device: &AdapterReport) -> Precision {
        default_precision(&self.config, AdapterSize::default(), &self.checkpoint, device)
    }
}

/// The model of a folder, its weights drawn at random.
fn from_scratch(folder: &ModelFiles, small: &[(String, Vec<u8>)], seed: u64) -> Result<ModelSource> {
    let (config, _) = LlavaConfig::read(folder)?;
    let weights = ("model.safetensors".to_string(), Cow::Owned(config.random_weights(seed)));
    let small = small.iter().map(|(name, bytes)| (name.clone(), Cow::Owned(bytes.clone())));
    let files = ModelFiles::from_memory(folder.path(), small.chain([weights]).collect());
    Ok(ModelSource::Files(Arc::new(files), folder.path().display().to_string()))
}

/// What stands beside the weights in a checkpoint's folder: config, tokenizer, template, preprocessor.
fn small_files(files: &ModelFiles) -> Result<Vec<(String, Vec<u8>)>> {
    let wanted = |name: &String| {
        let small = [".json", ".jinja", ".txt", ".model"].iter().any(|end| name.ends_with(end));
        small && !name.ends_with(".index.json") && !name.starts_with("adapter_")
    };
    let names = files.names()?.into_iter().filter(wanted);
    let read = |name: String| Ok(files.read_bytes(&name, MAX_SMALL_FILE)?.map(|bytes| (name, bytes)));
    names.filter_map(|name| read(name).transpose()).collect()
}
