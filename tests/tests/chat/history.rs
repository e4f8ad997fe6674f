//! The list of conversations, and what is handed out to be kept.

use llava_mole::chat::{Conversation, Record, Speaker, Turn};
use llava_mole::state::{Action, Arrival, Effect};
use mole_runtime::engine::Event;
use mole_runtime::generate::StopReason;

use super::scripted::replied;
use egui_kittest::kittest::Queryable;

use super::stage::{Setting, Stage};

fn records(stage: &mut Stage) -> Vec<Record> {
    let record = |effect| match effect {
        Effect::Record(record) => Some(record),
        _ => None,
    };
    stage.effects().into_iter().filter_map(record).collect()
}

fn old(id: u64, question: &str) -> Conversation {
    let mut chat = Conversation::new(id, 1000 + id);
    let turn =
        |id, speaker, text: &str| Turn { id, speaker, text: text.to_string(), pictures: Vec::new(), outcome: None };
    chat.turns = vec![turn(0, Speaker::User, question), turn(1, Speaker::Assistant, "Yes.")];
    chat
}

#[test]
fn what_is_said_is_kept_in_order() {
    let mut stage = Setting::default().scripted();
    stage.write("Hello");
    stage.click("Send");
    stage.tell(Event::Token("Hi".to_string()));
    stage.tell(replied("Hi.", StopReason::Eos));
    let id = stage.state().current.expect("begun");
    let records = records(&mut stage);
    let [
        Record::Begin { chat: begun, created_ms },
        Record::Say { turn: question, .. },
        Record::Say { turn: answer, .. },
    ] = &records[..]
    else {
        panic!("{records:?}")
    };
    assert_eq!(*begun, id);
    assert!(*created_ms > 1_600_000_000_000);
    assert_eq!((question.speaker, question.text.as_str()), (Speaker::User, "Hello"));
    assert_eq!((answer.speaker, answer.text.as_str()), (Speaker::Assistant, "Hi."));
    assert!(answer.outcome.is_some() && answer.id > question.id);
}

#[test]
fn old_conversations_come_before_what_was_said_meanwhile() {
    let mut stage = Setting::default().scripted();
    stage.write("New");
    stage.click("Send");
    stage.arrive(Arrival::History(vec![old(1, "Is it old?"), old(2, "Is it older?")]));
    let ids: Vec<_> = stage.state().chats.iter().map(|chat| chat.id).collect();
    assert_eq!(ids[..2], [1, 2]);
    assert_eq!(ids.len(), 3);
    stage.click("Is it old?");
    assert_eq!(stage.state().current, Some(1));
    assert!(stage.shows("Yes."));
}

#[test]
fn a_chat_is_renamed_exported_and_deleted() {
    let mut stage = Setting::default().scripted();
    stage.arrive(Arrival::History(vec![old(1, "Is it old?")]));
    stage.click("Is it old?");
    stage.effects();

    stage.click("This chat");
    stage.click("Rename…");
    stage.harness.get_by_role(egui::accesskit::Role::TextInput);
    stage.act(Action::Rename(1, " My chat ".to_string()));
    assert!(matches!(&records(&mut stage)[..], [Record::Rename { chat: 1, title }] if title == "My chat"));
    stage.click("Cancel");
    assert!(stage.shows("My chat"));

    for (format, ending) in [("Export as Markdown…", ".md"), ("Export as JSON…", ".json")] {
        stage.click("This chat");
        stage.click(format);
        let effects = stage.effects();
        let saved = effects.iter().find_map(|effect| match effect {
            Effect::Save { name, bytes } => Some((name.clone(), String::from_utf8(bytes.clone()).expect("text"))),
            _ => None,
        });
        let (name, text) = saved.expect("handed out");
        assert_eq!(name, format!("My chat{ending}"));
        assert!(text.contains("Is it old?") && text.contains("Yes."), "{text}");
    }

    stage.click("This chat");
    stage.click("Delete…");
    assert!(stage.shows_text("cannot be brought back") && !stage.state().chats.is_empty(), "asked first");
    stage.click("Delete");
    assert!(matches!(&records(&mut stage)[..], [Record::Delete { chat: 1 }]));
    assert!(stage.state().chats.is_empty() && stage.state().current.is_none());
}

#[test]
fn a_new_chat_is_not_in_the_list_before_something_was_said() {
    let mut stage = Setting::default().scripted();
    stage.arrive(Arrival::History(vec![old(1, "Is it old?")]));
    stage.click("Is it old?");
    stage.click("New chat");
    assert!(stage.state().current.is_none());
    assert_eq!(stage.state().chats.len(), 1);
    assert!(records(&mut stage).is_empty());
}
