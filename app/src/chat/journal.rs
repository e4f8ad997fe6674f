//! How a record is kept: one line of JSON, its pictures apart under their content's hash.
//!
//! `{"v":1,"by":<writer>,"record":{"say":{"chat":..,"turn":{..}}}}`, and so for `begin`, `cut`, `rename` and `delete`. A
//! line holds no line break, and begins with `{"v":` where nothing else does: inside of texts quotes are escaped, and no
//! other field of that name comes first. So a line that was appended to the torn end of another is still found. Later
//! versions must keep this, and may add fields and kinds of records.

use std::fmt;
use std::sync::Arc;

use mole_runtime::engine::Picture;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::conversation::{ChatId, Outcome, Speaker, Turn, TurnId};
use super::history::Record;

/// The version of the lines that are written.
pub(super) const VERSION: u32 = 1;

/// How every line begins.
pub(super) const START: &[u8] = b"{\"v\":";

/// Names who wrote a line: a window or a tab, from its start to its end. Drawn at random by the shell, and below 2^53, so
/// that it passes through JSON whole.
pub type WriterId = u64;

/// SHA-256 of a picture's bytes, in lower-case hexadecimal: the name under which they are kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PictureHash(String);

impl PictureHash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("{:x}", Sha256::digest(bytes)))
    }

    /// From a line. Nothing but a hash: it becomes a file's name.
    fn read(text: &str) -> Option<Self> {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(hexadecimal)).then(|| Self(text.to_string()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PictureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PictureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record as it is to be kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// One line, without its end.
    pub line: String,
    /// The pictures it names. They are to be kept before the line.
    pub pictures: Vec<(PictureHash, Arc<[u8]>)>,
}

/// The record as it is to be kept.
pub fn keep(record: &Record, by: WriterId) -> Kept {
    let mut pictures = Vec::new();
    let entry = match record {
        Record::Begin { chat, created_ms } => Entry::Begin { chat: *chat, created_ms: *created_ms },
        Record::Say { chat, turn } => Entry::Say { chat: *chat, turn: KeptTurn::of(turn, &mut pictures) },
        Record::Cut { chat, from } => Entry::Cut { chat: *chat, from: *from },
        Record::Rename { chat, title } => Entry::Rename { chat: *chat, title: title.clone() },
        Record::Delete { chat } => Entry::Delete { chat: *chat },
    };
    Kept { line: Line { v: VERSION, by, record: entry }.text(), pictures }
}

/// A line of the journal. `v` comes first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub v: u32,
    #[serde(default)]
    pub by: WriterId,
    pub record: Entry,
}

impl Line {
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }
}

/// A record, its pictures by their hashes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    Begin { chat: ChatId, created_ms: u64 },
    Say { chat: ChatId, turn: KeptTurn },
    Cut { chat: ChatId, from: TurnId },
    Rename { chat: ChatId, title: String },
    Delete { chat: ChatId },
}

/// The names of the entries above.
const KINDS: [&str; 5] = ["begin", "say", "cut", "rename", "delete"];

/// A turn, its pictures by their hashes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptTurn {
    pub id: TurnId,
    pub speaker: Speaker,
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<KeptPicture>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl KeptTurn {
    fn of(turn: &Turn, pictures: &mut Vec<(PictureHash, Arc<[u8]>)>) -> Self {
        let mut keep = |picture: &Picture| {
            let hash = (!picture.bytes.is_empty()).then(|| PictureHash::of(&picture.bytes));
            pictures.extend(hash.clone().map(|hash| (hash, picture.bytes.clone())));
            KeptPicture { name: picture.name.clone(), sha256: hash.map(|hash| hash.0) }
        };
        let kept = turn.pictures.iter().map(&mut keep).collect();
        let mut outcome = turn.outcome.clone();
        if let Some(outcome) = outcome.as_mut().filter(|outcome| !outcome.tokens_per_second.is_finite()) {
            // JSON has no such number, and the line could not be read again.
            outcome.tokens_per_second = 0.0;
        }
        Self { id: turn.id, speaker: turn.speaker, text: turn.text.clone(), pictures: kept, outcome }
    }
}

/// A picture by its hash; none where it was gone already when the turn was said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptPicture {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl KeptPicture {
    pub fn hash(&self) -> Option<PictureHash> {
        self.sha256.as_deref().and_then(PictureHash::read)
    }
}

/// What one piece of a journal is.
pub(super) enum Piece {
    Line(Line),
    /// Whole, but of a later version of the app.
    Later,
    Damaged,
}

/// Reads what should be one line.
pub(super) fn read(piece: &[u8]) -> Piece {
    if let Ok(line) = serde_json::from_slice(piece) {
        return Piece::Line(line);
    }
    #[derive(Deserialize)]
    struct Outline {
        v: u32,
        record: Option<serde_json::Value>,
    }
    let Ok(outline) = serde_json::from_slice::<Outline>(piece) else { return Piece::Damaged };
    let record = outline.record.as_ref().and_then(serde_json::Value::as_object);
    let unknown = record.is_some_and(|record| record.keys().any(|kind| !KINDS.contains(&kind.as_str())));
    if outline.v > VERSION || unknown { Piece::Later } else { Piece::Damaged }
}

