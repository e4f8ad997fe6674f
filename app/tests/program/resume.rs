//! `train --resume`: a run that was stopped goes on as if it had not been, bit for bit on the CPU.

use safetensors::Dtype;

use crate::fixture::{Checkpoint, Stored};
use crate::program::Program;
use crate::runs::{Run, colours, refused};

/// Forty steps with all that has a state: shuffled datasets of different weight, dropout, moments, a held-out loss.
fn forty_steps() -> Run {
    let run = Run::new().set("train", "steps", 40).set("train", "checkpoint_every", 17);
    run.write("held_out.jsonl", colours(3));
    run.set("lora", "dropout", 0.1).set("mole", "dropout", 0.1).set("", "seed", 5).eval("held_out", "held_out.jsonl", 6)
}

fn straight() -> Run {
    let run = forty_steps();
    run.train().succeed();
    run
}

fn assert_same(stopped: &Run, straight: &Run) {
    assert_eq!(stopped.timeless_metrics(), straight.timeless_metrics());
    assert!(stopped.adapter_bytes() == straight.adapter_bytes(), "the weights differ");
    for file in ["adapter_model.safetensors", "optimizer.safetensors"] {
        let [a, b] =
            [stopped, straight].map(|run| std::fs::read(run.out("checkpoint-40").join(file)).expect("written"));
        assert!(a == b, "{file} differs");
    }
    let [a, b] = [stopped, straight].map(|run| std::fs::read(run.out("routing.json")).expect("written"));
    assert!(a == b, "routing.json differs");
}

#[test]
fn killed_after_a_checkpoint() {
    let run = forty_steps();
    let running = run.train().start();
    running.wait_until(|| run.out("checkpoint-17").exists());
    let killed = running.kill();
    assert_ne!(killed.code, Some(0), "it was too quick to be killed: {killed:#?}");
    let resumed = run.resume().succeed();
    let from = if run.checkpoints().contains(&34) && resumed.stderr.contains("after step 34") { 34 } else { 17 };
    assert!(resumed.stderr.contains(&format!("40 steps, going on after step {from}")), "{resumed:#?}");
    assert_same(&run, &straight());
}

#[cfg(unix)]
#[test]
fn stopped_in_the_middle() {
    let run = forty_steps();
    let running = run.train().start();
    running.wait_until(|| run.steps().len() >= 5);
    running.signal("TERM");
    let stopped = running.finish();
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(130), ""), "{stopped:#?}");
    let steps = run.steps().len();
    assert!(steps < 40, "it was too quick to be stopped");
    assert_eq!(run.checkpoints().last(), Some(&(steps as u64)), "{stopped:#?}");
    run.resume().succeed();
    assert_same(&run, &straight());
}

/// However often: a stop loses nothing and repeats nothing.
#[cfg(unix)]
#[test]
fn stopped_again_and_again() {
    let run = forty_steps();
    for _ in 0..6 {
        let before = run.steps().len();
        let running = run.resume().start();
        running.wait_until(|| run.steps().len() > before || run.out("adapter").exists());
        running.signal("INT");
        // A run that was at its end anyway comes to it.
        if running.finish().code != Some(130) {
            break;
        }
    }
    run.resume().succeed();
    assert_same(&run, &straight());
}

#[test]
fn without_a_run_it_begins_at_the_first_step() {
    let run = Run::new();
    let finished = run.resume().succeed();
    assert!(finished.stderr.contains("no checkpoint yet; starting at the first step"), "{finished:#?}");
    assert_eq!(run.steps().len(), 4);
    let straight = Run::new();
    straight.train().succeed();
    assert!(run.adapter_bytes() == straight.adapter_bytes());
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let run = Run::new();
    run.train().succeed();
    let (adapter, metrics, names) = (run.adapter_bytes(), run.metrics(), run.names());
    let again = run.resume().succeed();
    assert_eq!(again.stdout, format!("{}\n", run.out("adapter").display()));
    assert!(run.adapter_bytes() == adapter);
    assert_eq!((run.metrics(), run.names()), (metrics, names));
}

#[test]
fn a_second_run_in_the_folder_is_refused() {
    let run = Run::new();
    run.train().succeed();
    let (adapter, metrics) = (run.adapter_bytes(), run.metrics());
    let out = run.file("out").display().to_string();
    run.train().refuse(&[&out, "holds a run at step 4", "--resume", "another output"]);
    assert!(run.adapter_bytes() == adapter);
    assert_eq!(run.metrics(), metrics);
}

