//! A very long conversation: a frame costs what is seen, not what was said.

use std::time::{Duration, Instant};

use egui::Role;
use egui_kittest::Harness;
use llava_mole::routing::Trace;
use mole_runtime::engine::{PatchPlace, ReplyRouting, RoutedToken};

use super::{World, demo, node, state, texts, window};

const EXPERTS: usize = 3;
const LAYERS: usize = 4;
/// At 60 frames a second.
const FRAME: Duration = Duration::from_millis(16);

/// A picture, and so many words about it.
fn trace(words: usize) -> Trace {
    let sample = demo::chart();
    let side = sample.patches.per_side;
    let token = |at: usize, text: String| RoutedToken {
        text,
        id: Some(at as i64 % 2000),
        image: None,
        patch: None,
        reply: at > 50,
        experts: (0..LAYERS).map(|layer| (at * 7 + layer * at / 3) % EXPERTS).collect(),
        probs: vec![vec![0.5, 0.3, 0.2]; LAYERS],
    };
    let patch = |index: usize| RoutedToken {
        id: None,
        image: Some(0),
        patch: Some(PatchPlace { index, row: index / side, column: index % side }),
        reply: false,
        ..token(index, String::new())
    };
    let patches = (0..side * side).map(patch);
    let words = (0..words).map(|at| token(at, format!(" {}", &"conversation"[..1 + at * 5 % 12])));
    let tokens = patches.chain(words).collect();
    let routing = ReplyRouting { experts: EXPERTS, layers: (0..LAYERS).collect(), tokens };
    Trace { chat: 9, turn: 9, title: "A long one".to_string(), routing, ..sample }
}

/// The time of a frame.
fn frame(window: &mut Harness<'_, World>) -> Duration {
    let began = Instant::now();
    window.step();
    began.elapsed()
}

/// Of some frames' times: what a quarter of them stays below, what half of them, and the longest.
fn quartiles(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort();
    [1, 2, 4].map(|part| times[(times.len() - 1) * part / 4])
}

#[test]
fn a_hundred_thousand_tokens_cost_no_more_than_a_screenful() {
    let short = window(state(Some(trace(2_000))));
    let mut long = window(state(None));
    long.state_mut().state.trace = Some(trace(100_000));
    // Until all of it was taken and placed, each frame as short as any other.
    let mut catching_up = Vec::new();
    let caught_up = |window: &Harness<'_, World>| texts(window).contains("100144 tokens");
    while !caught_up(&long) {
        catching_up.push(frame(&mut long));
        assert!(catching_up.len() < 200, "it never catches up");
    }
    long.run();
    assert!(
        long.output().shapes.len() < short.output().shapes.len() + 100,
        "{} shapes for 100,000 tokens, {} for 2,000",
        long.output().shapes.len(),
        short.output().shapes.len()
    );

    let settled = quartiles((0..50).map(|_| frame(&mut long)).collect());
    let catching_up = quartiles(catching_up);
    // A token more with every frame, as while it streams.
    let mut streaming = Vec::new();
    for _ in 0..30 {
        let tokens = &mut long.state_mut().state.trace.as_mut().expect("a trace").routing.tokens;
        let next = tokens[tokens.len() - 7].clone();
        tokens.push(next);
        streaming.push(frame(&mut long));
    }
    let streaming = quartiles(streaming);
    eprintln!(
        "a quarter, half, all frames: settled: {settled:?}\nstreaming: {streaming:?}\ncatching up: {catching_up:?}"
    );
    for (what, times) in [("settled", settled), ("streaming", streaming), ("catching up", catching_up)] {
        // The other tests take their turns on the same cores: a frame in four comes through undisturbed.
        assert!(times[0] < FRAME, "{what}: {times:?}");
    }
    node(&long, Role::Document, "Prompt and answer, 100174 tokens");
}
