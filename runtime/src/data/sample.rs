//! One sample: its pictures, what is said about them, and what is expected as an answer.
//!
//! Two forms are read. LLaVA's, for training:
//! `{"id", "image": "a.jpg" or ["a.jpg", ...], "conversations": [{"from": "human" or "gpt", "value"}, ...]}`, and a
//! question with its reference answers, for evaluation:
//! `{"id" or "question_id", "image", "text" or "question", "answer" or "answers"}`. Other fields are ignored.
//!
//! Source: LLaVA, `llava/train/train.py`, `LazySupervisedDataset`; `llava/eval/model_vqa_loader.py`.

use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::picture;
use crate::error::Error;
use crate::text::{IMAGE, Role};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// [`Role::User`] or [`Role::Assistant`].
    pub role: Role,
    /// What is said, with [`IMAGE`] for every picture.
    pub text: String,
}

/// One sample of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// As the file has it; a sample without one is called by its line.
    pub id: String,
    /// Names below the dataset's folder of pictures, in the order of the [`IMAGE`] in the turns.
    pub images: Vec<String>,
    /// Question and answer by turns, beginning with a question.
    pub turns: Vec<Turn>,
    /// Any of these is right: the reference answers of a question, or the last answer of a conversation.
    pub answers: Vec<String>,
    /// The line it begins in, counted from 1.
    pub line: usize,
    file: Arc<str>,
}

impl Sample {
    /// Reads a sample.
    ///
    /// - `file`, `line`: where it is, for errors.
    pub(super) fn parse(json: &[u8], file: &Arc<str>, line: usize) -> crate::Result<Self> {
        let refuse = |reason| Error::Data { file: file.to_string(), line, reason };
        let value: Value = serde_json::from_slice(json).map_err(|error| refuse(not_json(&error, line)))?;
        let map = value.as_object().ok_or_else(|| refuse(format!("is {}, expected {{...}}", shown(&value))))?;
        let fields = Fields(map);
        let read = || {
            let (mut turns, answers) = match fields.get("conversations") {
                Some(conversations) => conversation(conversations)?,
                None => fields.question()?,
            };
            let images = fields.images()?;
            place(&images, &mut turns)?;
            Ok((fields.id()?, images, turns, answers))
        };
        let (id, images, turns, answers) = read().map_err(refuse)?;
        let id = id.unwrap_or_else(|| format!("line {line}"));
        Ok(Self { id, images, turns, answers, line, file: Arc::clone(file) })
    }

    /// What comes before the last answer: the question that the model is to answer.
    pub fn question(&self) -> &[Turn] {
        let last_answer = self.turns.iter().rposition(|turn| turn.role == Role::Assistant);
        &self.turns[..last_answer.unwrap_or(self.turns.len())]
    }

    /// An error about this sample.
    pub fn error(&self, reason: impl Display) -> Error {
        Error::Data { file: self.file.to_string(), line: self.line, reason: reason.to_string() }
    }
}

/// The fields of a sample; one that is null is taken as missing.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The first of some fields that is there, and its name.
    fn either(&self, names: [&'static str; 2]) -> Option<(&'static str, &'a Value)> {
        names.into_iter().find_map(|name| Some((name, self.get(name)?)))
    }

    fn id(&self) -> Result<Option<String>, String> {
        let Some((name, value)) = self.either(["id", "question_id"]) else { return Ok(None) };
        let id = word(value).ok_or_else(|| format!("{name} is {}, expected a string or a number", shown(value)))?;
        Ok(Some(id))
    }

    fn images(&self) -> Result<Vec<String>, String> {
        let Some(value) = self.get("image") else { return Ok(Vec::new()) };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        list.iter()
            .map(|value| {
                let expected = || format!("image is {}, expected a file name or a list of them", shown(value));
                let name = value.as_str().ok_or_else(expected)?;
                match picture::fault_of(name) {
                    Some(fault) => Err(format!("the image {name:?} {fault}")),
                    None => Ok(name.to_owned()),
                }
            })
            .collect()
    }

    /// The form of evaluation.
    fn question(&self) -> Result<(Vec<Turn>, Vec<String>), String> {
        let (name, value) = self.either(["question", "text"]).ok_or_else(|| {
            "has neither conversations (for training) nor a question (for evaluation): add \"conversations\": \
             [{\"from\": \"human\", \"value\": ...}, {\"from\": \"gpt\", \"value\": ...}]"
                .to_owned()
        })?;
        let text = value.as_str().ok_or_else(|| format!("{name} is {}, expected a string", shown(value)))?;
        if text.trim().is_empty() {
            return Err(format!("{name} is empty: write a question"));
        }
        let answers = self.either(["answers", "answer"]).map(|(name, value)| answers(name, value)).transpose()?;
        Ok((vec![Turn { role: Role::User, text: text.to_owned() }], answers.unwrap_or_default()))
    }
}

