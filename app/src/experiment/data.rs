//! The drawn sets of an experiment.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mole_runtime::data::{DataSource, Dataset, Turn};
use mole_runtime::text::Role;
use mole_synth::{Domain, Request};

/// One set.
pub struct Set {
    /// Its folder's name, and what it is called in metrics.
    pub name: &'static str,
    /// What is drawn.
    pub domain: Domain,
    /// How many pictures.
    pub samples: usize,
    /// Which of all sets this is.
    pub seed: u64,
    /// Questions about each picture.
    pub turns: usize,
    /// Types of question, with commas between; all that are usual where it is empty.
    pub types: &'static str,
    /// At most so many objects or entries in a picture.
    pub items: Option<usize>,
}

impl Set {
    /// The set below `folder`, drawn if it is not there.
    pub fn make(&self, folder: &Path) -> anyhow::Result<DataSource> {
        let path = folder.join(self.name);
        if !path.join("data.jsonl").exists() {
            eprintln!("drawing {} pictures for {}", self.samples, self.name);
            let request = Request {
                domain: self.domain,
                samples: self.samples,
                seed: self.seed,
                turns: self.turns,
                most_items: self.items,
                question_types: self.types.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect(),
            };
            let summary = mole_synth::write(&request, &path, &mut |_| {})?;
            let json = serde_json::to_vec_pretty(&summary)?;
            std::fs::write(path.join("summary.json"), json).with_context(|| path.display().to_string())?;
        }
        Ok(source(self.name, path))
    }

    /// Every conversation of the set that was made below `folder`, as the model reads it.
    pub fn texts(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let data = Dataset::open(source(self.name, folder.join(self.name)))?;
        let text = |index| -> anyhow::Result<String> {
            let turns = data.sample(index)?.turns;
            let turn = |turn: &Turn| match turn.role {
                Role::Assistant => format!(" ASSISTANT: {}", turn.text),
                _ => format!("USER: {}", turn.text),
            };
            Ok(turns.iter().map(turn).collect())
        };
        (0..data.len()).map(text).collect()
    }
}

fn source(name: &str, folder: PathBuf) -> DataSource {
    DataSource {
        name: name.to_string(),
        path: folder.join("data.jsonl"),
        images: Some(folder.join("images")),
        weight: 1.0,
    }
}
