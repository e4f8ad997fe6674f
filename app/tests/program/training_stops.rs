//! Ctrl-C and SIGTERM in every phase of a run: what was learnt is saved, the exit code is 130, a second one leaves at once.
#![cfg(unix)]

use std::time::{Duration, Instant};

use crate::runs::{Run, colours, sample};

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn while_the_data_are_checked() {
    for signal in ["TERM", "INT"] {
        let run = Run::new().only(colours(100_000));
        let running = run.train().start();
        running.wait_until(|| run.file("out").exists());
        pause(150);
        running.signal(signal);
        let stopped = running.finish();
        assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(130), ""), "{stopped:#?}");
        assert!(stopped.stderr.contains("stopped while the data were checked"), "{stopped:#?}");
        assert!(run.names().is_empty(), "{:?}", run.names());
    }
}

#[test]
fn during_steps() {
    for signal in ["TERM", "INT"] {
        let run = Run::new().set("train", "steps", 100_000);
        let running = run.train().start();
        running.wait_until(|| run.steps().len() >= 3);
        running.signal(signal);
        let stopped = running.finish();
        assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(130), ""), "{stopped:#?}");
        let steps = run.steps().len();
        assert_eq!(run.checkpoints(), [steps as u64]);
        for words in
            [format!("stopped after step {steps}"), format!("train {} --resume", run.file("run.toml").display())]
        {
            assert!(stopped.stderr.contains(&words), "{words:?} is not in {stopped:#?}");
        }
        assert!(run.names().contains(&"loss.svg".to_owned()));

        let again = run.resume().start();
        again.wait_for_stderr(&format!("going on after step {steps}"));
        again.wait_until(|| run.steps().len() > steps + 3);
        again.signal_twice(signal);
        assert_eq!(again.finish().code, Some(130));
        assert_eq!(run.checkpoints().last(), Some(&(run.steps().len() as u64)), "one signal, sent twice, saves");
        let numbers: Vec<u64> = run.steps().iter().map(|line| line["step"].as_u64().expect("a step")).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    }
}

/// The evaluation is not lost: it comes when the run goes on, and the run is then as one that was never stopped.
#[test]
fn during_held_out_evaluation() {
    let run = || {
        let run = Run::new().set("train", "steps", 3).set("train", "micro_batch", 1);
        run.write("held_out.jsonl", colours(1500));
        run.eval("held_out", "held_out.jsonl", 2).set("train", "early_stopping", 5)
    };
    let (straight, stopped) = (run(), run());
    straight.train().succeed();
    for signal in ["TERM", "INT"] {
        let running = match stopped.checkpoints().is_empty() {
            true => stopped.train().start(),
            false => stopped.resume().start(),
        };
        running.wait_for_stderr("trained parameters");
        running.wait_until(|| stopped.steps().len() == 2);
        pause(50);
        running.signal(signal);
        let finished = running.finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(130), ""), "{finished:#?}");
        assert_eq!((stopped.steps().len(), stopped.evaluations().len()), (2, 0), "{finished:#?}");
        assert_eq!(stopped.checkpoints(), [2]);
    }
    stopped.resume().succeed();
    assert_eq!(stopped.timeless_metrics(), straight.timeless_metrics());
    assert!(stopped.adapter_bytes() == straight.adapter_bytes());
    assert!(stopped.names().contains(&"best".to_owned()));
}

/// One step that takes many seconds: the first signal waits for its end, the second does not.
#[test]
fn a_second_signal_leaves_at_once() {
    let run = Run::new().set("train", "micro_batch", 4096).set("train", "accumulation", 1);
    let running = run.train().start();
    running.wait_for_stderr("trained parameters");
    pause(100);
    running.signal("INT");
    running.wait_for_stderr("Ctrl-C again leaves the program");
    pause(300);
    let start = Instant::now();
    running.signal("INT");
    let left = running.finish();
    assert_eq!(left.code, Some(130), "{left:#?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(run.names(), ["metrics.jsonl"], "nothing was learnt yet");
    // And the folder can be used.
    run.set("train", "micro_batch", 4).resume().succeed();
}

#[test]
fn before_the_first_step_there_is_nothing_to_save() {
    let long = "a".repeat(40);
    let run = Run::new().only(sample("a", &[], &["Say a.", &long])).set("train", "micro_batch", 2000);
    let running = run.train().start();
    running.wait_for_stderr("trained parameters");
    running.signal("TERM");
    let stopped = running.finish();
    assert_eq!(stopped.code, Some(130), "{stopped:#?}");
    assert!(run.steps().len() <= 1 && run.checkpoints().len() == run.steps().len(), "{:?}", run.names());
}