#[test]
fn old_checkpoints_go() {
    let run =
        Run::new().set("train", "steps", 7).set("train", "checkpoint_every", 1).set("train", "keep_checkpoints", 2);
    run.train().succeed();
    assert_eq!(run.checkpoints(), [6, 7]);
    let run = Run::new().set("train", "checkpoint_every", 0);
    run.train().succeed();
    assert_eq!(run.checkpoints(), [4], "the last step has one always");
}

/// A run of two steps whose configuration asks for four.
fn changed(change: impl FnOnce(Run) -> Run) -> (Run, Program) {
    let run = Run::new().set("train", "steps", 2);
    run.train().succeed();
    let run = change(run);
    let resume = run.resume();
    (run, resume)
}

#[test]
fn a_changed_configuration_is_refused_unless_forced() {
    let (run, resume) =
        changed(|run| run.set("train", "steps", 4).set("train", "lr", 0.02).set("mole", "balance_weight", 0.02));
    let words = [
        "checkpoint-2 was made by another run",
        "mole.balance_weight: was 0.01, is 0.02",
        "train.lr: was 0.01, is 0.02",
        "train.steps: was 2, is 4",
        "name another output",
        "--force",
    ];
    let error = refused(resume, &words);
    assert!(!error.contains("seed"), "only what changed: {error}");
    assert_eq!((run.checkpoints(), run.steps().len()), (vec![2], 2));
    run.resume().arg("--force").succeed();
    assert_eq!((run.checkpoints(), run.steps().len()), (vec![2, 4], 4));
    // From now on it is this configuration's run.
    run.resume().succeed();
}

/// An adapter of another kind cannot be gone on with, whatever is forced.
#[test]
fn force_does_not_make_another_adapter() {
    for (section, field, value, words) in [
        ("mole", "gating", "'gated'", "mole.gating: was \"hard\", is \"gated\""),
        ("lora", "rank", "2", "r: was 4, is 2"),
    ] {
        let (run, resume) = changed(|run| run.set("train", "steps", 4).set(section, field, value));
        refused(resume.arg("--force"), &["checkpoint-2", "another kind of adapter", words]);
        assert_eq!((run.checkpoints(), run.steps().len()), (vec![2], 2));
    }
}

#[test]
fn changed_data_are_refused_unless_forced() {
    let (run, resume) = changed(|run| {
        run.write("general.jsonl", colours(13));
        run
    });
    refused(resume, &["data[0].content: was \"", "--force"]);
    run.resume().arg("--force").succeed();
    let (_run, resume) = changed(|run| {
        // As many samples, as many bytes.
        let text = std::fs::read_to_string(run.file("document.jsonl")).expect("written");
        run.write("document.jsonl", text.replace("across", "aslant"));
        std::fs::copy(run.file("across.png"), run.file("aslant.png")).expect("copies");
        run
    });
    refused(resume, &["data[1].content: was \""]);
}

#[test]
fn another_model_is_refused() {
    let other = Checkpoint::of("two_images");
    other.tensors(|tensors| {
        let Stored { dtype, bytes, .. } = tensors.get_mut("language_model.model.norm.weight").expect("it is there");
        // bf16 is the upper half of f32.
        let wide = bytes.chunks(2).flat_map(|half| [0, 0, half[0], half[1]]).collect();
        (*dtype, *bytes) = (Dtype::F32, wide);
    });
    let (run, resume) = changed(|run| run.set("", "model", format!("'{}'", other.path().display())));
    refused(resume, &["model: was \"", "--force"]);
    run.resume().arg("--force").succeed();
}

#[test]
fn force_means_nothing_alone() {
    let forced = Run::new().train().arg("--force").run();
    assert_eq!(forced.code, Some(2), "{forced:#?}");
    assert!(forced.stderr.contains("--resume"), "{forced:#?}");
}

/// Two runs would sweep away each other's checkpoints.
#[cfg(unix)]
#[test]
fn two_runs_do_not_share_a_folder() {
    let run = Run::new().set("train", "micro_batch", 4096).set("train", "accumulation", 1);
    let running = run.train().start();
    running.wait_for_stderr("trained parameters");
    refused(run.resume(), &["another run is writing into", "name another output"]);
    running.kill();
    // The lock went with the run.
    run.set("train", "micro_batch", 4).resume().succeed();
}
