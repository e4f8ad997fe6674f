//! `eval`: questions answered as `ask` answers them, and scored exactly.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fixture::model;
use crate::program::{Program, ask, on_cpu};
use crate::runs::{Run, sample};

/// A question with its reference answer, as benchmarks have it.
fn question(id: &str, image: &str, text: &str, answer: &str) -> String {
    format!("{}\n", json!({ "question_id": id, "image": image, "question": text, "answer": answer }))
}

/// A model that knows a few colours: what it answers is words.
fn knowing() -> (Run, PathBuf) {
    let run = Run::new().stage("full").set("train", "steps", 60).set("train", "lr", 0.003);
    run.train().succeed();
    let model = run.out("model");
    (run, model)
}

fn eval(run: &Run, model: &Path, files: &[&str]) -> Program {
    files.iter().fold(on_cpu("eval", model).args(["--max-new-tokens", "8"]), |program, file| {
        program.arg("--data").arg(run.file(file))
    })
}

#[test]
fn figures_are_exact_and_predictions_are_those_of_ask() {
    let (run, model) = knowing();
    let says = |image: &str, text: &str| {
        let asked = ask(&model, text).images([run.file(image)]).tokens(8).succeed();
        asked.stdout.trim().to_owned()
    };
    let lines = [
        question("1", "red.png", "What colour?", "red"),
        question("2", "green.png", "What colour?", "Green."),
        question("3", "blue.png", "What colour?", "yellow"),
        // A conversation: its last answer is the reference.
        sample("4", &["across.png"], &["<image>\nWhich way?", "across"]),
    ];
    run.write("colours.jsonl", lines.concat());
    let predictions = run.file("predictions.jsonl");
    let finished =
        eval(&run, &model, &["colours.jsonl"]).arg("--json").arg("--predictions").arg(&predictions).succeed();
    let table = finished.json();
    let row = json!({ "questions": 4, "metrics": { "vqa": { "mean": 0.75, "count": 4 } } });
    assert_eq!(table, json!({ "datasets": { "colours": row }, "all": row }));

    let text = std::fs::read_to_string(&predictions).expect("written");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = [
        ("1", "red.png", "What colour?", "red"),
        ("2", "green.png", "What colour?", "Green."),
        ("3", "blue.png", "What colour?", "yellow"),
        ("4", "across.png", "Which way?", "across"),
    ];
    assert_eq!(lines.len(), 4);
    for (line, (id, image, asked, answer)) in lines.iter().zip(expected) {
        let prediction = says(image, asked);
        let expected =
            json!({ "id": id, "question": asked, "answer": answer, "prediction": prediction, "dataset": "colours" });
        assert_eq!(*line, expected);
    }
    assert_eq!(lines[0]["prediction"], "red");
}

#[test]
fn several_datasets_each_metric_and_a_limit() {
    let (run, model) = knowing();
    run.write(
        "a.jsonl",
        question("1", "red.png", "What colour?", "red") + &question("2", "blue.png", "What colour?", "red"),
    );
    run.write("b.json", format!("[{}]", question("3", "red.png", "What colour?", "a red one")));
    let metrics = |table: &Value, row: &str| -> Vec<(String, f64, u64)> {
        let row = if row == "all" { &table["all"] } else { &table["datasets"][row] };
        let means = row["metrics"].as_object().expect("an object").iter();
        let mean =
            |value: &Value| (value["mean"].as_f64().expect("a number"), value["count"].as_u64().expect("a count"));
        means.map(|(name, value)| (name.clone(), mean(value).0, mean(value).1)).collect()
    };
    let one = |name: &str, mean: f64, count: u64| (name.to_owned(), mean, count);
    for (metric, a, all) in
        [("vqa", 0.5, 1.0 / 3.0), ("exact", 0.5, 1.0 / 3.0), ("relaxed", 0.5, 1.0 / 3.0), ("anls", 0.5, 1.0 / 3.0)]
    {
        let table = eval(&run, &model, &["a.jsonl", "b.json"]).args(["--json", "--metric", metric]).json();
        assert_eq!(metrics(&table, "a"), [one(metric, a, 2)], "{metric}");
        assert_eq!(metrics(&table, "b"), [one(metric, 0.0, 1)], "{metric}");
        assert_eq!(metrics(&table, "all"), [one(metric, all, 3)], "{metric}");
        assert_eq!(table["all"]["questions"], 3);
    }
    // "red" for "a red one": every word is right, half of them are there.
    let table = eval(&run, &model, &["b.json"]).args(["--json", "--metric", "open"]).json();
    assert_eq!(metrics(&table, "all"), [one("exact", 0.0, 1), one("f1", 2.0 / 3.0, 1), one("recall", 0.5, 1)]);
    // No question is one of yes and no.
    let table = eval(&run, &model, &["b.json"]).args(["--json", "--metric", "closed"]).json();
    assert_eq!((metrics(&table, "all"), &table["all"]["questions"]), (vec![], &json!(1)));
    let table = eval(&run, &model, &["a.jsonl"]).args(["--json", "--limit", "1"]).json();
    assert_eq!(metrics(&table, "all"), [one("vqa", 1.0, 1)]);

    let shown = eval(&run, &model, &["a.jsonl", "b.json"]).succeed().stdout;
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected =
        [["dataset", "questions", "vqa"], ["a", "2", "0.5000"], ["b", "1", "0.0000"], ["all", "3", "0.3333"]];
    assert_eq!(lines, expected);
}

