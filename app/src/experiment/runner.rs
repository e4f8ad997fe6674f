//! Runs of an experiment: train unless it is done, and score.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use mole_runtime::data::{DataSource, Dataset};
use mole_runtime::engine::{LoadRequest, ModelSource};
use mole_runtime::eval::{Metric, score};
use mole_runtime::train::{Start, TrainConfig, TrainRequest};
use serde::{Deserialize, Serialize};

use crate::cli::args::Shared;
use crate::cli::eval::answer;
use crate::cli::interrupt;
use crate::cli::session::Session;
use crate::cli::train::{Outcome, train};

/// Longest answer, in tokens: a caption has some forty.
const MAX_ANSWER: usize = 64;

/// The experiment was stopped by a signal; it goes on when it is called again.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped; the same command goes on from here")
    }
}

impl std::error::Error for Stopped {}

/// Trains and scores, one after the other, on one engine.
pub struct Runner<'a> {
    session: Session,
    shared: &'a Shared,
}

/// How many questions were answered as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Answered right, after normalisation.
    pub right: usize,
    /// Asked.
    pub questions: usize,
}

impl Count {
    /// The share of right answers.
    pub fn accuracy(self) -> f64 {
        self.right as f64 / self.questions.max(1) as f64
    }

    fn add(&mut self, right: bool) {
        self.questions += 1;
        self.right += usize::from(right);
    }
}

/// The score of a set, all in all and by type of question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// All questions.
    pub all: Count,
    /// By type.
    pub types: BTreeMap<String, Count>,
}

impl Score {
    /// A line for the domain, and one for each type of its questions.
    pub fn table(&self, domain: &str) -> String {
        let line = |name: &str, count: &Count| {
            format!("{name:<16}{:>6.1} %  {} of {}\n", 100.0 * count.accuracy(), count.right, count.questions)
        };
        let types: String = self.types.iter().map(|(name, count)| line(&format!("  {name}"), count)).collect();
        line(domain, &self.all) + &types
    }
}

impl<'a> Runner<'a> {
    /// Starts the engine.
    pub fn new(shared: &'a Shared) -> anyhow::Result<Self> {
        Ok(Self { session: Session::start()?, shared })
    }

    /// Trains to the end, from wherever a former run was stopped; the adapter's or model's folder.
    pub fn train(&self, config: TrainConfig) -> anyhow::Result<PathBuf> {
        let result = ["adapter", "model"].map(|name| config.output.join(name)).into_iter().find(|path| path.exists());
        if let Some(result) = result {
            return Ok(result);
        }
        eprintln!("training {}", config.output.display());
        let begun = config.output.join("metrics.jsonl").exists();
        let start = if begun { Start::Resume } else { Start::Fresh };
        match train(&self.session, self.shared, TrainRequest { config, start, skip_bad: 0 })? {
            Outcome::Result(result) => Ok(result),
            Outcome::Stopped(_) => Err(anyhow!(Stopped)),
        }
    }

    /// Loads what is to be scored.
    pub fn load(&self, model: ModelSource, adapter: Option<ModelSource>) -> anyhow::Result<()> {
        let request = LoadRequest {
            model,
            adapter,
            device: self.shared.device,
            precision: self.shared.weights,
            aspect_ratio: None,
        };
        self.session.load(request).map(drop)
    }

    /// Asks the loaded model the first `limit` questions of a drawn set, greedily.
    pub fn score(&self, source: &DataSource, limit: usize) -> anyhow::Result<Score> {
        let data = Dataset::open(source.clone())?;
        let types = question_types(&source.path)?;
        let mut scored = Score::default();
        interrupt::work_begins();
        for (index, question_type) in types.iter().enumerate().take(limit) {
            let sample = data.sample(index)?;
            let prediction = answer(&self.session, &data, &sample, MAX_ANSWER)?;
            if interrupt::work_ended() {
                return Err(anyhow!(Stopped));
            }
            interrupt::work_begins();
            let right = score(Metric::Exact, &prediction, &sample.answers)["exact"] == 1.0;
            scored.all.add(right);
            scored.types.entry(question_type.clone()).or_default().add(right);
        }
        interrupt::work_ended();
        Ok(scored)
    }
}

/// The type of each sample's last question, as `synth` wrote it beside the conversation.
fn question_types(path: &Path) -> anyhow::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Line {
        question_types: Vec<String>,
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let last = |line: &str| -> anyhow::Result<String> {
        let line: Line = serde_json::from_str(line).with_context(|| path.display().to_string())?;
        line.question_types.into_iter().next_back().with_context(|| format!("{}: no question", path.display()))
    };
    text.lines().map(last).collect()
}
