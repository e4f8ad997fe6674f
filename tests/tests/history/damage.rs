//! Journals that something else has been at: torn, damaged, of a later version; and journals that are put in order.

use std::fs;
use std::io::Write;
use std::path::Path;

use llava_mole::chat::Record;
use llava_mole::language::Language;
use llava_mole::state::{Preferences, Severity};

use crate::{Window, names, outline, temporary};

/// Three turns in conversation 5.
fn sample(folder: &Path) {
    let window = Window::open(folder);
    window.store.record(Record::Begin { chat: 5, created_ms: 1000 });
    (0..3).for_each(|id| window.say(5, id));
    window.close_quietly();
}

fn append(folder: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).open(folder.join("history.jsonl")).expect("is there");
    file.write_all(bytes).expect("writes");
}

fn history(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("history.jsonl")).expect("is there")
}

#[test]
fn a_torn_line_is_cut_off() {
    let (_guard, folder) = temporary();
    sample(&folder);
    let whole = history(&folder);
    append(&folder, br#"{"v":1,"by":7,"record":{"say":{"chat":5,"tu"#);
    assert_eq!(outline(&folder), ["5 : window0 window1 window2"]);
    assert!(history(&folder) == whole);
    // Only its end is missing: it counts, and what comes next is a line of its own.
    fs::write(folder.join("history.jsonl"), &whole[..whole.len() - 1]).expect("writes");
    let window = Window::open(&folder);
    window.say(5, 3);
    window.close_quietly();
    assert_eq!(outline(&folder), ["5 : window0 window1 window2 window3"]);
}

#[test]
fn a_torn_line_stays_while_another_window_may_be_writing_it() {
    let (_guard, folder) = temporary();
    sample(&folder);
    let first = Window::open(&folder);
    append(&folder, br#"{"v":1,"by":7,"record":{"say"#);
    let torn = history(&folder);
    let second = Window::open(&folder);
    assert!(history(&folder) == torn);
    second.say(5, 3);
    second.close_quietly();
    first.close_quietly();
    let window = Window::open(&folder);
    let turns = window.chats[0].turns.len();
    let (_, notices) = window.close();
    assert_eq!(turns, 4);
    // By now it is sure that nobody finishes the line.
    assert_eq!(notices.len(), 1, "{notices:?}");
}

#[test]
fn a_damaged_line_is_told_once_and_kept_aside() {
    let (_guard, folder) = temporary();
    sample(&folder);
    let text = String::from_utf8(history(&folder)).expect("UTF-8");
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let damaged = lines[2][..lines[2].len() / 4].to_string();
    lines[2].clone_from(&damaged);
    fs::write(folder.join("history.jsonl"), lines.join("\n") + "\n").expect("writes");

    let window = Window::open(&folder);
    let ids: Vec<u64> = window.chats[0].turns.iter().map(|turn| turn.id).collect();
    assert_eq!(ids, [0, 2]);
    let (_, notices) = window.close();
    let aside = folder.join("damaged.jsonl");
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].severity, Severity::Error);
    for words in ["could not be read: 1", aside.to_str().expect("UTF-8"), "backup"] {
        assert!(notices[0].text.contains(words), "{}", notices[0].text);
    }
    assert_eq!(fs::read_to_string(&aside).expect("is there"), damaged + "\n");
    assert_eq!(outline(&folder), ["5 : window0 window2"]);
}

#[test]
fn a_later_versions_history_is_not_touched() {
    let (_guard, folder) = temporary();
    sample(&folder);
    append(&folder, b"{\"v\":2,\"record\":{\"pin\":{\"chat\":5}}}\nnoise\n");
    let window = Window::open(&folder);
    window.store.record(Record::Delete { chat: 5 });
    let (kept, notices) = window.close();
    assert!(kept);
    let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
    assert!(texts.len() == 2 && texts[0].contains("history.jsonl") && texts[1].contains("later version"), "{texts:?}");
    let before = history(&folder);
    drop(Window::open(&folder));
    assert!(history(&folder) == before);
    assert!(!folder.join("damaged.jsonl").exists());
}

