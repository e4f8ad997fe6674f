//! The message field: Enter, Shift+Enter, input methods, pastes.

use egui::{Event, ImeEvent, Key, Modifiers};
use llava_mole::language::Language;

use super::stage::{Setting, Stage};

fn composing(text: &str) -> Event {
    Event::Ime(ImeEvent::Preedit { text: text.to_string(), active_range_chars: None })
}

fn turns(stage: &Stage) -> usize {
    stage.state().chat().map_or(0, |chat| chat.turns.len())
}

#[test]
fn enter_sends_and_shift_enter_breaks_the_line() {
    let mut stage = Setting::default().scripted();
    stage.write("One");
    stage.press(Modifiers::SHIFT, Key::Enter);
    assert_eq!((stage.state().draft.text.as_str(), turns(&stage)), ("One\n", 0));
    stage.write("two");
    stage.press(Modifiers::NONE, Key::Enter);
    let chat = stage.state().chat().expect("sent");
    assert_eq!(chat.turns[0].text, "One\ntwo");
    assert_eq!(stage.state().draft.text, "");
}

#[test]
fn the_enter_of_an_input_method_sends_nothing() {
    let mut stage = Setting::in_language(Language::Chinese).scripted();
    stage.write("图");
    // While the person chooses among candidates, Enter takes one of them.
    stage.harness.event(composing("pian"));
    stage.settle();
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(turns(&stage), 0, "Enter while composing");
    // Some systems send the key together with what it committed.
    let enter =
        Event::Key { key: Key::Enter, physical_key: None, pressed: true, repeat: false, modifiers: Modifiers::NONE };
    stage.harness.input_mut().events.extend([Event::Ime(ImeEvent::Commit("片".to_string())), enter]);
    stage.settle();
    assert_eq!(turns(&stage), 0, "Enter together with the commit");
    assert_eq!(stage.state().draft.text, "图片");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(turns(&stage), 2, "Enter by itself");
    assert_eq!(stage.state().chat().expect("sent").turns[0].text, "图片");
}

#[test]
fn nothing_is_sent_without_words_without_a_model_or_while_answering() {
    let mut stage = Setting::default().empty();
    stage.write("Hello");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(turns(&stage), 0, "no model");
    assert_eq!(stage.state().draft.text, "Hello", "what was written stays");

    let mut stage = Setting::default().scripted();
    stage.write("  ");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(turns(&stage), 0, "only spaces");
    stage.write("Hello");
    stage.press(Modifiers::NONE, Key::Enter);
    stage.write("And");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!((turns(&stage), stage.state().draft.text.as_str()), (2, "And"), "one at a time");
}

#[test]
fn a_paste_beyond_all_bounds_is_told_of_and_left_out() {
    let mut stage = Setting::default().scripted();
    stage.write("Look: ");
    stage.harness.event(Event::Paste("x".repeat(10 << 20)));
    stage.settle();
    assert!(stage.shows_text("10.5 MB"));
    assert_eq!(stage.state().draft.text, "Look: ");
    stage.harness.event(Event::Paste("fine".to_string()));
    stage.settle();
    assert_eq!(stage.state().draft.text, "Look: fine");
}
