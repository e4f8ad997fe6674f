//! Opens a model in two steps: [`Prepared::check`] reads and checks its files, [`Prepared::upload`] brings it to a device.
//! What can be refused by the files alone is refused while the model before it is still there.

use std::collections::HashMap;

use serde_json::Value;

use super::command::{LoadRequest, ModelSource};
use super::event::{AdapterInfo, ModelInfo};
use super::loaded::Loaded;
use crate::device::{AdapterReport, ComputeDevice};
use crate::error::{Error, Result};
use crate::generate::Session;
use crate::image::{AspectRatio, PatchGrid, Preprocessor, PreprocessorConfig, Resize, Size};
use crate::model::adapter::{Adapter, AdapterSize};
use crate::model::config::ImageAspectRatio;
use crate::model::{Llava, LlavaConfig, LoadProgress, MemoryEstimate, Precision};
use crate::packed::PackedFormat;
use crate::text::{ChatTemplate, Tokenizer, find_template};
use crate::weights::{Checkpoint, Dtype, ModelFiles};

/// A preprocessor's or template's file beyond this is no such file.
const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// Vocabularies of a million tokens stay below this.
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;
/// Ends a turn in Vicuna's template where the tokenizer does not say what does.
const VICUNA_EOS: &str = "</s>";

/// A model whose files were checked and whose weights are still on disk.
pub(super) struct Prepared {
    name: String,
    pub(super) config: LlavaConfig,
    pub(super) checkpoint: Checkpoint,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: ChatTemplate,
    pub(super) preprocessor: Preprocessor,
    eos_token_ids: Vec<u32>,
    precision: Option<Precision>,
    adapter: Option<(Adapter, AdapterInfo)>,
}

impl Prepared {
    /// Reads everything but the weights.
    pub(super) fn check(request: &LoadRequest) -> Result<Self> {
        let (opened, name);
        let files = match &request.model {
            ModelSource::Folder(folder) => {
                opened = open_folder(folder)?;
                name = folder.display().to_string();
                &opened
            }
            ModelSource::Files(files, given) => {
                name = given.clone();
                files.as_ref()
            }
        };
        if let Some(error) = Adapter::taken_for_a_model(files) {
            return Err(error);
        }
        let (config, tower) = LlavaConfig::read(files)?;
        let checkpoint = Checkpoint::open(files, tower.as_ref())?;
        checkpoint.check(&config.expected_tensors(), &config.unused_tensors())?;
        let tokenizer_config = files.read_json("tokenizer_config.json")?;
        let tokenizer = tokenizer(files, tokenizer_config.as_ref(), &config)?;
        let template = template(files, tokenizer_config.as_ref(), &tokenizer)?;
        let preprocessor = preprocessor(files, tower.as_ref(), &config, request.aspect_ratio)?;
        let eos_token_ids = match config.eos_token_ids.as_slice() {
            [] => tokenizer.eos_token_id().into_iter().collect(),
            named => named.to_vec(),
        };
        let adapter = request.adapter.as_ref().map(|source| adapter(source, &config)).transpose()?;
        let precision = request.precision;
        Ok(Self { name, config, checkpoint, tokenizer, template, preprocessor, eos_token_ids, precision, adapter })
    }

    /// What it would be on this device.
    pub(super) fn estimate(&self, device: &AdapterReport) -> Result<ModelInfo> {
        let adapter = self.adapter.as_ref();
        let adapter_size = adapter.map(|(adapter, _)| adapter.size()).unwrap_or_default();
        let precision =
            self.precision.unwrap_or_else(|| default_precision(&self.config, adapter_size, &self.checkpoint, device));
        let memory = MemoryEstimate::new(&self.config, precision).with_adapter(adapter_size);
        memory.check(&self.config, precision, device)?;
        Ok(ModelInfo {
            name: self.name.clone(),
            device: device.clone(),
            weights: precision,
            parameters: self.config.parameters(),
            context: self.config.text.max_position_embeddings,
            image_tokens: self.config.image_seq_len(),
            patches: PatchGrid {
                per_side: self.config.vision.image_size / self.config.vision.patch_size,
                preprocessor: self.preprocessor.clone(),
            },
            memory,
            adapter: adapter.map(|(_, info)| info.clone()),
        })
    }

