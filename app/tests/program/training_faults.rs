//! What goes wrong in the middle of a run: numbers that are none, memory, disks, paths; and runs that end early.

use serde_json::{Value, json};

use crate::fixture::Checkpoint;
use crate::runs::{Run, colours, finite_adapter, refused, sample};

/// A base whose vision tower overflows, so that every sample with a picture has a loss that is none.
fn blinding() -> Checkpoint {
    let copy = Checkpoint::of("two_images");
    copy.tensors(|tensors| {
        let name = "vision_tower.vision_model.embeddings.patch_embedding.weight";
        let weights = &mut tensors.get_mut(name).expect("it is there").bytes;
        // 1.0e38 in bf16.
        weights.chunks_mut(2).for_each(|weight| weight.copy_from_slice(&[0x96, 0x7e]));
    });
    copy
}

fn text(count: usize) -> String {
    sample("text", &[], &["Up?", "no"]).repeat(count)
}

/// Steps of one sample each: of text first, then of pictures, then of text again.
fn going_blind(base: &Checkpoint, seen: usize, blind: usize, after: usize) -> Run {
    let run = Run::new().one_by_one().only(text(seen) + &colours(blind) + &text(after));
    run.set("", "model", format!("'{}'", base.path().display())).set("train", "steps", seen + blind + after)
}

#[test]
fn steps_without_a_finite_loss_are_skipped_and_counted() {
    let base = blinding();
    let run = going_blind(&base, 3, 9, 2).set("train", "checkpoint_every", 1).set("train", "keep_checkpoints", 20);
    let finished = run.train().succeed();
    assert!(finished.stderr.contains("9 step(s) were skipped"), "{finished:#?}");
    assert!(finished.stderr.contains("step 4: a number was not finite; the step was skipped"), "{finished:#?}");
    for (at, line) in run.steps().iter().enumerate() {
        let skipped = (3..12).contains(&at);
        assert_eq!(line.get("skipped"), skipped.then_some(&json!(true)), "{line}");
        assert_eq!(line["loss"].is_null(), skipped, "{line}");
    }
    // A skipped step changes nothing.
    let bytes =
        |step: u64| std::fs::read(run.out(&format!("checkpoint-{step}/adapter_model.safetensors"))).expect("written");
    assert!(bytes(2) != bytes(3) && bytes(3) == bytes(4) && bytes(3) == bytes(12) && bytes(12) != bytes(13));
    finite_adapter(&run.out("adapter"));
    assert!(std::fs::read_to_string(run.out("loss.svg")).expect("drawn").starts_with("<svg"));

    // The same with a window that was stopped in between.
    let other = going_blind(&base, 3, 9, 2).set("train", "checkpoint_every", 5);
    other.train().succeed();
    std::fs::remove_dir_all(other.out("checkpoint-14")).expect("removes");
    std::fs::remove_dir_all(other.out("checkpoint-10")).expect("removes");
    let resumed = other.resume().succeed();
    assert!(resumed.stderr.contains("9 step(s) were skipped"), "{resumed:#?}");
    assert!(other.adapter_bytes() == run.adapter_bytes());
}

#[test]
fn ten_in_a_row_end_the_run() {
    let base = blinding();
    let run = going_blind(&base, 3, 12, 5).set("train", "checkpoint_every", 2);
    let words = ["not finite in 10 steps in a row", "step 13", "lower train.lr"];
    refused(run.train(), &words);
    assert_eq!(run.steps().len(), 13);
    let newest = *run.checkpoints().last().expect("one");
    assert_eq!(newest, 13);
    for step in run.checkpoints() {
        finite_adapter(&run.out(&format!("checkpoint-{step}")));
    }
    assert!(!run.out("adapter").exists(), "it did not come to its end");
    // What was learnt before is in every checkpoint that is left.
    let state: Value =
        serde_json::from_slice(&std::fs::read(run.out("checkpoint-13/state.json")).expect("written")).expect("JSON");
    assert_eq!(state["skipped"], 10);
    assert!(state["optimizer_steps"].as_object().expect("an object").values().any(|steps| *steps == 3), "{state}");
}

/// A held-out loss that is none is never the best.
#[test]
fn held_out_data_without_a_finite_loss() {
    let base = blinding();
    let run = going_blind(&base, 4, 0, 0).set("train", "early_stopping", 2).set("train", "checkpoint_every", 1);
    run.write("held_out.jsonl", colours(2));
    let run = run.eval("held_out", "held_out.jsonl", 1);
    let finished = run.train().succeed();
    assert!(finished.stderr.contains("stopping early: 2 evaluations brought no better loss"), "{finished:#?}");
    for line in run.evaluations() {
        assert_eq!((&line["eval_loss"], &line["best"]), (&Value::Null, &json!(false)), "{line}");
    }
    assert!(!run.out("best").exists(), "{:?}", run.names());
    finite_adapter(&run.out("adapter"));
}

#[test]
fn a_rate_that_is_far_too_high_leaves_finite_weights() {
    let run = Run::new().set("train", "lr", 10.0).set("train", "grad_clip", 0).set("train", "steps", 30);
    let finished = run.train().run();
    assert!(matches!(finished.code, Some(0 | 1)), "{finished:#?}");
    let newest = run.checkpoints().pop().expect("one");
    finite_adapter(&run.out(&format!("checkpoint-{newest}")));
}

