//! Small training runs, each in a folder of its own: pictures, datasets, a configuration to change, what a run leaves.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{Tensors, model};
use crate::program::{Finished, Program, program};

const COLOURS: [(&str, [u8; 3]); 4] =
    [("red", [220, 30, 30]), ("green", [30, 200, 40]), ("blue", [30, 40, 220]), ("white", [250, 250, 250])];

/// A run's folder and its configuration.
pub struct Run {
    folder: TempDir,
    /// Section -> field -> value, as TOML has it; the top level is the section `""`.
    config: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    /// `[[data]]` and `[[eval]]`.
    sources: Vec<String>,
}

/// One sample as a line, its turns beginning with the human's.
pub fn sample(id: impl Display, images: &[&str], turns: &[&str]) -> String {
    let from = |at: usize| if at.is_multiple_of(2) { "human" } else { "gpt" };
    let turns: Vec<Value> =
        turns.iter().enumerate().map(|(at, text)| json!({ "from": from(at), "value": text })).collect();
    let mut value = json!({ "id": id.to_string(), "conversations": turns });
    match images {
        [] => {}
        [one] => value["image"] = json!(one),
        several => value["image"] = json!(several),
    }
    format!("{value}\n")
}

/// What colour a picture has: `count` samples in turn, worded in three ways.
pub fn colours(count: usize) -> String {
    let questions = ["<image>\nWhat colour?", "Name it.\n<image>", "What is it?"];
    let line = |at: usize| {
        let name = COLOURS[at % COLOURS.len()].0;
        sample(format!("colour-{at}"), &[&format!("{name}.png")], &[questions[at % questions.len()], name])
    };
    (0..count).map(line).collect()
}