/// Where nothing is named, questions of yes and no are `closed` and the others `vqa`; pictures lie where they are said to.
#[test]
fn the_metric_and_the_pictures_of_each_dataset() {
    let run = Run::new();
    std::fs::create_dir(run.file("elsewhere")).expect("makes");
    std::fs::rename(run.file("red.png"), run.file("elsewhere/red.png")).expect("renames");
    run.write("a.jsonl", question("1", "red.png", "Is it?", "yes") + &question("2", "red.png", "What?", "red"));
    run.write("b.jsonl", question("3", "blue.png", "Is it?", "no"));
    let base = model("two_images");
    let both = || eval(&run, &base, &["a.jsonl", "b.jsonl"]).arg("--json");
    let table = both().arg("--images").arg(run.file("elsewhere")).arg("--images").arg(run.file("")).json();
    let count = |row: &Value, metric: &str| row["metrics"][metric]["count"].clone();
    assert_eq!(count(&table["datasets"]["a"], "vqa"), 1);
    assert_eq!(count(&table["datasets"]["a"], "closed"), 1);
    assert_eq!(count(&table["datasets"]["b"], "closed"), 1);
    both().refuse(&["red.png", "is not in"]);
    both().arg("--images").arg(run.file("elsewhere")).refuse(&["blue.png", "is not in"]);
    let usage = both().args(["--images", "a", "--images", "b", "--images", "c"]).run();
    assert_eq!(usage.code, Some(2), "{usage:#?}");
    assert!(usage.stderr.contains("3 --images for 2 --data"), "{usage:#?}");
}

#[test]
fn what_cannot_be_asked_is_said_before_the_first_question() {
    let run = Run::new();
    let good = question("1", "red.png", "What colour?", "red");
    let base = model("two_images");
    let no_answer = format!("{}\n", json!({ "id": "2", "image": "red.png", "question": "What colour?" }));
    for (line, words) in [
        (no_answer, ["data.jsonl:2:", "has no answer to compare with", "\"answer\""]),
        (question("2", "nowhere.png", "What?", "red"), ["data.jsonl:2:", "nowhere.png", "is not in"]),
        ("{\"id\": \n".to_owned(), ["data.jsonl:2:", "is not JSON", "repair it"]),
        (question("2", "../red.png", "What?", "red"), ["data.jsonl:2:", "../red.png", "leads out"]),
    ] {
        run.write("data.jsonl", format!("{good}{line}"));
        let predictions = run.file("predictions.jsonl");
        let refused = eval(&run, &base, &["data.jsonl"]).arg("--predictions").arg(&predictions);
        refused.refuse(&words);
        let left: Vec<_> =
            std::fs::read_dir(run.file("")).expect("readable").map(|entry| entry.expect("one").file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("predictions")), "{left:?}");
    }
    let mut half = std::fs::read(run.file("red.png")).expect("drawn");
    half.truncate(half.len() / 2);
    run.write("half.png", half);
    run.write("data.jsonl", good + &question("2", "half.png", "What?", "red"));
    eval(&run, &base, &["data.jsonl"]).refuse(&["half.png", "cut off"]);
    eval(&run, &base, &["nowhere.jsonl"]).refuse(&["nowhere.jsonl"]);
}

#[test]
fn usage() {
    let run = Run::new();
    let base = model("two_images");
    run.write("data.jsonl", question("1", "red.png", "What colour?", "red"));
    let unknown = eval(&run, &base, &["data.jsonl"]).args(["--metric", "bleu"]).run();
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
    assert!(unknown.stderr.contains("bleu") && unknown.stderr.contains("vqa, exact, relaxed"), "{unknown:#?}");
    assert_eq!(on_cpu("eval", &base).run().code, Some(2), "--data is needed");
    // Predictions that cannot be written are no reason to answer first.
    let out = run.file("missing/predictions.jsonl");
    let refused = eval(&run, &base, &["data.jsonl"]).arg("--predictions").arg(&out);
    refused.refuse(&["cannot write", "missing/predictions.jsonl"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_prints_the_scores_so_far() {
    let run = Run::new();
    let base = model("two_images");
    run.write("data.jsonl", question("1", "red.png", "What colour?", "red").repeat(3000));
    for signal in ["INT", "TERM"] {
        let predictions = run.file("predictions.jsonl");
        let running = eval(&run, &base, &["data.jsonl"]).arg("--json").arg("--predictions").arg(&predictions).start();
        // The file grows by whole buffers.
        let part = run.file("predictions.jsonl.part");
        running.wait_until(|| std::fs::metadata(&part).is_ok_and(|file| file.len() > 0));
        running.signal(signal);
        let finished = running.finish();
        assert_eq!(finished.code, Some(1), "{finished:#?}");
        let asked = finished.json()["all"]["questions"].as_u64().expect("a count");
        assert!((1..3000).contains(&asked), "{finished:#?}");
        assert!(
            finished.stderr.contains(&format!("the scores are those of the {asked} questions answered")),
            "{finished:#?}"
        );
        let lines = std::fs::read_to_string(&predictions).expect("kept").lines().count();
        assert_eq!(lines as u64, asked);
        std::fs::remove_file(&predictions).expect("ours");
    }
}
