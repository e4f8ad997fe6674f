//! `synth`: sets in LLaVA's format, the same for the same seed, with nothing in common for different ones.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Program, program};

const DOMAINS: [&str; 3] = ["general", "document", "medical"];

fn synth(domain: &str, samples: usize, seed: u64, out: &Path) -> Program {
    let (samples, seed) = (samples.to_string(), seed.to_string());
    program(["synth", "--domain", domain, "--samples", &samples, "--seed", &seed, "--out"]).arg(out)
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("data.jsonl")).expect("written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Every picture's bytes.
fn pictures(folder: &Path) -> Vec<Vec<u8>> {
    let name = |line: &Value| line["image"].as_str().expect("a name").to_owned();
    lines(folder).iter().map(|line| std::fs::read(folder.join("images").join(name(line))).expect("a picture")).collect()
}

#[test]
fn a_seed_is_a_set() {
    for domain in DOMAINS {
        let folder = tempdir().expect("a folder");
        let made = |name: &str, samples, seed| {
            let out = folder.path().join(name);
            synth(domain, samples, seed, &out).succeed();
            out
        };
        let (one, again, longer) = (made("one", 40, 7), made("again", 40, 7), made("longer", 60, 7));
        assert_eq!(lines(&one), lines(&again));
        assert_eq!(pictures(&one), pictures(&again));
        assert_eq!(lines(&one)[..], lines(&longer)[..40], "a shorter set is the beginning of a longer one");

        let other = made("other", 40, 8);
        let seen: BTreeSet<Vec<u8>> = pictures(&one).into_iter().collect();
        assert_eq!(seen.len(), 40, "no picture comes twice");
        assert!(pictures(&other).iter().all(|picture| !seen.contains(picture)), "{domain}: a picture is in both sets");
    }
}

#[test]
fn samples_are_what_training_reads_and_each_names_its_type() {
    let folder = tempdir().expect("a folder");
    for domain in DOMAINS {
        let out = folder.path().join(domain);
        synth(domain, 12, 3, &out).args(["--turns", "3"]).succeed();
        for (line, picture) in lines(&out).iter().zip(pictures(&out)) {
            let turns = line["conversations"].as_array().expect("turns");
            assert_eq!(turns.len(), 2 * line["question_types"].as_array().expect("types").len());
            assert!(turns[0]["value"].as_str().expect("text").starts_with("<image>\n"), "{line}");
            assert!(turns[1..].iter().all(|turn| !turn["value"].as_str().expect("text").contains("<image>")));
            assert_eq!(line["domain"], domain);
            let picture = image::load_from_memory(&picture).expect("a PNG");
            assert_eq!((picture.width(), picture.height()), (336, 336));
        }
    }
}

/// What one gets without looking: by type, and in all.
#[test]
fn guessing_does_not_pay() {
    let folder = tempdir().expect("a folder");
    for domain in DOMAINS {
        let out = folder.path().join(domain);
        let summary = synth(domain, 400, 5, &out).arg("--json").json();
        let baseline = summary["baseline"].as_f64().expect("a number");
        assert!(baseline < 0.35, "{domain}: {summary}");
        let types = summary["types"].as_array().expect("types");
        assert_eq!(types.iter().map(|of| of["questions"].as_u64().expect("a number")).sum::<u64>(), 400);

        // The same figure from the file.
        let mut answers: std::collections::BTreeMap<(String, String), u64> = Default::default();
        for line in lines(&out) {
            let part = |value: &Value| value.as_str().expect("text").to_owned();
            let key = (part(&line["question_types"][0]), part(&line["conversations"][1]["value"]));
            *answers.entry(key).or_default() += 1;
        }
        for of in types {
            let name = of["question_type"].as_str().expect("a name");
            let counts = answers.iter().filter(|((of, _), _)| of == name).map(|(_, count)| *count);
            let most = counts.clone().max().expect("answers") as f64 / counts.clone().sum::<u64>() as f64;
            // JSON's last digit may be another.
            assert!((of["baseline"].as_f64().expect("a number") - most).abs() < 1e-12, "{domain}: {of}");
            // Two answers, yes and no, cannot be under a half.
            assert!(most < if counts.clone().count() > 2 { 0.35 } else { 0.55 }, "{domain}: {of}");
        }
    }
}

#[test]
fn types_can_be_chosen_and_the_table_says_what_came() {
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("captions");
    let made = synth("document", 10, 1, &out).args(["--types", "caption,value"]).succeed();
    assert!(made.stdout.contains("caption") && made.stdout.contains("value"), "{made:#?}");
    assert!(made.stdout.contains("of each type") && made.stderr.contains("data.jsonl"), "{made:#?}");
    assert!(lines(&out).iter().all(|line| ["caption", "value"].contains(&line["question_types"][0].as_str().unwrap())));
}

#[test]
fn what_cannot_be_made_is_refused() {
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("set");
    let misused = |program: Program, words: &str| {
        let finished = program.run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{finished:#?}");
        assert!(finished.stderr.contains(words), "{words:?} is not in {finished:#?}");
    };
    misused(synth("cats", 1, 1, &out), "general, document, medical");
    misused(synth("general", 0, 1, &out), "at least 1");
    misused(synth("medical", 1, 1, &out).args(["--types", "stain,colour"]), "no questions of type colour");
    assert!(!out.exists());
    synth("general", 2, 1, &out).succeed();
    let before = std::fs::read(out.join("data.jsonl")).expect("written");
    synth("general", 3, 2, &out).refuse(&["already has a data.jsonl", "another folder"]);
    assert_eq!(std::fs::read(out.join("data.jsonl")).expect("still there"), before);
    std::fs::write(folder.path().join("file"), "x").expect("writes");
    synth("general", 1, 1, &folder.path().join("file")).refuse(&["cannot write", "file"]);
}
