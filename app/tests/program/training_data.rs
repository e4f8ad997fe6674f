//! Datasets with faults: all of them are told, with file, line and reason, before the first step.

use serde_json::{Value, json};

use crate::program::Program;
use crate::runs::{Run, colours, last_error, refused, sample};

/// Good samples with one of each fault between them, over two files and the held-out data.
fn faulty() -> Run {
    let mut half = std::fs::read(Run::new().file("red.png")).expect("drawn");
    half.truncate(half.len() / 2);
    let general = [
        colours(2),
        "{\"id\": 1, \"conversations\": [\n".to_owned(),
        sample("missing", &["nowhere.png"], &["What?", "x"]),
        sample("corrupt", &["half.png"], &["What?", "x"]),
        sample("many", &["red.png"], &["<image> or <image>?", "x"]),
        sample("silent", &["red.png"], &["What?"]),
        sample("empty", &["red.png"], &["What?", " "]),
    ];
    let document = [
        sample("long", &["red.png"], &[&"What? ".repeat(40), "x"]),
        sample("good", &["down.png"], &["Which way?", "down"]),
        json!({ "conversations": [{ "from": "system", "value": "x" }] }).to_string(),
    ];
    let run = Run::new().set("train", "max_length", 60);
    run.write("half.png", half);
    run.write("general.jsonl", general.concat());
    run.write("document.jsonl", document.concat());
    run
}

#[test]
fn every_fault_is_told_at_once_before_the_first_step() {
    let run = faulty();
    let words = [
        "8 of 11 samples cannot be used",
        "--skip-bad 8",
        "general.jsonl:3: is not JSON",
        "general.jsonl:4: the picture nowhere.png: is not in",
        "general.jsonl:5: the picture half.png: is cut off",
        "general.jsonl:6: has 2 <image>, but 1 pictures",
        "general.jsonl:7: has no supervised token",
        "general.jsonl:8: has no supervised token",
        "document.jsonl:1: has no supervised token within max_length 60",
        "raise train.max_length",
        "document.jsonl:3: turn 1 is from \"system\"",
    ];
    let error = refused(run.train(), &words);
    let first = error.lines().next().expect("a line");
    assert!(first.contains("8 of 11 samples cannot be used"), "the first line says what is wrong: {first}");
    assert_eq!(error.lines().count(), 9, "{error}");
    assert!(run.names().is_empty(), "nothing is written: {:?}", run.names());
}

#[test]
fn as_many_bad_samples_are_left_out_as_allowed() {
    let run = faulty();
    refused(run.train().args(["--skip-bad", "7"]), &["8 of 11 samples cannot be used"]);
    assert!(run.names().is_empty());
    let finished = run.train().args(["--skip-bad", "8"]).succeed();
    for words in ["8 of 11 samples cannot be used and are left out:", "general.jsonl:3:", "document.jsonl:3:"] {
        assert!(finished.stderr.contains(words), "{words:?} is not in {finished:#?}");
    }
    assert_eq!(run.losses().len(), 4);
    // It is the run of the good samples.
    let good = Run::new().set("train", "max_length", 60);
    good.write("general.jsonl", colours(2));
    good.write("document.jsonl", sample("good", &["down.png"], &["Which way?", "down"]));
    good.train().succeed();
    assert!(run.adapter_bytes() == good.adapter_bytes());
}

#[test]
fn held_out_data_are_checked_too() {
    let run = Run::new();
    run.write("held_out.jsonl", sample("missing", &["nowhere.png"], &["What?", "x"]));
    let run = run.eval("held_out", "held_out.jsonl", 2);
    refused(run.train(), &["held_out.jsonl:1: the picture nowhere.png", "1 of 1 samples"]);
    assert!(run.names().is_empty());
    // To measure without anything to measure on is no reason to stop.
    let finished = Run::new().set("train", "eval_every", 2).train().succeed();
    assert!(finished.stderr.contains("there is no [[eval]] dataset"), "{finished:#?}");
}

#[test]
fn nothing_but_bad_samples() {
    let run = Run::new();
    run.write("document.jsonl", sample("missing", &["nowhere.png"], &["What?", "x"]));
    refused(run.train().args(["--skip-bad", "1"]), &["dataset \"document\" has no good sample"]);
}

