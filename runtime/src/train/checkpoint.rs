//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! `checkpoint-N/` holds the trained parameters (an adapter that `--adapter` takes, or `model.safetensors`), AdamW's
//! moments, and `state.json`. It is written aside, synced, and renamed: a folder of that name is complete. Where samples
//! stand and what dropout drops follow from the seed and the step, so there is no other state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files;
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

const START: &str = "checkpoint-";
const STATE: &str = "state.json";

/// What a checkpoint knows beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The program that wrote it.
    pub version: String,
    /// Steps done.
    pub step: u64,
    /// Samples drawn.
    pub samples_drawn: u64,
    /// Steps skipped because a number was not finite.
    pub skipped: u64,
    /// The best held-out loss, and how many evaluations ago it was.
    #[serde(with = "bits")]
    pub best_eval: Option<f64>,
    /// Evaluations since then.
    pub evals_since_best: u64,
    /// The step of the last evaluation.
    pub measured_at: Option<u64>,
    /// How often AdamW moved each parameter.
    pub optimizer_steps: BTreeMap<String, usize>,
    /// Where tokens went of late, by dataset: `[layer][expert]`.
    pub routing: BTreeMap<String, Vec<Vec<f32>>>,
    /// What the run was started with: the configuration, and fingerprints of data and model.
    pub identity: Value,
}

/// A number as its bits, which come back as they were.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(f64::to_bits).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(f64::from_bits))
    }
}

/// A checkpoint on disk.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) path: PathBuf,
    pub(super) state: RunState,
}

/// Where the checkpoint of a step lies.
pub(super) fn path(output: &Path, step: u64) -> PathBuf {
    output.join(format!("{START}{step}"))
}

/// Steps that have a checkpoint, in order.
pub(super) fn steps(output: &Path) -> Result<Vec<u64>> {
    let mut steps: Vec<u64> =
        files::entries(output)?.iter().filter_map(|path| files::name(path).strip_prefix(START)?.parse().ok()).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// The newest checkpoint.
///
/// # Errors
/// [`Error::Training`] where its `state.json` is damaged: something else than this program wrote there.
pub(super) fn newest(output: &Path) -> Result<Option<Saved>> {
    let Some(step) = steps(output)?.pop() else { return Ok(None) };
    let path = path(output, step);
    let damaged = |reason: String| {
        Error::Training(format!(
            "{} is damaged ({reason}); remove that folder to go on from the checkpoint before it",
            path.display()
        ))
    };
    let files = ModelFiles::open(&path)?;
    let json = files.read_json(STATE)?.ok_or_else(|| damaged(format!("{STATE} is missing")))?;
    let state: RunState = serde_json::from_value(json).map_err(|error| damaged(format!("{STATE}: {error}")))?;
    if state.step != step {
        return Err(damaged(format!("{STATE} says step {}", state.step)));
    }
    Ok(Some(Saved { path, state }))
}

/// Writes a checkpoint, then removes the oldest beyond `keep`.
pub(super) fn write(
    output: &Path,
    state: &RunState,
    mut tensors: Vec<(&str, Vec<u8>)>,
    keep: usize,
) -> Result<PathBuf> {
    let json = serde_json::to_vec_pretty(state).expect("the state is plain data");
    tensors.push((STATE, json));
    let path = path(output, state.step);
    files::write_folder(&path, &tensors)?;
    let steps = steps(output)?;
    for &old in steps.iter().take(steps.len().saturating_sub(keep)) {
        files::remove(&self::path(output, old))?;
    }
    Ok(path)
}

/// How two identities differ, a line each; empty where they do not.
pub(super) fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", before, now, &mut lines);
    lines
}

fn compare(name: &str, before: &Value, now: &Value, lines: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                compare(
                    &inner,
                    &a.get(key).cloned().unwrap_or_default(),
                    &b.get(key).cloned().unwrap_or_default(),
                    lines,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && a.iter().any(Value::is_object) => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{name}[{index}]"), a, b, lines);
            }
        }
        _ if before != now => lines.push(format!("{name}: was {before}, is {now}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_named() {
        let before = json!({"train": {"lr": 0.1, "steps": 5}, "data": [{"name": "a", "weight": 1.0}], "seed": 1});
        let now = json!({"train": {"lr": 0.2, "steps": 5}, "data": [{"name": "a", "weight": 2.0}], "stage": "full", "seed": 1});
        assert_eq!(
            differences(&before, &now),
            ["data[0].weight: was 1.0, is 2.0", "stage: was null, is \"full\"", "train.lr: was 0.1, is 0.2"]
        );
        assert!(differences(&before, &before).is_empty());
    }
}
