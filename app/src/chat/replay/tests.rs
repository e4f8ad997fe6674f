//! Journals, sound and damaged.

use std::sync::Arc;

use mole_runtime::engine::Picture;

use super::super::conversation::{Conversation, Ending, Outcome, Speaker, Turn, TurnId};
use super::super::history::Record;
use super::super::journal::{PictureHash, WriterId, keep};
use super::{End, Replay};

const A: WriterId = 11;
const B: WriterId = 12;

fn begin(chat: u64) -> Record {
    Record::Begin { chat, created_ms: chat * 1000 }
}

fn say(chat: u64, id: TurnId, text: &str) -> Record {
    let speaker = if id.is_multiple_of(2) { Speaker::User } else { Speaker::Assistant };
    Record::Say { chat, turn: Turn { id, speaker, text: text.into(), pictures: Vec::new(), outcome: None } }
}

fn line(record: Record, by: WriterId) -> String {
    keep(&record, by).line
}

fn replay<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Replay {
    let mut replay = Replay::default();
    lines.into_iter().for_each(|line| replay.line(line.as_ref()));
    replay
}

/// `id title: text|text` of each conversation.
fn outline(replay: &Replay) -> Vec<String> {
    let (chats, _) = replay.conversations(|_| None);
    let texts = |chat: &Conversation| chat.turns.iter().map(|turn| turn.text.clone()).collect::<Vec<_>>().join("|");
    chats.iter().map(|chat| format!("{} {}: {}", chat.id, chat.title, texts(chat))).collect()
}

/// One conversation of each sort, and what it amounts to.
fn sample() -> (Vec<String>, Vec<&'static str>) {
    let records = [
        begin(1),
        say(1, 0, "hello"),
        say(1, 1, "h"),
        begin(2),
        say(1, 1, "hi there"),
        say(2, 0, "to be forgotten"),
        Record::Rename { chat: 1, title: "Greeting".into() },
        say(1, 2, "wrong"),
        say(1, 3, "an answer"),
        Record::Cut { chat: 1, from: 2 },
        say(1, 2, "right"),
        Record::Delete { chat: 2 },
        begin(3),
        say(3, 0, "last"),
    ];
    let lines = records.into_iter().map(|record| line(record, A)).collect();
    (lines, vec!["1 Greeting: hello|hi there|right", "3 : last"])
}

#[test]
fn records_make_conversations() {
    let (lines, expected) = sample();
    let replay = replay(&lines);
    assert_eq!(outline(&replay), expected);
    assert_eq!((replay.damaged().len(), replay.later()), (0, 0));
    assert_eq!(replay.conversations(|_| None).0[1].created_ms, 3000);
}

#[test]
fn a_turn_comes_back_as_it_was() {
    let outcome = Outcome {
        model: "demo".into(),
        ending: Ending::Failed("out of memory".into()),
        prompt_tokens: 600,
        tokens: 12,
        tokens_per_second: 0.1 + 0.2,
    };
    let pictures: Vec<Picture> = [("cat.png", "one"), ("猫.jpg", "two"), ("again.png", "one")]
        .map(|(name, bytes)| Picture { name: name.into(), bytes: Arc::from(bytes.as_bytes()) })
        .into();
    let text = "line\r\nbreak \0 \u{2028} \u{feff} \u{10ffff} \" \\ </script> ```".to_string();
    let turn =
        Turn { id: 5, speaker: Speaker::Assistant, text: text.clone(), pictures, outcome: Some(outcome.clone()) };
    let kept = keep(&Record::Say { chat: 7, turn: turn.clone() }, A);
    let mut asked = Vec::new();
    let (chats, gone) = replay([&kept.line]).conversations(|hash| {
        asked.push(hash.clone());
        kept.pictures.iter().find(|(name, _)| name == hash).map(|(_, bytes)| bytes.clone())
    });
    let back = &chats[0].turns[0];
    assert_eq!((back.id, back.speaker, &back.text, &back.outcome), (5, Speaker::Assistant, &text, &Some(outcome)));
    for (back, was) in back.pictures.iter().zip(&turn.pictures) {
        assert_eq!((&back.name, &back.bytes), (&was.name, &was.bytes));
    }
    assert_eq!((back.pictures.len(), gone), (3, 0));
    assert_eq!(asked.len(), 2, "the same picture is fetched once");
}