impl Run {
    /// LoRA and experts, for a few steps of eight samples over two datasets, of which one comes twice as often.
    pub fn new() -> Self {
        let run = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            config: BTreeMap::new(),
            sources: Vec::new(),
        };
        for (name, colour) in COLOURS {
            RgbImage::from_pixel(30, 22, Rgb(colour)).save(run.file(&format!("{name}.png"))).expect("writes");
        }
        let stripe = |at: u32| Rgb([if (at / 4).is_multiple_of(2) { 255 } else { 0 }; 3]);
        RgbImage::from_fn(24, 24, |_, y| stripe(y)).save(run.file("across.png")).expect("writes");
        RgbImage::from_fn(24, 24, |x, _| stripe(x)).save(run.file("down.png")).expect("writes");
        run.write("general.jsonl", colours(12));
        let ways = ["across", "down"].map(|way| {
            let both = sample(way, &[&format!("{way}.png"), "red.png"], &["<image> or <image>?", way, "Sure?", "yes"]);
            sample(way, &[&format!("{way}.png")], &["<image>\nWhich way?", way]) + &both
        });
        run.write("document.jsonl", ways.concat() + &sample("text", &[], &["Up?", "no"]));
        run.set("", "model", format!("'{}'", model("two_images").display()))
            .set("", "output", "'out'")
            .set("lora", "rank", 4)
            .set("lora", "alpha", 8)
            .set("mole", "experts", 3)
            .set("mole", "rank", 4)
            .set("mole", "alpha", 8)
            .set("train", "steps", 4)
            .set("train", "micro_batch", 4)
            .set("train", "accumulation", 2)
            .set("train", "lr", 0.01)
            .data("general", "general.jsonl", 1.0)
            .data("document", "document.jsonl", 0.5)
    }

    /// With a field of a section; the value is TOML.
    pub fn set(mut self, section: &'static str, field: &'static str, value: impl Display) -> Self {
        self.config.entry(section).or_default().insert(field, value.to_string());
        self
    }

    /// Without a field.
    pub fn unset(mut self, section: &'static str, field: &'static str) -> Self {
        self.config.entry(section).or_default().remove(field);
        self
    }

    /// Without a section.
    pub fn without(mut self, section: &'static str) -> Self {
        self.config.remove(section);
        self
    }

    /// Without the adapter's sections, for the stages that have none.
    pub fn stage(self, stage: &str) -> Self {
        self.without("lora").without("mole").set("", "stage", format!("'{stage}'"))
    }

    /// One sample a step, in the order of the file.
    pub fn one_by_one(self) -> Self {
        self.set("train", "micro_batch", 1).set("train", "accumulation", 1).set("train", "shuffle", false)
    }

    /// With one more dataset.
    pub fn data(mut self, name: &str, file: &str, weight: impl Display) -> Self {
        self.sources.push(format!("[[data]]\nname = '{name}'\npath = '{file}'\nweight = {weight}\n"));
        self
    }

    /// With held-out data that are measured now and then.
    pub fn eval(mut self, name: &str, file: &str, every: u64) -> Self {
        self.sources.push(format!("[[eval]]\nname = '{name}'\npath = '{file}'\n"));
        self.set("train", "eval_every", every)
    }

    /// With these samples and no others.
    pub fn only(mut self, lines: impl AsRef<[u8]>) -> Self {
        self.write("only.jsonl", lines);
        self.sources.clear();
        self.data("only", "only.jsonl", 1)
    }

    /// A file of the run's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), bytes).expect("writes");
    }

    /// The configuration's text.
    pub fn toml(&self) -> String {
        let fields = |section: &str| -> String {
            self.config[section].iter().map(|(field, value)| format!("{field} = {value}\n")).collect()
        };
        let sections = self.config.keys().filter(|section| !section.is_empty());
        let sections: String = sections.map(|section| format!("[{section}]\n{}", fields(section))).collect();
        format!("{}{sections}{}", fields(""), self.sources.concat())
    }

    /// `train` on the CPU.
    pub fn train(&self) -> Program {
        self.train_on("cpu")
    }

    pub fn train_on(&self, device: &str) -> Program {
        self.write("run.toml", self.toml());
        program(["train", "--device", device]).arg(self.file("run.toml"))
    }

    pub fn resume(&self) -> Program {
        self.train().arg("--resume")
    }

    /// `train` where no file may grow beyond so many blocks of 512 bytes (1024 with some shells): a disk that fills up.
    #[cfg(unix)]
    pub fn resume_with_little_disk(&self, blocks: u32) -> Program {
        self.write("run.toml", self.toml());
        let mut shell = Command::new("sh");
        // The signal is ignored, so that writing fails as it does on a full disk.
        let script = format!(r#"trap '' XFSZ; ulimit -f {blocks}; exec "$0" "$@""#);
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_llava-mole"), "train", "--device", "cpu", "--resume"]);
        Program::of(shell).arg(self.file("run.toml"))
    }

    /// A file or folder of the run's result.
    pub fn out(&self, name: &str) -> PathBuf {
        self.file("out").join(name)
    }

    /// The names in the result's folder, sorted; none where there is no such folder.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.file("out")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Steps that have a checkpoint, sorted.
    pub fn checkpoints(&self) -> Vec<u64> {
        let steps = self.names().into_iter().filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok());
        let mut steps: Vec<u64> = steps.collect();
        steps.sort_unstable();
        steps
    }

    /// The tensors of the adapter.
    pub fn adapter(&self) -> Tensors {
        Tensors::read(&self.out("adapter/adapter_model.safetensors"))
    }

    /// The bytes of the adapter.
    pub fn adapter_bytes(&self) -> Vec<u8> {
        std::fs::read(self.out("adapter/adapter_model.safetensors")).expect("the run came to its end")
    }

    /// All whole lines of metrics.jsonl; of a run that goes on, those that are there.
    pub fn metrics(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out("metrics.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The lines of steps.
    pub fn steps(&self) -> Vec<Value> {
        self.metrics().into_iter().filter(|line| line.get("eval_loss").is_none()).collect()
    }

    /// The lines of evaluations.
    pub fn evaluations(&self) -> Vec<Value> {
        self.metrics().into_iter().filter(|line| line.get("eval_loss").is_some()).collect()
    }

    /// The losses of all steps.
    pub fn losses(&self) -> Vec<f64> {
        self.steps().iter().map(|line| line["loss"].as_f64().expect("a finite loss")).collect()
    }

    /// All lines without what the clock says.
    pub fn timeless_metrics(&self) -> Vec<Value> {
        let mut lines = self.metrics();
        lines.iter_mut().for_each(|line| drop(line.as_object_mut().expect("an object").remove("tokens_per_second")));
        lines
    }
}

/// The call is refused with exit code 1, nothing on stdout, and an error, of a line or more, with all of `words` in it.
pub fn refused(program: Program, words: &[&str]) -> String {
    let finished = program.run();
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    assert_eq!(finished.stdout, "", "an error goes to stderr");
    last_error(&finished, words)
}

/// The error at the end of stderr, with all of `words` in it.
pub fn last_error(finished: &Finished, words: &[&str]) -> String {
    let at = finished.stderr.rfind("error: ").unwrap_or_else(|| panic!("no error: {finished:#?}"));
    let error = &finished.stderr[at..];
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    error.to_owned()
}

/// The tensors of an adapter's folder; every value is finite.
pub fn finite_adapter(folder: &Path) -> Tensors {
    let tensors = Tensors::read(&folder.join("adapter_model.safetensors"));
    for name in tensors.0.keys() {
        assert!(tensors.floats(name).iter().all(|value| value.is_finite()), "{name} in {}", folder.display());
    }
    tensors
}