#[test]
fn a_picture_that_is_gone_leaves_its_turn() {
    let (_guard, folder) = temporary();
    sample(&folder);
    let pictures = folder.join("pictures");
    let [picture] = names(&pictures).try_into().expect("one picture");
    let bytes = fs::read(pictures.join(&picture)).expect("is there");
    for damage in [None, Some(&b"other bytes"[..])] {
        match damage {
            None => fs::remove_file(pictures.join(&picture)).expect("removes"),
            Some(bytes) => fs::write(pictures.join(&picture), bytes).expect("writes"),
        }
        let window = Window::open(&folder);
        let turn = &window.chats[0].turns[0];
        assert!(turn.text.starts_with("window") && turn.pictures[0].bytes.is_empty(), "{turn:?}");
        let (_, notices) = window.close();
        assert!(notices.len() == 1 && notices[0].text.contains("gone: 1"), "{notices:?}");
        assert!(notices[0].text.contains(pictures.to_str().expect("UTF-8")), "{notices:?}");
    }
    // Put back, as the notice says.
    fs::write(pictures.join(&picture), bytes).expect("writes");
    assert_eq!(outline(&folder), ["5 : window0 window1 window2"]);
}

#[test]
fn what_was_deleted_leaves_the_disk() {
    let (_guard, folder) = temporary();
    sample(&folder);
    let window = Window::open(&folder);
    window.store.record(Record::Begin { chat: 6, created_ms: 2000 });
    window.say(6, 0);
    window.say(6, 3);
    window.store.record(Record::Delete { chat: 5 });
    window.close_quietly();
    assert_eq!(names(&folder.join("pictures")).len(), 2);
    fs::write(folder.join("pictures/.writing-x"), "left over").expect("writes");
    assert_eq!(outline(&folder), ["6 : window0 window3"]);
    assert!(!String::from_utf8(history(&folder)).expect("UTF-8").contains("\"chat\":5"));
    // The picture of turn 0 is in both conversations.
    assert_eq!(names(&folder.join("pictures")).len(), 2);

    let window = Window::open(&folder);
    window.store.record(Record::Delete { chat: 6 });
    window.close_quietly();
    assert_eq!(outline(&folder), [""; 0]);
    assert!(history(&folder).is_empty() && names(&folder.join("pictures")).is_empty());
}

#[test]
fn a_history_that_grew_too_long_is_shortened() {
    let (_guard, folder) = temporary();
    sample(&folder);
    let window = Window::open(&folder);
    // An answer that is said again and again.
    (0..300).for_each(|_| window.say(5, 3));
    window.close_quietly();
    let long = history(&folder).len();
    let shown = outline(&folder);
    assert_eq!(shown, ["5 : window0 window1 window2 window3"]);
    let short = history(&folder);
    assert!(short.len() * 20 < long, "{} of {long} bytes", short.len());
    assert_eq!(outline(&folder), shown);
    assert!(history(&folder) == short, "a short one is left alone");
}

#[test]
fn damaged_preferences_are_kept_aside() {
    let (_guard, folder) = temporary();
    sample(&folder);
    fs::write(folder.join("preferences.json"), "{\"theme\":").expect("writes");
    let window = Window::open_in(Some(&folder), Language::Chinese);
    assert_eq!(window.preferences, Preferences::default());
    assert_eq!(window.chats.len(), 1);
    let (_, notices) = window.close();
    assert!(notices.len() == 1 && notices[0].text.contains("设置文件已损坏"), "{notices:?}");
    assert!(notices[0].text.contains("preferences.damaged.json"), "{notices:?}");
    assert_eq!(fs::read_to_string(folder.join("preferences.damaged.json")).expect("is there"), "{\"theme\":");
    outline(&folder);
    // Fields of a later version are no damage, nor are missing ones.
    fs::write(folder.join("preferences.json"), r#"{"theme":"dark","shape":"round"}"#).expect("writes");
    let window = Window::open(&folder);
    assert_eq!(serde_json::to_value(window.preferences.theme).expect("JSON"), "dark");
    window.close_quietly();
}
