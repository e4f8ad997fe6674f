//! The demo model, made from nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use mole_runtime::engine::ModelSource;
use mole_runtime::train::TrainConfig;
use mole_synth::Domain;

use super::data::Set;
use super::package::package;
use super::runner::Runner;
use super::tokenizer;
use crate::cli::args::Shared;
use llava_mole::demo;

/// Size of the vocabulary, in tokens.
const VOCABULARY: usize = 2048;

/// English beyond what the pictures need, so that what people write takes fewer tokens.
const PROSE: &str = include_str!("../../../assets/demo/prose.txt");

const FIRST: &str = include_str!("../../../assets/demo/first.toml");
const BASE: &str = include_str!("../../../assets/demo/base.toml");
const SCENES: &str = include_str!("../../../assets/demo/scenes.toml");
const PAGES: &str = include_str!("../../../assets/demo/pages.toml");
const EXPERTS: &str = include_str!("../../../assets/demo/experts.toml");

const fn set(name: &'static str, domain: Domain, samples: usize, seed: u64, turns: usize, types: &'static str) -> Set {
    Set { name, domain, samples, seed, turns, types, items: None }
}

const fn few(items: usize, set: Set) -> Set {
    Set { items: Some(items), ..set }
}

/// What the model learns to see by. Sets of different seeds have nothing in common; those from 1000 on are for tests.
const FIRST_SETS: [Set; 3] = [
    set("maps-general", Domain::General, 16_000, 5, 2, "map"),
    set("maps-document", Domain::Document, 8_000, 6, 1, "map"),
    set("maps-medical", Domain::Medical, 8_000, 7, 1, "map"),
];

/// Where things are, whether they are there, how they compare: the answers that are a coin's toss for longest, asked about
/// pictures with little in them. The tokenizer does not count these, whose every word is in the others.
const FEW_SETS: [Set; 3] = [
    few(2, set("few-position", Domain::General, 12_000, 14, 1, "position")),
    few(3, set("few-presence", Domain::General, 12_000, 15, 5, "presence")),
    few(3, set("few-compare", Domain::General, 12_000, 16, 5, "compare")),
];

/// What pages say, in other orders than their own. The words are those of captions, so the tokenizer does not count these
/// either.
const LIST_SETS: [Set; 2] = [
    set("lists-document", Domain::Document, 24_000, 17, 1, "list"),
    set("orders-document", Domain::Document, 12_000, 18, 1, "order"),
];

/// What the base learns from: pictures with few things in them, some of which the first steps take too, and all that there
/// can be in a picture.
const BASE_SETS: [Set; 7] = [
    few(2, set("few-general", Domain::General, 16_000, 8, 10, "")),
    few(3, set("few-document", Domain::Document, 12_000, 9, 1, "caption")),
    set("few-medical", Domain::Medical, 12_000, 10, 1, "caption"),
    set("base-scenes", Domain::General, 8_000, 4, 1, "inventory"),
    set("base-general", Domain::General, 24_000, 1, 12, ""),
    set("base-document", Domain::Document, 24_000, 2, 1, "caption"),
    set("base-medical", Domain::Medical, 10_000, 3, 1, "caption"),
];

/// What the experts learn from.
const TRAIN_SETS: [Set; 3] = [
    set("train-general", Domain::General, 12_000, 11, 12, ""),
    set("train-document", Domain::Document, 24_000, 12, 4, ""),
    set("train-medical", Domain::Medical, 12_000, 13, 8, ""),
];

/// What the tokenizer reads beside the others' words: more questions about the same pages than the experts learn from.
const WORDS: Set = set("words-document", Domain::Document, 24_000, 12, 12, "");

/// What their learning is watched on.
const WATCH_SETS: [Set; 6] = [
    set("held-general", Domain::General, 100, 101, 8, ""),
    set("held-document", Domain::Document, 100, 102, 1, "caption"),
    set("held-medical", Domain::Medical, 100, 103, 1, "caption"),
    set("watch-general", Domain::General, 100, 111, 4, ""),
    set("watch-document", Domain::Document, 100, 112, 5, ""),
    set("watch-medical", Domain::Medical, 100, 113, 5, ""),
];

/// What the finished model is asked; nothing else looks at these.
pub const TEST_SETS: [Set; 3] = [
    set("test-general", Domain::General, 1000, 1000, 1, ""),
    set("test-document", Domain::Document, 1000, 1000, 1, ""),
    set("test-medical", Domain::Medical, 1000, 1000, 1, ""),
];

/// Makes the demo model below `out`, and says how well it answers.
pub fn make_demo(shared: &Shared, out: &Path) -> anyhow::Result<()> {
    let data = out.join("data");
    let sets = FIRST_SETS.iter().chain(&FEW_SETS).chain(&LIST_SETS).chain(&BASE_SETS).chain(&TRAIN_SETS);
    for set in sets.chain([&WORDS]).chain(&WATCH_SETS) {
        set.make(&data)?;
    }
    blank(out)?;
    let runner = Runner::new(shared)?;
    runner.train(config(FIRST, out, "first.toml")?)?;
    runner.train(config(BASE, out, "base.toml")?)?;
    runner.train(config(SCENES, out, "scenes.toml")?)?;
    let base = runner.train(config(PAGES, out, "pages.toml")?)?;
    let experts = runner.train(config(EXPERTS, out, "experts.toml")?)?;
    let packaged = out.join("demo");
    package(&base, &experts, &packaged)?;
    let folder = |name: &str| ModelSource::Folder(packaged.join(name));
    runner.load(folder("model"), Some(folder("adapter")))?;
    let mut scores = BTreeMap::new();
    for set in &TEST_SETS {
        scores.insert(set.domain.name(), runner.score(&set.make(&data)?, set.samples)?);
    }
    let path = out.join("scores.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&scores)?).with_context(|| path.display().to_string())?;
    let table: String = scores.iter().map(|(domain, score)| score.table(domain)).collect();
    print!("{table}");
    eprintln!("the model is in {}", packaged.display());
    Ok(())
}

/// A committed configuration as a file of the experiment, so that `train` can repeat it alone.
fn config(text: &str, out: &Path, name: &str) -> anyhow::Result<TrainConfig> {
    let path = out.join(name);
    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(TrainConfig::read(&path)?)
}

/// The model's folder without weights: its shape, and the tokenizer learnt from all words that are drawn.
fn blank(out: &Path) -> anyhow::Result<()> {
    let folder = out.join("blank");
    if folder.join("tokenizer.json").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).with_context(|| folder.join(name).display().to_string())
    };
    for (name, bytes) in demo::SHAPE {
        write(name, bytes)?;
    }
    let mut texts: Vec<String> = vec![PROSE.to_string()];
    let [general, _, medical] = &TRAIN_SETS;
    for set in FIRST_SETS.iter().chain(&BASE_SETS).chain([general, &WORDS, medical]) {
        texts.extend(set.texts(&out.join("data"))?);
    }
    write("tokenizer.json", tokenizer::train(texts.into_iter(), VOCABULARY)?.as_bytes())
}
