//! Ctrl-C: stops a reply and keeps its text; where there is none, it ends the program.
#![cfg(unix)]

use std::time::Duration;

use serde_json::json;

use crate::fixture::Checkpoint;
use crate::program::{ask, on_cpu};

/// A checkpoint with room for a reply that takes minutes.
fn talkative() -> Checkpoint {
    let copy = Checkpoint::of("no_image");
    copy.json("config.json", |config| {
        config["text_config"]["max_position_embeddings"] = json!(60_000);
        config["text_config"]["eos_token_id"] = json!(null);
    });
    copy.json("generation_config.json", |config| config["eos_token_id"] = json!([]));
    copy.json("tokenizer_config.json", |config| config["eos_token"] = json!(null));
    copy
}

#[test]
fn first_ctrl_c_stops_the_reply_and_keeps_its_text() {
    let copy = talkative();
    let running = ask(&copy, "hi").tokens(50_000).start();
    running.wait_for(|text| text.len() > 100);
    running.interrupt();
    let finished = running.finish();
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    assert!(finished.stdout.len() > 100 && finished.stdout.ends_with('\n'), "{finished:#?}");
}

/// The bytes of a JSON answer come at the end; the words that were made are in it.
#[test]
fn a_stopped_reply_is_still_whole_json() {
    let copy = talkative();
    let running = ask(&copy, "hi").tokens(50_000).arg("--json").start();
    running.wait_for_stderr("on CPU");
    std::thread::sleep(std::time::Duration::from_millis(500));
    running.interrupt();
    let finished = running.finish();
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    let reply = finished.json();
    // This model soon repeats bytes that wait for the rest of a character: no text comes, and it must stop still.
    assert_eq!(reply["stop_reason"], "cancelled");
    let tokens = reply["token_ids"].as_array().expect("a list").len();
    assert!((1..50_000).contains(&tokens), "{tokens}");
}

#[test]
fn chat_goes_on_after_a_stopped_reply() {
    let copy = talkative();
    let mut running = on_cpu("chat", &copy).tokens(50_000).start();
    running.say("Tell me a long story.");
    running.wait_for(|text| text.len() > 100);
    running.interrupt();
    running.wait_for_stderr("(stopped)");
    running.say("/nonsense");
    running.wait_for_stderr("/nonsense is not a command");
    let before = running.stdout_so_far().len();
    running.say("Another one.");
    running.wait_for(|text| text.len() > before + 100);
    // Signals that come closer together than this are one, and a reply as short as that is there sooner.
    std::thread::sleep(Duration::from_millis(250));
    running.interrupt();
    let finished = running.finish();
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert_eq!(finished.stderr.matches("(stopped)").count(), 2, "{finished:#?}");
}

#[test]
fn ctrl_c_between_replies_leaves() {
    let copy = talkative();
    let mut running = on_cpu("chat", &copy).tokens(2).start();
    running.say("/nonsense");
    running.wait_for_stderr("/nonsense is not a command");
    running.interrupt();
    // 128 + SIGINT, as a shell says.
    assert_eq!(running.end().code, Some(130));
}