#[test]
fn frozen_weights_in_f16() {
    let run = Run::new().set("train", "steps", 20);
    let finished = run.train().args(["--weights", "f16"]).succeed();
    assert!(finished.stderr.contains("frozen weights in f16"), "{finished:#?}");
    let losses = run.losses();
    assert!(losses[19] < 0.7 * losses[0], "{losses:?}");
    let wide = Run::new().set("train", "steps", 20);
    wide.train().args(["--weights", "f32"]).succeed();
    assert!((losses[0] - wide.losses()[0]).abs() < 0.05, "{losses:?}");
}

/// The base is frozen and rounded; what is learnt is not, and makes up for it.
#[test]
fn frozen_weights_in_q8_and_q4() {
    let wide = Run::new().set("train", "steps", 20);
    wide.train().args(["--weights", "f32"]).succeed();
    for (weights, most) in [("q8", 0.05), ("q4", 0.5)] {
        let run = Run::new().set("train", "steps", 20);
        let finished = run.train().args(["--weights", weights]).succeed();
        assert!(finished.stderr.contains(&format!("frozen weights in {weights}")), "{finished:#?}");
        let losses = run.losses();
        assert!(losses[19] < 0.7 * losses[0], "{weights}: {losses:?}");
        assert!((losses[0] - wide.losses()[0]).abs() < most, "{weights}: {losses:?}");
        finite_adapter(&run.out("adapter"));
    }
}

#[test]
fn a_run_that_needs_more_than_there_is() {
    let run = Run::new();
    let limited = |run: &Run, bytes: &str| run.train().env("MOLE_MEMORY_LIMIT", bytes);
    let words = ["training needs ", " MB (weights ", "in f16", "layer inputs", "offers 1 MB"];
    refused(limited(&run, "1000000"), &words);
    assert!(run.names().is_empty(), "{:?}", run.names());
    limited(&run, "100000000").succeed();
    // What fills the memory is the batch, and it is said.
    let large = Run::new().set("train", "micro_batch", 4096);
    refused(limited(&large, "100000000"), &["offers 100 MB", "lower train.micro_batch"]);
}

/// A limit on the size of files stands for a disk that fills up while a checkpoint is written.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let run = Run::new().set("train", "checkpoint_every", 2);
    let straight = Run::new().set("train", "checkpoint_every", 2);
    run.train().succeed();
    straight.train().succeed();
    std::fs::remove_dir_all(run.out("checkpoint-4")).expect("removes");
    std::fs::remove_dir_all(run.out("adapter")).expect("removes");
    refused(run.resume_with_little_disk(32), &["checkpoint-4", "adapter_model.safetensors", "arge"]);
    assert_eq!(run.checkpoints(), [2]);
    assert!(run.names().iter().all(|name| !name.starts_with('.')), "{:?}", run.names());
    finite_adapter(&run.out("checkpoint-2"));
    run.resume().succeed();
    assert!(run.adapter_bytes() == straight.adapter_bytes());
    assert_eq!(run.timeless_metrics(), straight.timeless_metrics());
}

#[test]
fn early_stopping_keeps_the_best() {
    let run = Run::new().set("train", "steps", 200).set("train", "early_stopping", 2);
    // What is asked for contradicts what is learnt: soon it only gets worse.
    run.write("held_out.jsonl", colours(12).replace("\"value\":\"red\"", "\"value\":\"green\""));
    let run = run.eval("held_out", "held_out.jsonl", 5);
    let finished = run.train().succeed();
    assert!(finished.stderr.contains("stopping early: 2 evaluations brought no better loss"), "{finished:#?}");
    let evaluations = run.evaluations();
    let loss = |at: usize| evaluations[at]["eval_loss"].as_f64().expect("finite");
    let best = evaluations.iter().rposition(|line| line["best"] == true).expect("one");
    assert_eq!(best + 3, evaluations.len(), "{evaluations:?}");
    assert!((0..evaluations.len()).all(|at| loss(at) >= loss(best)), "{evaluations:?}");
    assert!(run.steps().len() < 200);
    let read = |name: &str| std::fs::read(run.out(name).join("adapter_model.safetensors")).expect("written");
    assert!(read("adapter") == read("best"));
    let last = format!("checkpoint-{}", run.steps().len());
    assert!(read("adapter") != read(&last), "the last weights are not the best");

    // It has ended: going on changes nothing.
    let (metrics, adapter) = (run.metrics(), run.adapter_bytes());
    run.resume().succeed();
    assert_eq!(run.metrics(), metrics);
    assert!(run.adapter_bytes() == adapter);
}

#[test]
fn paths_of_every_kind() {
    let long = ["n".repeat(200), "n".repeat(200), "n".repeat(200)].join("/");
    for output in ["模型 и картинки/🦙", "it is \"quoted\"", long.as_str()] {
        let run = Run::new().set("", "output", format!("'{output}'"));
        if std::fs::create_dir_all(run.file(output)).is_err() {
            eprintln!("SKIPPED: this file system does not take {output:?}");
            continue;
        }
        let finished = run.train().succeed();
        assert_eq!(finished.stdout, format!("{}\n", run.file(output).join("adapter").display()));
        finite_adapter(&run.file(output).join("checkpoint-4"));
        run.resume().succeed();
    }
    let too_long = ["n".repeat(300), vec!["n".repeat(200); 30].join("/")];
    for output in too_long {
        Run::new().set("", "output", format!("'{output}'")).train().refuse(&["nnnn: "]);
    }
}
