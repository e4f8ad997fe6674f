//! The paper's comparison on drawn domains: does one LoRA for three domains fall behind one for each, and do experts
//! mend that?

use std::path::Path;

use anyhow::Context;
use mole_runtime::data::DataSource;
use mole_runtime::engine::ModelSource;
use mole_runtime::train::TrainConfig;
use mole_synth::Domain;
use serde::{Deserialize, Serialize};

use super::data::Set;
use super::plan::{Arm, arms};
use super::report::{Results, Run};
use super::runner::Runner;
use crate::cli::args::Shared;
use crate::cli::dump::write_file;
use llava_mole::demo;

/// How large the comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Pictures a domain, each with [`TURNS`] questions.
    pub samples: usize,
    /// Questions a domain that every run is asked.
    pub questions: usize,
    /// Runs of every configuration.
    pub seeds: u64,
}

/// Questions about a picture to learn from.
const TURNS: usize = 4;

/// Seeds of the sets: other ones than the demo model's, whose base has seen none of these pictures.
const TRAIN_SEED: u64 = 21;
const TEST_SEED: u64 = 2000;

/// Runs what is missing below `out`, from the base that the flags name or the demo model's, and writes the report anew
/// after every run.
pub fn run_conflict(shared: &Shared, out: &Path, scale: Scale) -> anyhow::Result<()> {
    fix_scale(out, scale)?;
    keep_base(shared.model.as_deref(), &out.join("base"))?;
    for domain in Domain::ALL {
        train_set(domain.name(), domain, scale.samples).make(&out.join("data"))?;
        train_set(twice(domain), domain, 2 * scale.samples).make(&out.join("data"))?;
    }
    let runner = Runner::new(shared)?;
    let mut results = Results::new(scale);
    for seed in 1..=scale.seeds {
        for arm in arms() {
            results.add(&arm, run(&runner, out, &arm, seed, scale)?);
            results.write(out)?;
        }
    }
    print!("{}", results.table());
    eprintln!("the report is in {}", out.join("report.md").display());
    Ok(())
}

/// One run: trained and scored, unless it is there.
fn run(runner: &Runner, out: &Path, arm: &Arm, seed: u64, scale: Scale) -> anyhow::Result<Run> {
    let name = format!("{}-s{seed}", arm.name());
    let folder = out.join("runs").join(&name);
    let done = folder.join("scores.json");
    if let Ok(bytes) = std::fs::read(&done) {
        return serde_json::from_slice(&bytes).with_context(|| done.display().to_string());
    }
    let routing = folder.join("routing.json");
    if arm.experts.is_some() && folder.join("adapter").exists() && !routing.exists() {
        // Stopped between the two: the routing of its last steps is lost.
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let file = out.join(format!("{name}.toml"));
    std::fs::write(&file, arm.config(seed)).with_context(|| file.display().to_string())?;
    let adapter = runner.train(TrainConfig::read(&file)?)?;
    runner.load(ModelSource::Folder(out.join("base")), Some(ModelSource::Folder(adapter)))?;
    let mut run = Run { seed, ..Run::default() };
    for domain in arm.domains() {
        let score = runner.score(&test_set(out, domain, scale)?, scale.questions)?;
        run.scores.insert(domain.name().to_string(), score);
    }
    if arm.experts.is_some() {
        let bytes = std::fs::read(&routing).with_context(|| routing.display().to_string())?;
        run.routing = serde_json::from_slice(&bytes)?;
    }
    write_file(&done, &serde_json::to_vec(&run)?)?;
    Ok(run)
}

fn train_set(name: &'static str, domain: Domain, samples: usize) -> Set {
    Set { name, domain, samples, seed: TRAIN_SEED, turns: TURNS, types: "", items: None }
}

fn twice(domain: Domain) -> &'static str {
    match domain {
        Domain::General => "general-twice",
        Domain::Document => "document-twice",
        Domain::Medical => "medical-twice",
    }
}

fn test_set(out: &Path, domain: Domain, scale: Scale) -> anyhow::Result<DataSource> {
    let name = match domain {
        Domain::General => "general-test",
        Domain::Document => "document-test",
        Domain::Medical => "medical-test",
    };
    let set = Set { name, domain, samples: scale.questions, seed: TEST_SEED, turns: 1, types: "", items: None };
    set.make(&out.join("data"))
}

/// Copies the base into the experiment's folder, where configurations name it; runs of another base are not comparable.
fn keep_base(from: Option<&Path>, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    let Some(from) = from else {
        return demo::MODEL.iter().try_for_each(|(name, bytes)| keep(&to.join(name), bytes, "the demo model"));
    };
    for file in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let file = file.with_context(|| from.display().to_string())?;
        if file.path().is_file() {
            let bytes = std::fs::read(file.path()).with_context(|| file.path().display().to_string())?;
            keep(&to.join(file.file_name()), &bytes, &from.display().to_string())?;
        }
    }
    Ok(())
}

fn keep(copy: &Path, bytes: &[u8], of: &str) -> anyhow::Result<()> {
    match std::fs::read(copy) {
        Ok(kept) => anyhow::ensure!(
            kept == bytes,
            "{} is of another model than {of}; start from that one, or name another folder",
            copy.display()
        ),
        Err(_) => write_file(copy, bytes)?,
    }
    Ok(())
}

/// Runs of another scale are not comparable: a folder keeps its own.
fn fix_scale(out: &Path, scale: Scale) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let path = out.join("scale.json");
    if let Ok(bytes) = std::fs::read(&path) {
        let before: Scale = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        // More seeds only add runs.
        anyhow::ensure!(
            (before.samples, before.questions) == (scale.samples, scale.questions),
            "{} holds runs with --samples {} --questions {}; give these, or name another folder",
            out.display(),
            before.samples,
            before.questions
        );
    }
    write_file(&path, &serde_json::to_vec(&scale)?)
}
