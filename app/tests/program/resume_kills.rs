//! `kill -9` at any moment, most of all while a checkpoint is written: what is there is whole, and nothing is lost.

use std::time::Duration;

use serde_json::Value;

use crate::fixture::{Tensors, model};
use crate::program::program;
use crate::runs::{Run, finite_adapter};

const KILLS: usize = 30;

/// Steps of one sample each, and a checkpoint after every one. More than so many kills can let through.
fn run(checkpoint_every: usize) -> Run {
    let run = Run::new().set("train", "steps", 300).set("train", "checkpoint_every", checkpoint_every);
    run.set("train", "micro_batch", 1).set("train", "accumulation", 1).set("lora", "dropout", 0.1)
}

/// The folder's newest checkpoint is whole; its step.
fn newest(run: &Run) -> u64 {
    let Some(step) = run.checkpoints().pop() else { return 0 };
    let folder = run.out(&format!("checkpoint-{step}"));
    let state: Value =
        serde_json::from_slice(&std::fs::read(folder.join("state.json")).expect("written")).expect("JSON");
    assert_eq!(state["step"], step);
    let adapter = finite_adapter(&folder);
    let moments = Tensors::read(&folder.join("optimizer.safetensors"));
    assert!(adapter.0.len() == 60 && moments.0.len() == 2 * 36, "{} and {} tensors", adapter.0.len(), moments.0.len());
    step
}

/// A half-written folder was left behind.
fn left_aside(run: &Run) -> bool {
    run.names().iter().any(|name| name.starts_with(".writing-"))
}

#[test]
fn killed_thirty_times() {
    let run = run(1);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut kills, mut in_a_write) = (0, 0);
    while kills < KILLS {
        let before = newest(&run);
        let running = run.resume().start();
        // A few steps further, then at any moment, or as soon as something is being written.
        let target = before + 1 + next(3);
        running.wait_until(|| run.checkpoints().last().is_some_and(|step| *step >= target));
        if kills % 2 == 0 {
            std::thread::sleep(Duration::from_micros(next(8000)));
        } else {
            let mut tries = 0;
            while !left_aside(&run) && tries < 2000 {
                tries += 1;
            }
        }
        let finished = running.kill();
        assert_ne!(finished.code, Some(0), "it ended before it could be killed: {finished:#?}");
        kills += 1;
        in_a_write += usize::from(left_aside(&run));
        let step = newest(&run);
        assert!(step >= target);
        if kills % 10 == 0 {
            let folder = run.out(&format!("checkpoint-{step}"));
            program(["inspect"]).arg(model("two_images")).arg("--adapter").arg(folder).succeed();
        }
    }
    // How many depends on the disk; `leftovers_do_not_count` makes one on purpose.
    eprintln!("{in_a_write} of {KILLS} kills fell into the writing of a checkpoint");
    run.resume().succeed();
    assert!(!left_aside(&run), "leftovers are swept away: {:?}", run.names());
    assert_eq!(run.checkpoints(), [298, 299, 300]);

    let straight = self::run(100);
    straight.train().succeed();
    assert!(run.adapter_bytes() == straight.adapter_bytes(), "the weights differ from the uninterrupted run's");
    assert_eq!(run.timeless_metrics(), straight.timeless_metrics());
}

/// A half-written folder counts for nothing, whatever its name promises; nor does one that another was to replace.
#[test]
fn leftovers_do_not_count() {
    let run = Run::new().set("train", "checkpoint_every", 2);
    run.train().succeed();
    let adapter = run.adapter_bytes();
    std::fs::create_dir(run.out(".writing-checkpoint-9")).expect("makes");
    std::fs::write(run.out(".writing-checkpoint-9/adapter_model.safetensors"), "half").expect("writes");
    // Between the two renames of a result that replaces another.
    std::fs::rename(run.out("adapter"), run.out(".replaced-adapter")).expect("renames");
    std::fs::remove_dir_all(run.out("checkpoint-4")).expect("removes");
    run.resume().succeed();
    assert_eq!(run.checkpoints(), [2, 4]);
    assert!(run.names().iter().all(|name| !name.starts_with('.')), "{:?}", run.names());
    assert!(run.adapter_bytes() == adapter);
}

/// A folder that carries a checkpoint's name and is none: said, and the way out works.
#[test]
fn a_damaged_checkpoint_is_named() {
    let run = Run::new().set("train", "checkpoint_every", 2);
    run.train().succeed();
    let adapter = run.adapter_bytes();
    let words = ["checkpoint-4", "is damaged", "state.json", "remove that folder"];
    std::fs::write(run.out("checkpoint-4/state.json"), "{}").expect("writes");
    run.resume().refuse(&words);
    std::fs::remove_file(run.out("checkpoint-4/state.json")).expect("removes");
    run.resume().refuse(&words);
    std::fs::remove_dir_all(run.out("checkpoint-4")).expect("removes");
    run.resume().succeed();
    assert!(run.adapter_bytes() == adapter);
}
