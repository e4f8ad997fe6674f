//! `experiment`: stopped and taken up again without a run done twice; reports that are whole after every run.
#![cfg(unix)]

use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::fixture::model;
use crate::program::{Program, program};

fn conflict(out: &Path) -> Program {
    of_scale(out, "4")
}

fn of_scale(out: &Path, samples: &str) -> Program {
    let scale = ["--samples", samples, "--questions", "2", "--seeds", "1"];
    program(["experiment", "conflict", "--device", "cpu", "--model"])
        .arg(model("two_images"))
        .args(scale)
        .arg("--out")
        .arg(out)
}

fn scored(out: &Path) -> Vec<std::path::PathBuf> {
    let Ok(runs) = std::fs::read_dir(out.join("runs")) else { return Vec::new() };
    let mut files: Vec<_> = runs.map(|run| run.expect("an entry").path().join("scores.json")).collect();
    files.retain(|file| file.exists());
    files.sort();
    files
}

#[test]
fn a_stopped_comparison_goes_on_where_it_was() {
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("conflict");
    let running = conflict(&out).start();
    running.wait_until(|| scored(&out).len() >= 2);
    running.signal("TERM");
    let stopped = running.finish();
    assert_eq!(stopped.code, Some(130), "{stopped:#?}");
    let first = scored(&out);
    let written = |files: &[std::path::PathBuf]| -> Vec<_> {
        files.iter().map(|file| file.metadata().and_then(|of| of.modified()).expect("a time")).collect()
    };
    let times = written(&first);
    let json: Value =
        serde_json::from_slice(&std::fs::read(out.join("results.json")).expect("a report")).expect("JSON");
    assert!((1..=first.len()).contains(&json["arms"].as_array().expect("arms").len()), "{json}");

    let again = conflict(&out).start();
    again.wait_until(|| scored(&out).len() > first.len() + 1);
    again.signal("TERM");
    assert_eq!(again.finish().code, Some(130));
    assert_eq!(written(&first), times, "a run that was done was done again");
    let report = std::fs::read_to_string(out.join("report.md")).expect("a report");
    assert!(report.contains("| LoRA, each domain alone |") && report.contains("not measured yet"), "{report}");

    of_scale(&out, "5").refuse(&["holds runs with --samples 4 --questions 2", "another folder"]);
}

#[test]
fn another_base_or_adapter_is_refused() {
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("conflict");
    let adapter = conflict(&out).args(["--adapter", "x"]).run();
    assert_eq!(adapter.code, Some(2), "{adapter:#?}");
    assert!(adapter.stderr.contains("leave --adapter out"), "{adapter:#?}");
    let demo = program(["experiment", "demo", "--model", "x", "--out"]).arg(&out).run();
    assert!(demo.code == Some(2) && demo.stderr.contains("leave --model out"), "{demo:#?}");
    assert!(!out.exists());

    // The folder has a base already.
    std::fs::create_dir_all(out.join("base")).expect("a folder");
    std::fs::write(out.join("base/config.json"), "{}").expect("a file");
    conflict(&out).refuse(&["base/config.json is of another model"]);
    assert!(!out.join("runs").exists());
}
