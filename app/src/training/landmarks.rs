//! What the names in a run's folder tell: how far it was saved, whether it has ended, how long it is to be.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

/// A checkpoint's `state.json` holds a number or two for each parameter; anything longer than this is something else.
const MAX_STATE_BYTES: u64 = 64 << 20;

/// What a run's folder tells beside its metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landmarks {
    /// The result's name, `adapter` or `model`, when it is there: the run came to its end.
    pub result: Option<String>,
    /// The step of the newest checkpoint.
    pub checkpoint: Option<u64>,
    /// How many steps the run is to have, as that checkpoint says.
    pub steps: Option<u64>,
}

impl Landmarks {
    /// Looks again. A checkpoint is opened when it is new, and only for what it says of the run's length.
    pub(super) fn look(&mut self, folder: &Path) -> io::Result<()> {
        let mut newest = None;
        self.result = None;
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // Both are renamed to these names when they are complete.
            if name == "adapter" || name == "model" {
                self.result = Some(name);
            } else if let Some(step) = name.strip_prefix("checkpoint-").and_then(|step| step.parse::<u64>().ok()) {
                newest = newest.max(Some(step));
            }
        }
        if newest != self.checkpoint {
            self.checkpoint = newest;
            // It may be removed while we look, and be of a version that says it otherwise: then nobody knows.
            self.steps = newest.and_then(|step| steps(&folder.join(format!("checkpoint-{step}/state.json"))));
        }
        Ok(())
    }
}

/// The part of a checkpoint's state that says how long the run is to be.
#[derive(Deserialize)]
struct State {
    identity: Identity,
}

#[derive(Deserialize)]
struct Identity {
    train: Train,
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Train {
    steps: Option<u64>,
    epochs: Option<f64>,
    micro_batch: u64,
    accumulation: u64,
}

#[derive(Deserialize)]
struct Data {
    samples: u64,
}

fn steps(state: &Path) -> Option<u64> {
    let mut text = Vec::new();
    File::open(state).ok()?.take(MAX_STATE_BYTES).read_to_end(&mut text).ok()?;
    let State { identity: Identity { train, data } } = serde_json::from_slice(&text).ok()?;
    // As the run itself counts.
    train.steps.or_else(|| {
        let samples: u64 = data.iter().map(|data| data.samples).sum();
        let window = (train.micro_batch * train.accumulation).max(1);
        Some((train.epochs? * samples as f64 / window as f64).ceil() as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn save(folder: &Path, step: u64, train: &str) {
        let folder = folder.join(format!("checkpoint-{step}"));
        fs::create_dir(&folder).unwrap();
        let data = r#"[{"name":"a","samples":30},{"name":"b","samples":11}]"#;
        let train = format!("{{{train},\"micro_batch\":4,\"accumulation\":2,\"lr\":0.1}}");
        let state = format!("{{\"step\":{step},\"identity\":{{\"seed\":0,\"train\":{train},\"data\":{data}}}}}");
        fs::write(folder.join("state.json"), state).unwrap();
    }

    #[test]
    fn a_run_from_its_start_to_its_end() {
        let root = tempfile::tempdir().unwrap();
        let mut landmarks = Landmarks::default();
        landmarks.look(root.path()).unwrap();
        assert_eq!(landmarks, Landmarks::default());
        save(root.path(), 9, "\"steps\":40");
        save(root.path(), 20, "\"epochs\":2.0");
        fs::create_dir(root.path().join(".writing-checkpoint-30")).unwrap();
        landmarks.look(root.path()).unwrap();
        // 2 x 41 samples in windows of 8.
        assert_eq!(landmarks, Landmarks { result: None, checkpoint: Some(20), steps: Some(11) });
        fs::create_dir(root.path().join("adapter")).unwrap();
        fs::remove_dir_all(root.path().join("checkpoint-20")).unwrap();
        landmarks.look(root.path()).unwrap();
        assert_eq!(landmarks, Landmarks { result: Some("adapter".to_owned()), checkpoint: Some(9), steps: Some(40) });
    }

    #[test]
    fn a_state_that_cannot_be_read_leaves_the_length_open() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("checkpoint-5")).unwrap();
        let mut landmarks = Landmarks::default();
        landmarks.look(root.path()).unwrap();
        assert_eq!((landmarks.checkpoint, landmarks.steps), (Some(5), None));
        assert!(landmarks.look(&root.path().join("nowhere")).is_err());
    }
}
