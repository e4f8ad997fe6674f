//! A conversation for programs.
//!
//! One object:
//! - `format`: `"llava-mole conversation"`; `version`: 1, larger when a field changes its meaning
//! - `id`: names the conversation; `title`: as it is shown
//! - `created`: RFC 3339 in UTC, or null where it is not known
//! - `turns`: in order, each with
//!   - `id`: names the turn within the conversation
//!   - `speaker`: `"user"` or `"assistant"`
//!   - `text`: the words; Markdown where the assistant speaks
//!   - `pictures`: each with `name`, `media_type`, `sha256` (of its bytes) and `base64` (its bytes); the last three are
//!     null where the picture is gone
//!   - `outcome`: null for the person's turns and for an answer that never ended; otherwise `model`, `ending`
//!     (`"complete"`, `"stopped"`, `"max_tokens"`, `"context"` or `"failed"`), `error` (null, or why it failed),
//!     `prompt_tokens`, `tokens`, `tokens_per_second` (0 where there was no second token)

use mole_runtime::engine::Picture;
use serde::Serialize;

use super::super::conversation::{Conversation, Ending, Outcome, Speaker, Turn};
use super::super::date::Moment;
use super::super::journal::PictureHash;
use super::picture::{base64, media_type};

#[derive(Serialize)]
struct ConversationJson {
    format: &'static str,
    version: u32,
    id: u64,
    title: String,
    created: Option<String>,
    turns: Vec<TurnJson>,
}

#[derive(Serialize)]
struct TurnJson {
    id: u64,
    speaker: Speaker,
    text: String,
    pictures: Vec<PictureJson>,
    outcome: Option<OutcomeJson>,
}

#[derive(Serialize)]
struct PictureJson {
    name: String,
    media_type: Option<&'static str>,
    sha256: Option<String>,
    base64: Option<String>,
}

#[derive(Serialize)]
struct OutcomeJson {
    model: String,
    ending: &'static str,
    error: Option<String>,
    prompt_tokens: usize,
    tokens: usize,
    tokens_per_second: f64,
}

/// For programs; the module's doc describes the fields.
pub fn json(chat: &Conversation) -> String {
    let conversation = ConversationJson {
        format: "llava-mole conversation",
        version: 1,
        id: chat.id,
        title: chat.shown_title(),
        created: Moment::of(chat.created_ms).map(|moment| moment.for_programs()),
        turns: chat.turns.iter().map(turn).collect(),
    };
    let mut text = serde_json::to_string_pretty(&conversation).expect("strings and numbers are JSON");
    text.push('\n');
    // The same to every reader of JSON, and safe inside of a page's <script>.
    text.replace("</", "<\\/")
}

fn turn(turn: &Turn) -> TurnJson {
    TurnJson {
        id: turn.id,
        speaker: turn.speaker,
        text: turn.text.clone(),
        pictures: turn.pictures.iter().map(picture).collect(),
        outcome: turn.outcome.as_ref().map(outcome),
    }
}

fn picture(picture: &Picture) -> PictureJson {
    let bytes = (!picture.bytes.is_empty()).then_some(&picture.bytes);
    PictureJson {
        name: picture.name.clone(),
        media_type: bytes.map(|bytes| media_type(bytes)),
        sha256: bytes.map(|bytes| PictureHash::of(bytes).to_string()),
        base64: bytes.map(|bytes| base64(bytes)),
    }
}

fn outcome(outcome: &Outcome) -> OutcomeJson {
    let (ending, error) = match &outcome.ending {
        Ending::Complete => ("complete", None),
        Ending::Stopped => ("stopped", None),
        Ending::MaxTokens => ("max_tokens", None),
        Ending::Context => ("context", None),
        Ending::Failed(error) => ("failed", Some(error.clone())),
    };
    OutcomeJson {
        model: outcome.model.clone(),
        ending,
        error,
        prompt_tokens: outcome.prompt_tokens,
        tokens: outcome.tokens,
        tokens_per_second: outcome.tokens_per_second,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_fields_are_those_of_the_documentation() {
        let pictures = vec![
            Picture { name: "a.png".into(), bytes: Arc::from(*b"\x89PNG\r\n\x1a\n") },
            Picture { name: "gone.jpg".into(), bytes: Arc::default() },
        ];
        let outcome = Outcome {
            model: "demo".into(),
            ending: Ending::Failed("out of memory".into()),
            prompt_tokens: 600,
            tokens: 12,
            tokens_per_second: 3.5,
        };
        let nasty = "```\n# head\n</script>\0\u{2028}";
        let turns = vec![
            Turn { id: 0, speaker: Speaker::User, text: nasty.into(), pictures, outcome: None },
            Turn {
                id: 1,
                speaker: Speaker::Assistant,
                text: "yes".into(),
                pictures: Vec::new(),
                outcome: Some(outcome),
            },
        ];
        let chat = Conversation { id: 7, created_ms: 1_795_711_430_000, title: "T".into(), turns, taken: 0 };
        let text = super::json(&chat);
        assert!(!text.contains("</") && !text.contains('\0'));
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            read,
            json!({
                "format": "llava-mole conversation", "version": 1, "id": 7, "title": "T",
                "created": "2026-11-26T16:43:50Z",
                "turns": [
                    {
                        "id": 0, "speaker": "user", "text": nasty,
                        "pictures": [
                            {
                                "name": "a.png", "media_type": "image/png", "base64": "iVBORw0KGgo=",
                                "sha256": "4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6",
                            },
                            {"name": "gone.jpg", "media_type": null, "sha256": null, "base64": null},
                        ],
                        "outcome": null,
                    },
                    {
                        "id": 1, "speaker": "assistant", "text": "yes", "pictures": [],
                        "outcome": {
                            "model": "demo", "ending": "failed", "error": "out of memory", "prompt_tokens": 600,
                            "tokens": 12, "tokens_per_second": 3.5,
                        },
                    },
                ],
            })
        );
        let undated: Value = serde_json::from_str(&super::json(&Conversation::new(7, 0))).expect("JSON");
        assert_eq!(undated["created"], Value::Null);
    }
}