/// Reference answers: one or a list, as words or, as in VQA v2, as objects.
fn answers(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter()
        .map(|value| {
            let expected = || format!("{name} has {}, expected a string or a number", shown(value));
            word(value.get("answer").unwrap_or(value)).ok_or_else(expected)
        })
        .collect()
}

/// LLaVA's form: the turns, and the last answer.
fn conversation(value: &Value) -> Result<(Vec<Turn>, Vec<String>), String> {
    let list = value.as_array().ok_or_else(|| format!("conversations is {}, expected a list", shown(value)))?;
    if list.is_empty() {
        return Err("conversations is empty: add a human and a gpt turn".to_owned());
    }
    let turns = list.iter().enumerate().map(|(at, value)| turn(at, value)).collect::<Result<Vec<_>, _>>()?;
    let last = turns.iter().rfind(|turn| turn.role == Role::Assistant);
    let answers = last.map(|turn| turn.text.clone()).into_iter().collect();
    Ok((turns, answers))
}

/// Turn `at` of a conversation.
fn turn(at: usize, value: &Value) -> Result<Turn, String> {
    let number = at + 1;
    let field = |name: &str| {
        let value = value.get(name).unwrap_or(&Value::Null);
        value.as_str().ok_or_else(|| format!("turn {number} has {name} {}, expected a string", shown(value)))
    };
    let role = match field("from")? {
        "human" => Role::User,
        "gpt" => Role::Assistant,
        other => return Err(format!("turn {number} is from {other:?}; human and gpt are known: rename the role")),
    };
    let (expected, name) = if at.is_multiple_of(2) { (Role::User, "human") } else { (Role::Assistant, "gpt") };
    if role != expected {
        return Err(format!("turn {number} should be from {name}: turns alternate, and human begins"));
    }
    let text = field("value")?.to_owned();
    if role == Role::Assistant && text.contains(IMAGE) {
        return Err(format!("turn {number} has {IMAGE}, but an answer cannot show a picture: take the word out"));
    }
    Ok(Turn { role, text })
}

/// Puts the pictures that have no place in the text before the first question.
fn place(images: &[String], turns: &mut [Turn]) -> Result<(), String> {
    let placed: usize = turns.iter().map(|turn| turn.text.matches(IMAGE).count()).sum();
    let Some(unplaced) = images.len().checked_sub(placed) else {
        return Err(format!(
            "has {placed} {IMAGE}, but {} pictures: name a picture for each in \"image\", or take the word out",
            images.len()
        ));
    };
    let first = &mut turns[0].text;
    first.insert_str(0, &format!("{IMAGE}\n").repeat(unplaced));
    Ok(())
}

/// A string, number or truth value as text.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A value for an error, cut where it gets long.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(map) => format!("an object with {} fields", map.len()),
        Value::Array(list) => format!("a list of {}", list.len()),
        other => other.to_string().chars().take(60).collect(),
    }
}

