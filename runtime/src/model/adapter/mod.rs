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

use std::path::PathBuf;

use super::{Llava, LlavaConfig};
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, ModelFiles};

/// What PEFT puts before a model's own names.
pub const PREFIX: &str = "base_model.model.";

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

impl Adapter {
    /// Reads `adapter_config.json` and the table of `adapter_model.safetensors`, and compares both with the model.
    ///
    /// # Errors
    /// [`Error::Adapter`] where rank, experts, layers or shapes differ from the config's or the model's;
    /// [`Error::Safetensors`] for a damaged file.
    pub fn open(files: &ModelFiles, model: &LlavaConfig) -> Result<Self> {
        let path = files.path().to_path_buf();
        let Some(json) = files.read_json("adapter_config.json")? else {
            let reason = "has no adapter_config.json; name the folder that `train` or PEFT wrote an adapter into";
            return Err(Error::Adapter { path, reason: reason.to_string() });
        };
        let config = AdapterConfig::from_json(&json, &path)?;
        let checkpoint = Checkpoint::open_adapter(files)?;
        let check = check::check(config, &checkpoint, model);
        let (config, has_projector) = check.map_err(|reason| Error::Adapter { path: path.clone(), reason })?;
        Ok(Self { config, has_projector, checkpoint, path })
    }

    /// Its folder, or what it is called.
    pub fn path(&self) -> &std::path::Path {
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

    /// Puts it on the model, in the place of any adapter before.
    ///
    /// # Errors
    /// Whatever reading a tensor can cause; the model then has no adapter.
    pub fn attach(&self, model: &mut Llava) -> Result<()> {
        let read = |name: &str| self.checkpoint.read_f32(name);
        install::install(&self.config, model, &mut |name, _| read(name))?;
        if self.has_projector {
            install::install_projector(model, &mut |name| read(name))?;
        }
        Ok(())
    }
}