#[test]
fn a_picture_that_is_gone_leaves_its_turn() {
    let pictures = ["kept", "gone", "changed"]
        .map(|name| Picture { name: name.into(), bytes: Arc::from(name.as_bytes()) })
        .to_vec();
    let turn = Turn { id: 0, speaker: Speaker::User, text: "these?".into(), pictures, outcome: None };
    let kept = keep(&Record::Say { chat: 7, turn }, A);
    let replay = replay([&kept.line]);
    let (chats, gone) = replay.conversations(|hash| match () {
        () if *hash == PictureHash::of(b"kept") => Some(Arc::from(*b"kept")),
        () if *hash == PictureHash::of(b"changed") => Some(Arc::from(*b"other bytes")),
        () => None,
    });
    assert_eq!(gone, 2);
    let turn = &chats[0].turns[0];
    assert_eq!(turn.text, "these?");
    let left: Vec<(&str, usize)> =
        turn.pictures.iter().map(|picture| (picture.name.as_str(), picture.bytes.len())).collect();
    assert_eq!(left, [("kept", 4), ("gone", 0), ("changed", 0)]);
    // The model is given what is there.
    assert_eq!(chats[0].messages()[0].pictures.len(), 1);
    assert_eq!(turn.present_pictures().len(), 1);

    // Said again, the ones that are gone stay named.
    let again = keep(&Record::Say { chat: 8, turn: turn.clone() }, A);
    assert_eq!(again.pictures.len(), 1);
    let (chats, gone) = self::replay([&again.line]).conversations(|_| Some(Arc::from(*b"kept")));
    assert_eq!((gone, chats[0].turns[0].pictures.len()), (2, 3));
}

#[test]
fn damage_anywhere_costs_one_line() {
    let (lines, _) = sample();
    let whole = outline(&replay(&lines));
    for at in 0..lines.len() {
        let without = outline(&replay(lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| line)));
        let noise: [&[u8]; 4] = [b"\xff\xfe\0\0", &lines[at].as_bytes()[1..], b"{\"v\":1}", &[b'['; 100_000]];
        for noise in noise {
            let mut damaged: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            damaged[at] = noise;
            let replay = replay(damaged);
            assert_eq!(outline(&replay), without, "line {at}");
            assert_eq!(replay.damaged(), [noise]);
        }
    }
    // A lost beginning or name loses no words.
    assert_eq!(outline(&replay(&lines[1..])), whole);
}

#[test]
fn a_journal_cut_anywhere_is_its_whole_lines() {
    let (lines, _) = sample();
    let text = lines.join("\n") + "\n";
    for length in 0..=text.len() {
        let cut = &text.as_bytes()[..length];
        let start = cut.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut replay = self::replay(cut[..start].split(|byte| *byte == b'\n'));
        let end = replay.end(&cut[start..]);
        // A line is whole with its last brace, even without its end.
        let whole = text[..length].matches('\n').count() + usize::from(text.as_bytes().get(length) == Some(&b'\n'));
        assert_eq!(outline(&replay), outline(&self::replay(&lines[..whole])), "{length} bytes");
        assert!(replay.damaged().is_empty());
        let torn = length > start && text.as_bytes()[length] != b'\n';
        assert_eq!(end, if torn { End::Torn(length - start) } else { End::Whole }, "{length} bytes");
    }
}

#[test]
fn a_line_behind_a_torn_one_is_found() {
    let first = line(say(1, 0, "torn"), A);
    for torn in 1..first.len() {
        let (torn, whole) = (&first[..torn], line(say(1, 1, "whole"), B));
        let replay = replay([format!("{torn}{whole}")]);
        assert_eq!(outline(&replay), ["1 : whole"], "{torn}");
        // What is not even enough to tell the writer apart is not worth a word.
        let lost = usize::from(!whole.starts_with(torn));
        assert_eq!(replay.damaged(), &[torn.as_bytes()][..lost]);
    }
    // The same at the end, and torn again.
    let mut replay = Replay::default();
    let glued = format!("{}{}", line(say(1, 1, "whole"), B), &first[..20]);
    assert_eq!(replay.end(glued.as_bytes()), End::Torn(20));
    assert_eq!(outline(&replay), ["1 : whole"]);
}

/// A full disk takes the beginning of a line, and the whole of it later; another window may write in between.
#[test]
fn a_line_begun_again_is_no_damage() {
    let text = line(say(1, 0, "hello"), A);
    for torn in 1..text.len() {
        let lines = [&text[..torn], &line(say(2, 0, "other"), B), &text[..torn], &text];
        let replay = replay(lines);
        assert!(replay.damaged().is_empty(), "{torn} bytes: {:?}", replay.damaged());
        assert_eq!(outline(&replay), ["2 : other", "1 : hello"]);
    }
    // Never written again: told.
    assert_eq!(replay([&text[..30], &line(say(2, 0, "other"), B)]).damaged().len(), 1);
}

