//! Questions and answers with the real engine and the demo model.

use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use llava_mole::chat::{Ending, Speaker};
use llava_mole::state::{Action, Effect, Panel};
use mole_runtime::engine::Command;

use super::stage::{Setting, Stage, sample};

const QUESTION: &str = "What number is shown for Oil?";

/// The chart of oil, asked about.
fn asked() -> Stage {
    let mut stage = Setting::default().real();
    stage.act(Action::Attach(vec![sample("document-3.png")]));
    stage.write(QUESTION);
    stage.click("Send");
    stage.until("the answer is complete", |state| {
        state.chat().is_some_and(|chat| chat.turns.last().is_some_and(|turn| turn.outcome.is_some()))
    });
    stage
}

#[test]
fn a_question_about_a_picture_is_answered_as_the_command_line_answers_it() {
    let stage = asked();
    let chat = stage.state().chat().expect("begun");
    assert_eq!(chat.turns.len(), 2);
    let [question, answer] = &chat.turns[..] else { unreachable!() };
    assert_eq!((question.speaker, question.text.as_str(), question.pictures.len()), (Speaker::User, QUESTION, 1));
    assert_eq!((answer.speaker, answer.text.as_str()), (Speaker::Assistant, "25"));
    let outcome = answer.outcome.as_ref().expect("ended");
    assert_eq!(outcome.ending, Ending::Complete);
    // 144 patches, and the words around them.
    assert!(outcome.prompt_tokens > 144 && outcome.tokens >= 1);
    assert!(stage.shows("25") && stage.shows(QUESTION));
    assert_eq!(stage.state().draft.text, "");
    assert!(stage.state().draft.pictures.is_empty());
}

#[test]
fn words_come_one_after_the_other() {
    let mut stage = Setting::default().real();
    stage.act(Action::Attach(vec![sample("document-2.png")]));
    stage.write("Which date does the form give?");
    stage.click("Send");
    stage.until("the answer is complete", |state| !state.is_answering());

    stage.act_quietly(Action::Regenerate);
    let mut words = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while stage.state().is_answering() {
        assert!(Instant::now() < deadline, "within a minute: {words:?}");
        stage.frame();
        words.push(stage.state().chat().and_then(|chat| chat.turns.last()).expect("asked").text.clone());
    }
    words.dedup();
    assert_eq!(words, ["", "1", "14", "14 Apr"]);
}

#[test]
fn an_edited_question_takes_what_followed_it_back_and_keeps_its_picture() {
    let mut stage = asked();
    stage.effects();
    stage.click("Edit");
    assert_eq!(stage.state().draft.text, QUESTION);
    assert_eq!(stage.state().draft.pictures.len(), 1);
    stage.act(Action::Write("What kind of page is this?".to_string()));
    stage.click("Send");
    stage.until("the answer is complete", |state| !state.is_answering());
    let chat = stage.state().chat().expect("there");
    assert_eq!(chat.turns.len(), 2);
    assert_eq!(chat.turns[0].text, "What kind of page is this?");
    assert_eq!(chat.turns[0].pictures.len(), 1);
    assert_ne!(chat.turns[1].text, "25");
    assert!(
        stage.effects().iter().any(|effect| matches!(effect, Effect::Record(llava_mole::chat::Record::Cut { .. })))
    );
}

#[test]
fn an_edit_can_be_given_up() {
    let mut stage = asked();
    stage.click("Edit");
    stage.click("Cancel");
    assert_eq!(stage.state().draft.text, "");
    assert_eq!(stage.state().chat().expect("there").turns.len(), 2);
}

#[test]
fn a_stopped_answer_keeps_its_words_and_can_be_made_again() {
    let mut stage = Setting::default().scripted();
    stage.write("Go on");
    stage.press(Modifiers::NONE, Key::Enter);
    assert!(matches!(stage.commands()[..], [Command::Reply(_)]));
    stage.tell(mole_runtime::engine::Event::Token("One, two".to_string()));
    stage.click("Stop");
    assert!(matches!(stage.commands()[..], [Command::Cancel]));
    stage.tell(super::scripted::replied("One, two", mole_runtime::generate::StopReason::Cancelled));
    let answer = stage.state().chat().and_then(|chat| chat.turns.last()).expect("there").clone();
    assert_eq!(
        (answer.text.as_str(), answer.outcome.map(|outcome| outcome.ending)),
        ("One, two", Some(Ending::Stopped))
    );
    assert!(stage.shows("stopped") && stage.shows("One, two"));
    stage.click("Regenerate");
    let [Command::Reply(request)] = &stage.commands()[..] else { panic!("asked anew") };
    let mole_runtime::engine::ReplyPrompt::Chat(messages) = &request.prompt else { panic!("a chat") };
    assert_eq!(messages.len(), 1, "the stopped answer is not part of the question");
}

#[test]
fn routing_is_recorded_only_while_somebody_looks() {
    let mut stage = asked();
    assert!(stage.state().trace.is_none());
    stage.click("Routing");
    stage.until("the answer is traced", |state| state.trace.as_ref().is_some_and(|trace| trace.complete));
    let trace = stage.state().trace.as_ref().expect("traced");
    assert_eq!((trace.routing.experts, trace.routing.layers.len()), (3, 4));
    assert_eq!(trace.routing.tokens.iter().filter(|token| token.patch.is_some()).count(), 144);
    let said: String =
        trace.routing.tokens.iter().filter(|token| token.reply).map(|token| token.text.as_str()).collect();
    assert_eq!(said.trim(), "25");
    stage.write("And the stroma?");
    stage.click("Send");
    stage.until("the answer is complete", |state| !state.is_answering());
    let trace = stage.state().trace.as_ref().expect("traced live");
    assert!(trace.complete && trace.turn == 3);
    stage.click("Routing");
    assert_eq!(stage.state().preferences.panel, Panel::None);
    assert!(stage.state().trace.is_none());
}
