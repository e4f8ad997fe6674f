//! A conversation: turns of two speakers, with pictures.

use mole_runtime::engine::{Message, Picture};
use mole_runtime::generate::StopReason;
use mole_runtime::text::Role;
use serde::{Deserialize, Serialize};

/// Names a conversation, for good and on every machine.
pub type ChatId = u64;

/// Names a turn within its conversation; later turns have larger ones.
pub type TurnId = u64;

/// Longest title made of a first question, in characters.
const TITLE_CHARS: usize = 48;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The model said it is done.
    Complete,
    /// The person stopped it.
    Stopped,
    /// It has as many tokens as were allowed.
    MaxTokens,
    /// The context is full.
    Context,
    /// It was cut off by an error, which says what to do next.
    Failed(String),
}

impl From<StopReason> for Ending {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Eos => Self::Complete,
            StopReason::Cancelled => Self::Stopped,
            StopReason::MaxTokens => Self::MaxTokens,
            StopReason::Context => Self::Context,
        }
    }
}

/// What is known of an answer that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The model that answered, as it is shown.
    pub model: String,
    /// How it ended.
    pub ending: Ending,
    /// Tokens of its prompt, pictures expanded.
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Tokens after the first, by the second; 0 where there was no second one.
    pub tokens_per_second: f64,
}

/// What one speaker said.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Names it within the conversation.
    pub id: TurnId,
    /// Who said it.
    pub speaker: Speaker,
    /// The words; Markdown where the model speaks.
    pub text: String,
    /// The pictures that came with it, in order. One whose file is gone is still named here, and has no bytes.
    pub pictures: Vec<Picture>,
    /// How the answer ended; none for the person's turns, and while an answer is on its way.
    pub outcome: Option<Outcome>,
}

impl Turn {
    /// The pictures whose bytes are there: what the model is given.
    pub fn present_pictures(&self) -> Vec<Picture> {
        self.pictures.iter().filter(|picture| !picture.bytes.is_empty()).cloned().collect()
    }
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Names it.
    pub id: ChatId,
    /// When it began, in milliseconds since 1970 (UTC); 0 where that was lost.
    pub created_ms: u64,
    /// The name the person gave it; empty until then.
    pub title: String,
    /// What was said, in order.
    pub turns: Vec<Turn>,
    /// Ids below this belong to turns that were taken back: what is known by such an id is not another turn's.
    pub(crate) taken: TurnId,
}

impl Conversation {
    /// A conversation in which nothing was said yet.
    pub fn new(id: ChatId, created_ms: u64) -> Self {
        Self { id, created_ms, title: String::new(), turns: Vec::new(), taken: 0 }
    }

    /// The name to show: the given one, or the beginning of the first question. Empty where there is neither.
    pub fn shown_title(&self) -> String {
        if !self.title.is_empty() {
            return self.title.clone();
        }
        let question = self.turns.first().map_or("", |turn| turn.text.trim());
        let line = question.lines().next().unwrap_or_default();
        match line.char_indices().nth(TITLE_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_string(),
        }
    }

    /// The id for the next turn, which no turn before had.
    pub fn next_turn_id(&self) -> TurnId {
        self.turns.last().map_or(0, |turn| turn.id + 1).max(self.taken)
    }

    /// Takes a turn and all behind it back.
    pub fn take_back(&mut self, from: TurnId) {
        self.taken = self.next_turn_id();
        self.turns.retain(|turn| turn.id < from);
    }

    /// What the model is given: everything before the answer that is being made, without answers that have no words.
    pub fn messages(&self) -> Vec<Message> {
        let said = |turn: &&Turn| turn.speaker == Speaker::User || !turn.text.is_empty();
        let message = |turn: &Turn| Message {
            role: match turn.speaker {
                Speaker::User => Role::User,
                Speaker::Assistant => Role::Assistant,
            },
            text: turn.text.clone(),
            pictures: turn.present_pictures(),
        };
        self.turns.iter().filter(said).map(message).collect()
    }
}
