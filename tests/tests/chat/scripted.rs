//! What the engine may tell at the wrong time.

use llava_mole::chat::{Ending, Record};
use llava_mole::state::{Action, Arrival, Effect, Guest, GuestEvent, Panel};
use mole_runtime::Error;
use mole_runtime::engine::{Command, Event, Reply, ReplyPrompt, ReplyRequest};
use mole_runtime::generate::{StopReason, Timings};

use super::stage::{Setting, Stage, info};

/// An answer that ended so.
pub fn replied(text: &str, stop_reason: StopReason) -> Event {
    Event::Replied(Reply {
        text: text.to_string(),
        token_ids: vec![7; 3],
        prompt_tokens: 20,
        image_tokens: 0,
        stop_reason,
        timings: Timings { prefill_seconds: 0.5, decode_seconds: 1.0, tokens_per_second: 2.0 },
        routing: None,
    })
}

/// A question that waits for its answer.
fn asking() -> Stage {
    let mut stage = Setting::default().scripted();
    stage.write("Go on");
    stage.click("Send");
    assert!(matches!(stage.commands()[..], [Command::Reply(_)]));
    stage
}

fn lost() -> Event {
    Event::Failed(Error::Device("the device stopped working (lost); start again, or use --device cpu".to_string()))
}

#[test]
fn a_lost_device_is_told_of_the_words_stay_and_the_model_is_loaded_again_once() {
    let mut stage = asking();
    stage.tell(Event::Token("Half an".to_string()));
    stage.tell(lost());
    let answer = stage.state().chat().and_then(|chat| chat.turns.last()).expect("there").clone();
    assert_eq!(answer.text, "Half an");
    assert!(
        matches!(answer.outcome.map(|outcome| outcome.ending), Some(Ending::Failed(reason)) if reason.contains("lost"))
    );
    assert!(stage.shows_text("the conversation is kept"));
    assert!(matches!(stage.commands()[..], [Command::Load(_)]));
    stage.tell(Event::Loaded(Box::new(info().clone())));
    stage.click("Regenerate");
    assert!(matches!(stage.commands()[..], [Command::Reply(_)]));
    // Lost again with nothing answered in between: loading for ever would help nobody.
    stage.tell(lost());
    assert!(stage.commands().is_empty());
    assert!(stage.shows_text("choose another one under Models"));
}

#[test]
fn a_device_that_answered_in_between_is_opened_again() {
    let mut stage = asking();
    for _ in 0..3 {
        stage.tell(lost());
        assert!(matches!(stage.commands()[..], [Command::Load(_)]));
        stage.tell(Event::Loaded(Box::new(info().clone())));
        stage.click("Regenerate");
        assert!(matches!(stage.commands()[..], [Command::Reply(_)]));
        stage.tell(replied("Yes.", StopReason::Eos));
        stage.click("Regenerate");
        stage.commands();
    }
}

#[test]
fn an_error_in_an_answer_stands_where_the_answer_would() {
    let mut stage = asking();
    stage.tell(Event::Failed(Error::Prompt("takes 9000 tokens; the model's context is 1024: shorten it".to_string())));
    assert!(stage.shows_text("shorten it"));
    assert!(!stage.state().is_answering() && stage.state().models.loaded.is_some());
    stage.click("Regenerate");
    assert!(matches!(stage.commands()[..], [Command::Reply(_)]));
}

#[test]
fn a_growing_answer_is_kept_from_time_to_time_and_at_its_end() {
    let mut stage = asking();
    let kept = |stage: &mut Stage| {
        let text = |effect| match effect {
            Effect::Record(Record::Say { turn, .. }) => Some(turn.text),
            _ => None,
        };
        stage.effects().into_iter().filter_map(text).collect::<Vec<_>>()
    };
    stage.tell(Event::Token("One".to_string()));
    assert_eq!(kept(&mut stage), [""; 0], "just begun");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    stage.tell(Event::Token(" two".to_string()));
    assert_eq!(kept(&mut stage), ["One two"]);
    stage.tell(replied("One two three", StopReason::Eos));
    assert_eq!(kept(&mut stage), ["One two three"]);
}

