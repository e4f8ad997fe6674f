//! What a run leaves: an adapter, or after training every weight a whole checkpoint.

use std::path::PathBuf;

use super::Run;
use crate::error::{Error, Result};
use crate::model::Parameters;
use crate::train::config::Stage;
use crate::train::files;
use crate::train::learner::Learner;
use crate::train::snapshot::Snapshot;

impl Run {
    /// The trained parameters as files of a checkpoint.
    pub(super) async fn trained_files(&self, learner: &mut Learner) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut tensors = Snapshot::default();
        if self.config.stage == Stage::Full {
            learner.visit(&mut tensors);
            tensors.reshape(&self.model.expected_tensors());
            return Ok(vec![("model.safetensors", tensors.into_safetensors().await?)]);
        }
        // All that lies over the base, trained or not: an adapter that stage `projector` was started from stays.
        learner.model.text.visit(Parameters::Adapters, &mut tensors);
        learner.model.projector.visit(&mut tensors);
        let config = serde_json::to_vec_pretty(&self.adapter.to_json()).expect("a config is plain data");
        Ok(vec![("adapter_config.json", config), ("adapter_model.safetensors", tensors.into_adapter().await?)])
    }

    /// The same with what a checkpoint needs beside its weights.
    pub(super) async fn result_files(&self, learner: &mut Learner) -> Result<Vec<(String, Vec<u8>)>> {
        let trained = self.trained_files(learner).await?;
        let mut files: Vec<(String, Vec<u8>)> =
            trained.into_iter().map(|(name, data)| (name.to_string(), data)).collect();
        if self.config.stage == Stage::Full {
            files.extend(self.base_files.iter().cloned());
        }
        Ok(files)
    }

    /// Writes the run's result: the last weights, or the best where the run may stop early.
    pub(super) async fn write_result(&self, learner: &mut Learner) -> Result<PathBuf> {
        let name = if self.config.stage == Stage::Full { "model" } else { "adapter" };
        let path = self.config.output.join(name);
        let best = self.config.output.join("best");
        let files = match self.config.train.early_stopping > 0 && best.is_dir() {
            true => {
                let read = |path: PathBuf| {
                    let bytes = std::fs::read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
                    Ok((files::name(&path), bytes))
                };
                files::entries(&best)?.into_iter().map(read).collect::<Result<_>>()?
            }
            false => self.result_files(learner).await?,
        };
        files::write_folder(&path, &files)?;
        Ok(path)
    }
}
