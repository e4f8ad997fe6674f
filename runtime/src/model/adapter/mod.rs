//! Adapters: what finetuning adds to a checkpoint, in files of its own that PEFT reads too where there are no experts.
//!
//! ```text
//! adapter_config.json         what it is made of (config)
//! adapter_model.safetensors   its tensors: checked against the config and the model (check), read, put on (install)
//! ```

mod check;
mod config;
mod install;

pub use config::{AdapterConfig, LoraConfig, MoleConfig, Target};
pub use install::init_adapter;

use std::path::{Path, PathBuf};

use super::{Llava, LlavaConfig};
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, ModelFiles};

/// What PEFT puts before a model's own names.
pub const PREFIX: &str = "base_model.model.";

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
const PICKLE: &str = "adapter_model.bin";

/// An adapter whose files were checked against a model.
#[derive(Debug)]
pub struct Adapter {
    /// What it is made of; the targets are those that have tensors.
    pub config: AdapterConfig,
    /// Whether it brings a projector of its own.
    pub has_projector: bool,
    checkpoint: Checkpoint,
    path: PathBuf,
}

/// What an adapter takes of a device's memory, in bytes. It is kept in f32, whatever the model's weights are kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdapterSize {
    /// All of it.
    pub total: u64,
    /// Its largest tensor; a layer's experts are one.
    pub largest_tensor: u64,
}

impl Adapter {
    /// The files of the adapter's folder at `path`; naming a file of it means the folder.
    ///
    /// # Errors
    /// [`Error::Adapter`] where there is no such folder, or one that only holds a pickle; else as [`ModelFiles::open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn files(path: &Path) -> Result<ModelFiles> {
        if std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(refuse(path, format!("there is no such folder; {NAME_ONE}")));
        }
        let named_file = [CONFIG, TENSORS, PICKLE].iter().any(|&name| path.file_name().is_some_and(|is| is == name));
        let folder = match path.parent() {
            Some(parent) if named_file && !path.is_dir() => {
                if parent.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    parent
                }
            }
            _ => path,
        };
        if folder.join(PICKLE).exists() && !folder.join(TENSORS).exists() {
            return Err(pickle(folder));
        }
        ModelFiles::open(folder)
    }

    /// Reads `adapter_config.json` and the table of `adapter_model.safetensors`, and compares both with the model.
    ///
    /// # Errors
    /// [`Error::Adapter`] where rank, experts, layers or shapes differ from the config's or the model's;
    /// [`Error::Safetensors`] for a damaged file.
    pub fn open(files: &ModelFiles, model: &LlavaConfig) -> Result<Self> {
        let path = files.path().to_path_buf();
        let Some(json) = files.read_json(CONFIG)? else {
            return Err(refuse(&path, format!("has no {CONFIG}; {NAME_ONE}")));
        };
        let config = AdapterConfig::from_json(&json, &path)?;
        if !files.contains(TENSORS) && files.contains(PICKLE) {
            return Err(pickle(&path));
        }
        let checkpoint = Checkpoint::open_adapter(files)?;
        let (config, has_projector) =
            check::check(config, &checkpoint, model).map_err(|reason| refuse(&path, reason))?;
        Ok(Self { config, has_projector, checkpoint, path })
    }

    /// What is said of these files where a model was expected and they are an adapter; `None` where they are none.
    pub fn taken_for_a_model(files: &ModelFiles) -> Option<Error> {
        let is_adapter = files.contains(CONFIG) && !files.contains("config.json");
        is_adapter.then(|| {
            let path = files.path();
            let model = "name the model it was trained on with --model and this folder with --adapter, or see what it is \
                         with `llava-mole inspect MODEL --adapter";
            refuse(path, format!("is an adapter, not a model; {model} {}`", path.display()))
        })
    }

    /// Its folder, or what it is called.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its tensors, by canonical name.
    pub fn tensors(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Values it holds.
    pub fn parameters(&self) -> u64 {
        self.checkpoint.iter().map(|(_, tensor)| tensor.elements() as u64).sum()
    }

    /// How many experts a layer gets; 0 for plain LoRA.
    pub fn experts(&self) -> usize {
        self.config.mole.as_ref().map_or(0, |mole| mole.experts)
    }

    /// What it takes of a device's memory.
    pub fn size(&self) -> AdapterSize {
        let bytes = |name: &str, elements: usize| {
            // A layer's experts lie in one tensor.
            let stacked = if name.contains(".mlp.moe_") { self.experts() } else { 1 };
            4 * (elements * stacked) as u64
        };
        let largest = self.checkpoint.iter().map(|(name, tensor)| bytes(name, tensor.elements())).max();
        AdapterSize { total: 4 * self.parameters(), largest_tensor: largest.unwrap_or(0) }
    }

    /// Puts it on the model, in the place of any adapter before.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause; the model then has no adapter.
    pub fn attach(&self, model: &mut Llava) -> Result<()> {
        let read = |name: &str| self.checkpoint.read_f32(name);
        install::install(&self.config, model, &mut |name, _| read(name))?;
        self.attach_projector(model)
    }

    /// Puts its projector on the model, if it brings one, and nothing else.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause.
    pub fn attach_projector(&self, model: &mut Llava) -> Result<()> {
        match self.has_projector {
            true => install::install_projector(model, &mut |name| self.checkpoint.read_f32(name)),
            false => Ok(()),
        }
    }
}

const NAME_ONE: &str = "name the folder that `train` or PEFT wrote an adapter into";

fn refuse(path: &Path, reason: String) -> Error {
    Error::Adapter { path: path.to_path_buf(), reason }
}

fn pickle(path: &Path) -> Error {
    let reason = format!(
        "{PICKLE} is a Python pickle, which can run code when opened and is never opened here; {TENSORS} is read. Convert \
         it where you trust it: python -c \"import torch; from safetensors.torch import save_file; save_file({{k: \
         v.contiguous() for k, v in torch.load('{PICKLE}', weights_only=True).items()}}, '{TENSORS}')\""
    );
    refuse(path, reason)
}
