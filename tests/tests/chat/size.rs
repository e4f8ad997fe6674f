//! What a frame costs where there is a lot to show.

use std::time::Instant;

use llava_mole::chat::{Conversation, Speaker, Turn};
use llava_mole::state::{Action, Arrival};
use mole_runtime::engine::Event;

use super::stage::{Setting, Stage};

/// About four characters a token.
const TOKENS: usize = 100_000;

/// A paragraph of words, a list, some code; `seed` makes it its own.
fn passage(seed: usize) -> String {
    let words: String = (0..90).map(|word| format!("word{} ", (seed * 31 + word * 7) % 1000)).collect();
    format!("## Part {seed}\n\n{words}\n\n- one of *{seed}*\n- two `code`\n\n```\nlet x = {seed};\n```\n\n")
}

fn text(tokens: usize) -> String {
    (0..)
        .map(passage)
        .scan(0, |length, passage| {
            *length += passage.len();
            (*length < 4 * tokens).then_some(passage)
        })
        .collect()
}

fn turn(id: u64, speaker: Speaker, text: String) -> Turn {
    Turn { id, speaker, text, pictures: Vec::new(), outcome: None }
}

/// The median frame, in milliseconds, of frames in which something happens.
fn frame_ms(stage: &mut Stage, mut happen: impl FnMut(&mut Stage)) -> f64 {
    let mut times: Vec<f64> = (0..31)
        .map(|_| {
            happen(stage);
            let start = Instant::now();
            stage.harness.step();
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How much more the whole of it may cost than little of it does: a frame that laid everything out would take hundreds
/// of times as long.
const BOUND: f64 = 4.0;

fn measure(turns: Vec<Turn>) -> f64 {
    let mut chat = Conversation::new(1, 1);
    chat.turns = turns;
    let mut stage = Setting::default().scripted();
    stage.arrive(Arrival::History(vec![chat]));
    stage.act(Action::Open(1));
    stage.settle();
    frame_ms(&mut stage, |stage| {
        stage.harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Line,
            delta: egui::vec2(0.0, 3.0),
            modifiers: egui::Modifiers::NONE,
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
        });
    })
}

fn many_turns(tokens: usize) -> Vec<Turn> {
    let speaker = |id| if id % 2 == 0 { Speaker::User } else { Speaker::Assistant };
    (0..50).map(|id| turn(id, speaker(id), text(tokens / 50))).collect()
}

#[test]
fn a_frame_does_not_grow_with_the_conversation() {
    let few = measure(many_turns(TOKENS / 50));
    let many = measure(many_turns(TOKENS));
    let one = measure(vec![turn(0, Speaker::User, "Go on".to_string()), turn(1, Speaker::Assistant, text(TOKENS))]);
    println!(
        "median frame: {few:.1} ms at 2,000 tokens, {many:.1} ms at 100,000 in 50 turns, {one:.1} ms in one answer"
    );
    assert!(many < BOUND * few && one < BOUND * few, "{few} ms, {many} ms, {one} ms");
    assert!(many < 16.0 && one < 16.0, "{many} ms, {one} ms");
}

#[test]
fn a_long_answer_streams_as_cheaply_as_a_short_one() {
    let mut stage = Setting::default().scripted();
    stage.write("Go on");
    stage.click("Send");
    stage.tell(Event::Token(text(TOKENS)));
    stage.settle();
    let long = frame_ms(&mut stage, |stage| stage.arrive_quietly(Event::Token("and ".to_string())));
    let mut stage = Setting::default().scripted();
    stage.write("Go on");
    stage.click("Send");
    stage.tell(Event::Token(text(2000)));
    stage.settle();
    let short = frame_ms(&mut stage, |stage| stage.arrive_quietly(Event::Token("and ".to_string())));
    println!("median frame while streaming: {short:.1} ms behind 2,000 tokens, {long:.1} ms behind 100,000");
    assert!(long < BOUND * short && long < 16.0, "{short} ms, {long} ms");
}