#[test]
fn deleting_the_chat_that_is_answered_stops_the_answer() {
    let mut stage = asking();
    let chat = stage.state().current.expect("begun");
    stage.act(Action::Delete(chat));
    assert!(matches!(stage.commands()[..], [Command::Cancel]));
    stage.tell(Event::Token("late".to_string()));
    stage.tell(replied("late", StopReason::Cancelled));
    assert!(stage.state().chats.is_empty() && stage.state().work.is_idle());
}

#[test]
fn another_model_waits_for_the_stopped_answer() {
    let mut stage = asking();
    stage.act(Action::Load);
    assert!(matches!(stage.commands()[..], [Command::Cancel]), "nothing is loaded over a running answer");
    stage.tell(replied("", StopReason::Cancelled));
    assert!(matches!(stage.commands()[..], [Command::Load(_)]));
}

#[test]
fn a_script_of_the_page_asks_behind_the_person() {
    let mut stage = asking();
    let (events, heard) = async_channel::unbounded();
    let request = ReplyRequest {
        prompt: ReplyPrompt::Raw("Hello".to_string(), Vec::new()),
        max_new_tokens: 5,
        sample: Default::default(),
        seed: 0,
        routing: false,
    };
    stage.arrive(Arrival::Guest(Guest { request, events }));
    assert!(stage.commands().is_empty(), "one at a time");
    stage.tell(replied("Done.", StopReason::Eos));
    assert!(matches!(stage.commands()[..], [Command::Reply(_)]));
    stage.tell(Event::Token("Hi".to_string()));
    stage.tell(replied("Hi", StopReason::Eos));
    assert!(matches!(heard.try_recv(), Ok(GuestEvent::Token(text)) if text == "Hi"));
    assert!(matches!(heard.try_recv(), Ok(GuestEvent::Replied(reply)) if reply.text == "Hi"));
    let chat = stage.state().chat().expect("the person's");
    assert_eq!(chat.turns.last().expect("answered").text, "Done.", "the page's answer is not the person's");
}

#[test]
fn nothing_is_traced_for_a_model_without_experts_or_a_closed_panel() {
    let mut plain = info().clone();
    plain.adapter = None;
    let mut stage = asking();
    stage.tell(replied("Yes.", StopReason::Eos));
    stage.act(Action::Load);
    stage.tell(Event::Loaded(Box::new(plain)));
    stage.commands();
    stage.act(Action::Show(Panel::Routing));
    assert!(stage.commands().is_empty());
    stage.click("Regenerate");
    let commands = stage.commands();
    let [Command::Reply(request)] = &commands[..] else { panic!("{commands:?}") };
    assert!(!request.routing);
}

#[test]
fn an_answer_made_anew_before_a_frame_is_cut_by_itself() {
    let mut stage = asking();
    let (first, second) =
        ("One.\n\ntwo.\n\nthree.\n\nfour.", "图片里有三个图形。\n\n其中一个是星形，还有一个方形。\n\n好。");
    stage.tell(Event::Token(first.to_string()));
    stage.tell(replied(first, StopReason::Eos));
    assert!(stage.shows("three."));
    // Everything arrives between two frames, as it does from a fast model.
    stage.act_quietly(Action::Regenerate);
    stage.arrive_quietly(Event::Token(second.to_string()));
    stage.arrive_quietly(replied(second, StopReason::Eos));
    stage.settle();
    assert!(stage.shows("其中一个是星形，还有一个方形。") && !stage.shows("three."));
}

#[test]
fn a_question_that_waits_for_a_model_can_be_stopped() {
    let mut stage = Setting::default().scripted();
    stage.act(Action::Load);
    stage.commands();
    stage.write("Go on");
    stage.click("Send");
    assert!(stage.commands().is_empty() && stage.state().is_answering(), "behind the load");
    stage.click("Stop");
    assert!(!stage.state().is_answering());
    assert!(stage.shows("stopped"));
    stage.tell(Event::Loaded(Box::new(info().clone())));
    assert!(stage.commands().is_empty(), "it is not asked after all");
}