/// What the parser says, with the line of the file instead of that of the sample.
fn not_json(error: &serde_json::Error, line: usize) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    let place = match error.line() {
        0 | 1 => format!("column {}", error.column()),
        later => format!("line {}, column {}", line + later - 1, error.column()),
    };
    format!("is not JSON ({what} at {place}): repair it or take it out")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &str) -> crate::Result<Sample> {
        Sample::parse(json.as_bytes(), &"train.jsonl".into(), 7)
    }

    fn with(image: Value, turns: &[&str]) -> crate::Result<Sample> {
        let from = |at| if at % 2 == 0 { "human" } else { "gpt" };
        let turns: Vec<Value> =
            turns.iter().enumerate().map(|(at, text)| json!({"from": from(at), "value": text})).collect();
        parse(&json!({"id": 5, "image": image, "conversations": turns, "model": [1]}).to_string())
    }

    fn texts(sample: &Sample) -> Vec<&str> {
        sample.turns.iter().map(|turn| turn.text.as_str()).collect()
    }

    #[test]
    fn conversations_are_read() {
        let sample = with(json!("a/b.jpg"), &["<image>\nWhat?", "A cat.", "Sure?", "Yes."]).unwrap();
        assert_eq!((sample.id.as_str(), sample.line), ("5", 7));
        assert_eq!(sample.images, ["a/b.jpg"]);
        assert_eq!(texts(&sample), ["<image>\nWhat?", "A cat.", "Sure?", "Yes."]);
        assert_eq!(
            sample.turns.iter().map(|turn| turn.role == Role::User).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        assert_eq!((sample.answers.as_slice(), sample.question().len()), (&["Yes.".to_owned()][..], 3));
        // Without an answer to the last turn, which is then no question, and without pictures.
        let sample = with(Value::Null, &["Hi", "Hello", "Well?"]).unwrap();
        assert_eq!((sample.images.len(), sample.question().len()), (0, 1));
        assert_eq!(sample.answers, ["Hello"]);
    }

    #[test]
    fn pictures_without_a_place_come_first() {
        let two = json!(["a.png", "b.png"]);
        assert_eq!(texts(&with(two.clone(), &["What?", "x"]).unwrap())[0], "<image>\n<image>\nWhat?");
        assert_eq!(texts(&with(two.clone(), &["Is <image> so?", "x"]).unwrap())[0], "<image>\nIs <image> so?");
        let later = with(two.clone(), &["Hi", "x", "And <image>, <image>?", "y"]).unwrap();
        assert_eq!(texts(&later), ["Hi", "x", "And <image>, <image>?", "y"]);
        assert_eq!(texts(&with(two, &["Hi", "x", "And <image>?", "y"]).unwrap())[0], "<image>\nHi");
        assert_eq!(texts(&with(json!([]), &["Hi", "x"]).unwrap())[0], "Hi");
    }

    #[test]
    fn questions_are_read() {
        let sample = parse(r#"{"question_id": 3, "image": "a.png", "text": "How many?", "answer": 2}"#).unwrap();
        assert_eq!((sample.id.as_str(), texts(&sample)), ("3", vec!["<image>\nHow many?"]));
        assert_eq!((sample.answers.as_slice(), sample.question().len()), (&["2".to_owned()][..], 1));
        let sample = parse(r#"{"id": "q", "question": "<image> ok?", "image": ["a.png"], "answers": ["yes", "y"]}"#);
        assert_eq!(sample.unwrap().answers, ["yes", "y"]);
        let sample = parse(r#"{"question": "ok?", "answers": [{"answer": "yes", "answer_id": 1}]}"#).unwrap();
        assert_eq!((sample.answers.as_slice(), sample.id.as_str()), (&["yes".to_owned()][..], "line 7"));
        assert!(parse(r#"{"question": "ok?"}"#).unwrap().answers.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let turns = |turns: &str| format!(r#"{{"conversations": {turns}}}"#);
        for (json, words) in [
            ("{\"id\": \"a\",\n \"b\" 1}".to_owned(), "at line 8, column 6"),
            ("{\"id\": 'a'}".to_owned(), "is not JSON (expected value at column 8)"),
            (r#"{"id": "\ud800"}"#.to_owned(), "is not JSON"),
            ("[1, 2]".to_owned(), "is a list of 2, expected {...}"),
            ("hello".to_owned(), "is not JSON"),
            ("{}".to_owned(), "has neither conversations"),
            (r#"{"question": " "}"#.to_owned(), "question is empty"),
            (r#"{"text": ["a"]}"#.to_owned(), "text is a list of 1, expected a string"),
            (r#"{"text": "a", "answers": [[1]]}"#.to_owned(), "answers has a list of 1"),
            (r#"{"id": {}, "text": "a"}"#.to_owned(), "id is an object"),
            (r#"{"image": 5, "text": "a"}"#.to_owned(), "image is 5, expected a file name"),
            (r#"{"image": ["a.png", null], "text": "a"}"#.to_owned(), "image is nothing"),
            (r#"{"image": "../a.png", "text": "a"}"#.to_owned(), "the image \"../a.png\" leads out"),
            (r#"{"image": "/etc/a.png", "text": "a"}"#.to_owned(), "the image \"/etc/a.png\" leads out"),
            (r#"{"image": "", "text": "a"}"#.to_owned(), "the image \"\" is no"),
            (r#"{"text": "<image> a"}"#.to_owned(), "has 1 <image>, but 0 pictures"),
            (turns("[]"), "conversations is empty"),
            (turns("\"x\""), "conversations is \"x\", expected a list"),
            (turns("[5]"), "turn 1 has from nothing"),
            (turns(r#"[{"from": "human", "value": 5}]"#), "turn 1 has value 5"),
            (turns(r#"[{"from": "human"}]"#), "turn 1 has value nothing"),
            (turns(r#"[{"from": "user", "value": "a"}]"#), "turn 1 is from \"user\""),
            (turns(r#"[{"from": "gpt", "value": "a"}]"#), "turn 1 should be from human"),
            (
                turns(r#"[{"from": "human", "value": "a"}, {"from": "human", "value": "a"}]"#),
                "turn 2 should be from gpt",
            ),
            (
                turns(r#"[{"from": "human", "value": "a"}, {"from": "gpt", "value": "a <image>"}]"#),
                "turn 2 has <image>, but an answer",
            ),
        ] {
            let error = parse(&json).unwrap_err().to_string();
            assert!(error.starts_with("train.jsonl:7: ") && error.contains(words), "{json}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let error = with(json!(["a.png"]), &["<image> <image>", "x"]).unwrap_err().to_string();
        assert!(error.contains("has 2 <image>, but 1 pictures"), "{error}");
        let error = with(json!(["a.png"]), &["hi", "x"]).unwrap().error("is odd").to_string();
        assert_eq!(error, "train.jsonl:7: is odd");
    }
}
