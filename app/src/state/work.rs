//! What the engine is doing for us. It does one thing at a time, and is given the next when the last is done.

use async_channel::Sender;

use super::arrival::GuestEvent;
use crate::chat::{ChatId, TurnId};

/// What is under way.
#[derive(Debug, Default)]
pub enum Work {
    /// Nothing.
    #[default]
    Idle,
    /// A model is loaded.
    Loading,
    /// What loading would take is found out.
    Estimating,
    /// A question of the person's is answered.
    Answering(Answering),
    /// A question of the page's is answered.
    Guest(Sender<GuestEvent>),
    /// Where a finished answer's tokens went is found out.
    Tracing {
        /// Whose.
        chat: ChatId,
        /// Up to this turn.
        turn: TurnId,
    },
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answering {
    /// The conversation it belongs to.
    pub chat: ChatId,
    /// The turn that grows.
    pub turn: TurnId,
    /// Tokens of the prompt, once it was understood.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that went through the model.
    pub prefilled: usize,
    /// Pieces of the answer so far: about its tokens.
    pub pieces: usize,
    /// When the first piece came, in milliseconds since 1970.
    pub first_ms: Option<u64>,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// When the part so far was last kept in the history.
    pub kept_ms: u64,
}

impl Work {
    /// The person's answer that is on its way.
    pub fn answering(&self) -> Option<&Answering> {
        match self {
            Self::Answering(answering) => Some(answering),
            _ => None,
        }
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }
}
