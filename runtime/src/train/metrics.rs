//! `metrics.jsonl`: one line a step, and one an evaluation.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::files;
use crate::error::{Error, Result};

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepMetrics {
    /// Counted from 1.
    pub step: u64,
    /// What was minimised: `lm_loss` and the weighted balance loss. Null where it was not finite.
    pub loss: f64,
    /// Mean over the supervised tokens.
    pub lm_loss: f64,
    /// Mean over the samples, without its weight; 0 without experts.
    pub balance_loss: f64,
    /// The learning rate.
    pub lr: f64,
    /// The projector's.
    pub projector_lr: f64,
    /// Of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Positions that went through the model.
    pub tokens: usize,
    /// Tokens that were learnt from.
    pub supervised_tokens: usize,
    /// `tokens` by the time the step took.
    pub tokens_per_second: f64,
    /// `[layer][expert]`, fractions; empty without experts.
    pub expert_load: Vec<Vec<f32>>,
    /// The language loss by dataset.
    pub by_data: BTreeMap<String, f64>,
    /// Whether the step was skipped, because a number was not finite.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

/// The loss on the held-out data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvalMetrics {
    /// After this step.
    pub step: u64,
    /// Mean over the supervised tokens of all datasets.
    pub eval_loss: f64,
    /// The same by dataset.
    pub eval_by_data: BTreeMap<String, f64>,
    /// Whether it is the best so far.
    pub best: bool,
}

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file of a run that stands at `step`; what will come again is cut off: lines of later steps, and an
    /// evaluation after this one that the run, by `measured_at`, does not know of.
    pub(super) fn open(path: &Path, step: u64, measured_at: Option<u64>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Line {
            step: u64,
            eval_by_data: Option<IgnoredAny>,
        }
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        if path.exists() {
            let text = fs::read_to_string(path).map_err(io)?;
            let kept = text.lines().filter(|text| {
                let Ok(line) = serde_json::from_str::<Line>(text) else { return false };
                line.step < step || (line.step == step && (line.eval_by_data.is_none() || measured_at == Some(step)))
            });
            let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
            if kept != text {
                files::write_file(path, kept.as_bytes())?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a line.
    pub(super) fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("metrics are plain data");
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_writes_its_lines_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("metrics.jsonl");
        let measured = "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_by_data\":{}}\n";
        fs::write(&path, format!("{measured}{{\"step\":3}}\n{{\"st")).unwrap();
        let mut file = MetricsFile::open(&path, 2, Some(2)).unwrap();
        file.append(&serde_json::json!({ "step": 3, "loss": f64::NAN })).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{measured}{{\"loss\":null,\"step\":3}}\n"));
        MetricsFile::open(&path, 2, None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2}\n");
    }
}