#[test]
fn lines_of_a_later_version_are_left_alone() {
    let (mut lines, expected) = sample();
    lines.insert(3, r#"{"v":1,"by":11,"record":{"pin":{"chat":1}}}"#.into());
    let replay = replay(&lines);
    assert_eq!(outline(&replay), expected);
    assert_eq!((replay.later(), replay.damaged().len()), (1, 0));
    assert!(replay.compacted().is_none());
    // A known record may hold more than is understood.
    let more = r#"{"v":2,"by":11,"record":{"cut":{"chat":1,"from":0,"keep":true}}}"#;
    let replay = self::replay([more]);
    assert_eq!(replay.later(), 0);
    assert!(replay.compacted().is_none());
}

#[test]
fn compacting_keeps_everything_that_is_shown() {
    let (mut lines, expected) = sample();
    let picture = Picture { name: "p".into(), bytes: Arc::from(*b"shown") };
    let dropped = Picture { name: "p".into(), bytes: Arc::from(*b"taken back") };
    let with = |id, picture: Picture| {
        let turn = Turn { id, speaker: Speaker::User, text: "look".into(), pictures: vec![picture], outcome: None };
        line(Record::Say { chat: 9, turn }, A)
    };
    lines.extend([line(begin(9), A), with(0, picture), with(1, dropped)]);
    lines.push(line(Record::Cut { chat: 9, from: 1 }, A));
    // Taken back altogether, and never said.
    lines.extend([line(begin(10), A), line(say(10, 0, "x"), A), line(Record::Cut { chat: 10, from: 0 }, A)]);
    lines.push("damaged".into());
    let before = replay(&lines);
    let compacted = before.compacted().expect("no later version");
    let after = replay(&compacted);
    assert_eq!(outline(&after), outline(&before));
    assert_eq!(outline(&after), [&expected[..], &["9 : look"]].concat());
    assert_eq!(after.conversations(|_| None).0[0].created_ms, 1000);
    assert_eq!(after.pictures().into_iter().collect::<Vec<_>>(), [PictureHash::of(b"shown")]);
    assert_eq!(before.pictures(), after.pictures());
    // Begin, name and three turns; begin and turn, twice.
    assert_eq!(compacted.len(), 5 + 2 + 2);
    assert_eq!(after.compacted().expect("no later version"), compacted);
}

#[test]
fn two_windows_in_one_conversation_lose_nothing() {
    let before = [line(begin(1), 0), line(say(1, 0, "q"), 0), line(say(1, 1, "a"), 0)];
    let in_a = ["A asks", "A is ans", "A is answered"];
    let in_b = ["B asks", "B is ans", "B is answered"];
    let records = |texts: [&str; 3]| [(2, texts[0]), (3, texts[1]), (3, texts[2])].map(|(id, text)| say(1, id, text));
    // Every way in which their lines may mix.
    for order in (0_u32..64).filter(|order| order.count_ones() == 3) {
        let (mut a, mut b) = (records(in_a).into_iter(), records(in_b).into_iter());
        let mut lines = before.to_vec();
        for turn in 0..6 {
            let next = if order >> turn & 1 == 1 { (a.next(), A) } else { (b.next(), B) };
            lines.push(line(next.0.expect("three each"), next.1));
        }
        // B's window knows the conversation by its old id.
        lines.push(line(Record::Rename { chat: 1, title: "B".into() }, B));
        lines.push(line(say(1, 4, "B goes on"), B));
        let replay = self::replay(&lines);
        let found = outline(&replay);
        assert_eq!(found.len(), 2, "{found:?}");
        for expected in [" : q|a|A asks|A is answered", " B: q|a|B asks|B is answered|B goes on"] {
            assert!(found.iter().any(|chat| chat.ends_with(expected)), "{order:b}: {found:?}");
        }
        assert_eq!(outline(&self::replay(replay.compacted().expect("no later version"))), found);
    }
}

#[test]
fn one_window_after_another_goes_on_in_place() {
    let mut lines = vec![line(begin(1), A), line(say(1, 0, "q"), A), line(say(1, 1, "half an ans"), A)];
    // The next start: the answer is made anew, the question edited, the conversation continued.
    lines.extend([line(Record::Cut { chat: 1, from: 1 }, B), line(say(1, 1, "an answer"), B)]);
    lines.push(line(say(1, 2, "more"), B));
    assert_eq!(outline(&replay(&lines)), ["1 : q|an answer|more"]);
    lines.extend([line(Record::Cut { chat: 1, from: 0 }, 13), line(say(1, 0, "other"), 13)]);
    assert_eq!(outline(&replay(&lines)), ["1 : other"]);
}

#[test]
fn what_is_deleted_stays_deleted() {
    let lines = [
        line(begin(1), A),
        line(say(1, 0, "q"), A),
        line(Record::Delete { chat: 1 }, B),
        line(say(1, 1, "a late answer"), A),
    ];
    assert!(outline(&replay(&lines)).is_empty());
    assert_eq!(replay(&lines).compacted().expect("no later version").len(), 0);
    assert!(replay(&lines).has_deletions() && !replay(&lines[..2]).has_deletions());
}
