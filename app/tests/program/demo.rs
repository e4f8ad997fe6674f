//! The demo model, which answers with no flag and no file of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;

use crate::devices::gpu_is_there;
use crate::program::{Program, program};

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets")
}

/// The sample pictures with a question each and its answer.
fn samples() -> Vec<(PathBuf, String, String)> {
    let bytes = std::fs::read(assets().join("samples/samples.json")).expect("the list");
    let list: Vec<Value> = serde_json::from_slice(&bytes).expect("JSON");
    let text = |of: &Value, field: &str| of[field].as_str().expect("text").to_owned();
    let sample = |of: &Value| {
        let image = assets().join("samples").join(text(of, "image"));
        (image, text(of, "question"), text(of, "answer"))
    };
    list.iter().map(sample).collect()
}

fn ask(image: &Path, question: &str) -> Program {
    // Nothing beside the program: an empty folder.
    program(["ask", "--image"]).arg(image).arg(question)
}

#[test]
fn every_sample_picture_is_answered_right_and_the_same_on_a_gpu() {
    let samples = samples();
    assert!(samples.len() >= 9, "three of each domain");
    let folder = tempdir().expect("a folder");
    let gpu = gpu_is_there();
    for (index, (image, question, answer)) in samples.iter().enumerate() {
        let cpu = ask(image, question).in_folder(folder.path()).args(["--device", "cpu", "--json"]).json();
        assert_eq!(cpu["text"].as_str().map(str::trim), Some(answer.as_str()), "{question} {}", image.display());
        // A software GPU takes seconds for each: one of each domain will do.
        if gpu && index % 4 == 0 {
            let on_gpu = ask(image, question).args(["--device", "gpu", "--json"]).json();
            assert_eq!(on_gpu["token_ids"], cpu["token_ids"], "{question}");
        }
    }
}

#[test]
fn its_experts_are_recorded() {
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("routing.json");
    let (image, question, _) = &samples()[0];
    let asked = ask(image, question).args(["--device", "cpu", "--routing"]).arg(&file).succeed();
    assert!(asked.stderr.contains("the demo experts") && asked.stderr.contains("3 experts a layer"), "{asked:#?}");
    let routing: Value = serde_json::from_slice(&std::fs::read(&file).expect("written")).expect("JSON");
    let patches =
        routing["tokens"].as_array().expect("tokens").iter().filter(|token| token["patch"].is_object()).count();
    assert_eq!(patches, 144);
}

/// What anyone may want to know before they trust it: what is inside is what the card lists, and it is small.
#[test]
fn its_files_are_those_of_the_list() {
    let demo = assets().join("demo");
    let list = std::fs::read_to_string(demo.join("SHA256SUMS")).expect("the list");
    let listed: BTreeMap<&str, &str> =
        list.lines().map(|line| line.split_once("  ").expect("hash, name")).map(|(h, n)| (n, h)).collect();
    let mut bytes = 0;
    for folder in ["model", "adapter"] {
        for file in std::fs::read_dir(demo.join(folder)).expect("a folder") {
            let file = file.expect("an entry");
            let name = format!("{folder}/{}", file.file_name().to_string_lossy());
            assert!(listed.contains_key(name.as_str()), "{name} is not in SHA256SUMS");
            bytes += file.metadata().expect("its size").len();
        }
    }
    assert!(bytes <= 16_000_000, "{bytes} bytes");
}