#[test]
fn a_file_that_is_no_dataset() {
    for (content, words) in [("", "is empty"), ("[\n{},\n]", "has a comma before the end")] {
        let run = Run::new();
        run.write("general.jsonl", content);
        refused(run.train(), &["general.jsonl:", words]);
    }
    let run = Run::new().data("absent", "absent.jsonl", 1);
    run.train().refuse(&["absent.jsonl: "]);
    let run = Run::new().data("folder", ".", 1);
    run.train().refuse(&["not a regular file"]);
}

#[test]
fn text_alone_trains() {
    let lines: String = (0..6).map(|at| sample(at, &[], &["Up?", "no", "Down?", "yes"])).collect();
    for stage in ["finetune", "full", "projector"] {
        let mut run = Run::new().only(&lines).set("train", "steps", 20);
        if stage != "finetune" {
            run = run.stage(stage);
        }
        run.train().succeed();
        let losses = run.losses();
        // Without a picture the projector has nothing to do with the loss.
        assert_eq!(losses[19] < 0.7 * losses[0], stage != "projector", "{stage}: {losses:?}");
    }
}

/// Steps whose windows have no picture, between others that have, and a list instead of lines.
#[test]
fn pictures_come_and_go() {
    let lines =
        sample("text", &[], &["Up?", "no"]) + &colours(1) + &sample("two", &["red.png", "down.png"], &["Both?", "no"]);
    let run =
        Run::new().one_by_one().only(format!("[{}]", lines.trim_end().replace('\n', ",\n"))).set("train", "steps", 30);
    run.train().succeed();
    let (losses, steps) = (run.losses(), run.steps());
    let tokens: Vec<u64> = steps.iter().map(|line| line["tokens"].as_u64().expect("a count")).collect();
    assert!(tokens[0] + 9 < tokens[1] && tokens[1] < tokens[2] && tokens[..3] == tokens[27..], "{tokens:?}");
    assert!(losses[27..].iter().sum::<f64>() < 0.7 * losses[..3].iter().sum::<f64>(), "{losses:?}");
}

/// The lengths that come of cutting at every position: none ends inside a picture's nine.
#[test]
fn a_cut_goes_before_a_picture_not_through_it() {
    let turns = ["Up?", "no", "And <image>?", "red", "Or <image>?", "blue"];
    let line = sample("three", &["red.png", "blue.png"], &turns);
    let whole = Run::new().one_by_one().only(&line).set("train", "steps", 1);
    whole.train().succeed();
    let tokens_of = |line: &Value| line["tokens"].as_u64().expect("a count");
    let length = tokens_of(&whole.steps()[0]);
    let cut = |max_length: u64| {
        let run = Run::new().one_by_one().only(&line).set("train", "steps", 1).set("train", "max_length", max_length);
        let finished = run.train().succeed();
        assert_eq!(finished.stderr.contains("1 cut at the end"), max_length < length, "{finished:#?}");
        tokens_of(&run.steps()[0])
    };
    let lengths: Vec<u64> = (length - 26..=length).map(cut).collect();
    assert!(lengths.windows(2).all(|pair| pair[0] <= pair[1]), "{lengths:?}");
    let jumps: Vec<u64> = lengths.windows(2).map(|pair| pair[1] - pair[0]).filter(|jump| *jump > 1).collect();
    assert_eq!(jumps.iter().filter(|jump| **jump == 9).count(), jumps.len(), "{lengths:?}");
    assert!(!jumps.is_empty(), "the last picture was never left out: {lengths:?}");
    assert_eq!(lengths.last(), Some(&length));
}

#[test]
fn pictures_may_lie_elsewhere() {
    let run = Run::new();
    std::fs::create_dir_all(run.file("图 片/in")).expect("makes");
    std::fs::rename(run.file("red.png"), run.file("图 片/in/красный.png")).expect("renames");
    let run = run.only(sample("a", &["in/красный.png"], &["What?", "red"]));
    let toml = run.toml().replace("path = 'only.jsonl'", "path = 'only.jsonl'\nimages = '图 片'");
    run.write("other.toml", toml);
    let train =
        |config: &str| -> Program { crate::program::program(["train", "--device", "cpu"]).arg(run.file(config)) };
    train("other.toml").succeed();
    let outside = run.only(sample("a", &["../red.png"], &["What?", "red"])).set("", "output", "'other'");
    let finished = outside.train().run();
    assert_eq!(finished.code, Some(1));
    last_error(&finished, &["only.jsonl:1: the image \"../red.png\" leads out of the images folder"]);
}