    /// Compares with what the device offers, then uploads.
    pub(super) async fn upload(
        self,
        device: ComputeDevice,
        on_progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(Loaded, ModelInfo)> {
        let info = self.estimate(&device.report)?;
        let precision = info.weights;
        let Self { config, checkpoint, .. } = self;
        let (adapter, _) = self.adapter.unzip();
        let adapter_size = adapter.as_ref().map(Adapter::size).unwrap_or_default();
        #[cfg(not(target_arch = "wasm32"))]
        let compiling = crate::generate::warm_up(&config, precision, &device);
        let mut model = Llava::load(config, &checkpoint, precision, &device.burn, on_progress).await?;
        if let Some(adapter) = &adapter {
            adapter.attach(&mut model)?;
        }
        #[cfg(not(target_arch = "wasm32"))]
        compiling.map(|compiling| compiling.join());
        let loaded = Loaded {
            name: self.name,
            device,
            model,
            precision,
            adapter_size,
            experts: adapter.as_ref().map_or(0, Adapter::experts),
            tokenizer: self.tokenizer,
            template: self.template,
            preprocessor: self.preprocessor,
            eos_token_ids: self.eos_token_ids,
            session: Session::new(),
            features: HashMap::new(),
        };
        Ok((loaded, info))
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn open_folder(folder: &std::path::Path) -> Result<ModelFiles> {
    ModelFiles::open(folder)
}

#[cfg(target_arch = "wasm32")]
fn open_folder(folder: &std::path::Path) -> Result<ModelFiles> {
    Err(Error::NotACheckpoint {
        path: folder.to_path_buf(),
        reason: "a page cannot open folders by path; hand the files over".to_string(),
    })
}

/// An adapter for the model of this config, checked, with what there is to tell of it.
fn adapter(source: &ModelSource, config: &LlavaConfig) -> Result<(Adapter, AdapterInfo)> {
    let (adapter, name) = match source {
        ModelSource::Folder(folder) => {
            (Adapter::open(&open_adapter_folder(folder)?, config)?, folder.display().to_string())
        }
        ModelSource::Files(files, name) => (Adapter::open(files, config)?, name.clone()),
    };
    let info = AdapterInfo { name, parameters: adapter.parameters(), experts: adapter.experts() };
    Ok((adapter, info))
}

#[cfg(not(target_arch = "wasm32"))]
fn open_adapter_folder(folder: &std::path::Path) -> Result<ModelFiles> {
    Adapter::files(folder)
}

#[cfg(target_arch = "wasm32")]
fn open_adapter_folder(folder: &std::path::Path) -> Result<ModelFiles> {
    open_folder(folder)
}

fn tokenizer(files: &ModelFiles, tokenizer_config: Option<&Value>, config: &LlavaConfig) -> Result<Tokenizer> {
    let json = files.read_bytes("tokenizer.json", MAX_TOKENIZER_BYTES)?.ok_or_else(|| Error::Tokenizer {
        file: "tokenizer.json".to_string(),
        reason: "is missing; make it from tokenizer.model with transformers: \
                 AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            .to_string(),
    })?;
    let tokenizer = Tokenizer::from_json(&json, tokenizer_config)?;
    tokenizer.check_vocab(config.text.vocab_size, u32::try_from(config.image_token_id).ok())?;
    Ok(tokenizer)
}

/// The checkpoint's own chat template, or Vicuna's.
fn template(files: &ModelFiles, tokenizer_config: Option<&Value>, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
    let json = files.read_json("chat_template.json")?;
    let jinja = files.read_text("chat_template.jinja", MAX_CONFIG_BYTES)?;
    match find_template(tokenizer_config, json.as_ref(), jinja.as_deref()) {
        Some((source, file)) => ChatTemplate::from_source(&source, file, tokenizer.bos_token(), tokenizer.eos_token()),
        None => Ok(ChatTemplate::vicuna_v1(tokenizer.eos_token().unwrap_or(VICUNA_EOS))),
    }
}

/// How pictures become pixels: by the checkpoint, by its vision tower, or as CLIP does at the tower's size.
fn preprocessor(
    files: &ModelFiles,
    tower: Option<&ModelFiles>,
    config: &LlavaConfig,
    aspect_ratio: Option<AspectRatio>,
) -> Result<Preprocessor> {
    let side = config.vision.image_size;
    let size = Size { height: side, width: side };
    let mut found = None;
    for (folder, name) in [Some(files), tower]
        .into_iter()
        .flatten()
        .flat_map(|folder| [(folder, "preprocessor_config.json"), (folder, "processor_config.json")])
    {
        // transformers 5 keeps the picture's part of processor_config.json in an object of its own; without it the file
        // only speaks of tokens.
        let speaks = name == "preprocessor_config.json"
            || folder.read_json(name)?.is_some_and(|json| json.get("image_processor").is_some());
        if let Some(json) = folder.read_bytes(name, MAX_CONFIG_BYTES)?.filter(|_| speaks) {
            found = Some((PreprocessorConfig::from_json(&json, name)?, name));
            break;
        }
    }
    let (settings, file) = found.unwrap_or_else(|| {
        let settings = PreprocessorConfig {
            size: Some(Resize::ShortestEdge(side)),
            crop_size: Some(size),
            ..PreprocessorConfig::default()
        };
        (settings, "config.json")
    });
    let by_config = (config.image_aspect_ratio == ImageAspectRatio::Pad).then_some(AspectRatio::Pad);
    let preprocessor = settings.init(aspect_ratio.or(by_config));
    match preprocessor.output_size() {
        Some(output) if output == size => Ok(preprocessor),
        output => Err(Error::Config {
            file: file.to_string(),
            reason: format!(
                "pictures come out as {}, but the vision tower takes {side} x {side}: correct size and crop_size",
                output.map_or("of varying size".to_string(), |size| format!("{} x {}", size.height, size.width))
            ),
        }),
    }
}

/// Weights as they are stored; on the CPU f32 where that fits, since it need not be unpacked for every token. What is
/// stored packed stays so: whoever packed it wanted it small.
pub(super) fn default_precision(
    config: &LlavaConfig,
    adapter: AdapterSize,
    checkpoint: &Checkpoint,
    device: &AdapterReport,
) -> Precision {
    let language = || checkpoint.iter().filter(|(name, _)| name.starts_with("language_model."));
    let packed = language().find_map(|(_, tensor)| tensor.packed).map(|layout| layout.format);
    match packed {
        Some(PackedFormat::Q8) => return Precision::Q8,
        Some(PackedFormat::Q4) => return Precision::Q4,
        _ => {}
    }
    let stored_f32 = language().all(|(_, tensor)| tensor.dtype == Dtype::F32);
    let on_cpu = device.backend == "flex";
    let in_f32 = MemoryEstimate::new(config, Precision::F32).with_adapter(adapter);
    let f32_fits = in_f32.check(config, Precision::F32, device).is_ok();
    match stored_f32 || (on_cpu && f32_fits) {
        true => Precision::F32,
        false => Precision::F16,
    }
}