/// The pieces of a line, cut where records begin. A sound line is one piece; one that was appended to a torn one gives
/// two.
pub(super) fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let next = line.windows(START.len()).skip(1).position(|window| window == START).map(|at| at + 1);
        rest = next.map(|at| &line[at..]);
        Some(&line[..next.unwrap_or(line.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::super::conversation::Ending;
    use super::*;

    #[test]
    fn a_line_is_what_the_format_says() {
        let bytes: Arc<[u8]> = Arc::from(*b"abc");
        let picture = Picture { name: "a \"cat\".png".into(), bytes: bytes.clone() };
        let turn =
            Turn { id: 3, speaker: Speaker::User, text: "a\nb\0".into(), pictures: vec![picture], outcome: None };
        let kept = keep(&Record::Say { chat: 7, turn }, 9);
        // The hash of "abc" is FIPS 180-2's first example.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            kept.line,
            format!(
                r#"{{"v":1,"by":9,"record":{{"say":{{"chat":7,"turn":{{"id":3,"speaker":"user","text":"a\nb\u0000","pictures":[{{"name":"a \"cat\".png","sha256":"{hash}"}}]}}}}}}}}"#
            )
        );
        assert_eq!(kept.pictures, [(PictureHash(hash.into()), bytes)]);
        let line = |record: Record| keep(&record, 9).line;
        let wrapped = |record: &str| format!(r#"{{"v":1,"by":9,"record":{{{record}}}}}"#);
        assert_eq!(line(Record::Begin { chat: 7, created_ms: 5 }), wrapped(r#""begin":{"chat":7,"created_ms":5}"#));
        assert_eq!(line(Record::Cut { chat: 7, from: 2 }), wrapped(r#""cut":{"chat":7,"from":2}"#));
        assert_eq!(line(Record::Rename { chat: 7, title: "t".into() }), wrapped(r#""rename":{"chat":7,"title":"t"}"#));
        assert_eq!(line(Record::Delete { chat: 7 }), wrapped(r#""delete":{"chat":7}"#));
    }

    #[test]
    fn no_text_looks_like_a_lines_beginning() {
        let trap = "{\"v\":1,\"by\":1,\"record\":{\"delete\":{\"chat\":7}}}\n{\"v\":";
        let outcome = Outcome {
            model: trap.into(),
            ending: Ending::Failed(trap.into()),
            prompt_tokens: 1,
            tokens: 2,
            tokens_per_second: f64::NAN,
        };
        let picture = Picture { name: trap.into(), bytes: Arc::from(*b"x") };
        let turn = Turn {
            id: 0,
            speaker: Speaker::Assistant,
            text: trap.into(),
            pictures: vec![picture],
            outcome: Some(outcome),
        };
        for record in [Record::Say { chat: 7, turn }, Record::Rename { chat: 7, title: trap.into() }] {
            let line = keep(&record, 1).line;
            assert!(!line.contains('\n'));
            assert_eq!(pieces(line.as_bytes()).collect::<Vec<_>>(), [line.as_bytes()]);
            assert!(matches!(read(line.as_bytes()), Piece::Line(_)));
        }
    }

    #[test]
    fn lines_glued_together_come_apart() {
        let (a, b) = (r#"{"v":1,"record":{"de"#, r#"{"v":1,"record":{"delete":{"chat":7}}}"#);
        let glued = format!("{a}{b}{b}");
        let apart: Vec<&str> = pieces(glued.as_bytes()).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        assert_eq!(apart, [a, b, b]);
        assert_eq!(pieces(b"").count(), 1);
        assert_eq!(pieces(b"noise").collect::<Vec<_>>(), [b"noise"]);
    }

    #[test]
    fn later_is_told_from_damaged() {
        let later = [
            r#"{"v":2,"record":{"say":{"words":[]}}}"#,
            r#"{"v":2,"something":"else"}"#,
            r#"{"v":1,"by":3,"record":{"pin":{"chat":7}}}"#,
        ];
        for line in later {
            assert!(matches!(read(line.as_bytes()), Piece::Later), "{line}");
        }
        let damaged = [
            "",
            "null",
            "{}",
            r#"{"v":1}"#,
            r#"{"v":1,"record":{"say":{"chat":7}}}"#,
            r#"{"v":1,"record":{"cut":{"chat":-7,"from":0}}}"#,
            r#"{"v":2,"record":{"say":"#,
        ];
        for line in damaged {
            assert!(matches!(read(line.as_bytes()), Piece::Damaged), "{line}");
        }
        // What a later version adds to a known record is no obstacle.
        let more = r#"{"v":2,"by":3,"when":5,"record":{"cut":{"chat":7,"from":0,"why":"edited"}}}"#;
        assert!(matches!(read(more.as_bytes()), Piece::Line(Line { by: 3, .. })));
    }

    #[test]
    fn a_hash_is_no_path() {
        let picture = |sha256: &str| KeptPicture { name: String::new(), sha256: Some(sha256.into()) };
        assert!(picture(&"0f".repeat(32)).hash().is_some());
        for wrong in ["", "../../secret", &"0F".repeat(32), &"0".repeat(63), &format!("/{}", "0".repeat(63))] {
            assert!(picture(wrong).hash().is_none(), "{wrong}");
        }
    }
}
