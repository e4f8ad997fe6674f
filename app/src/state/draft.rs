//! The message that is being written.

use mole_runtime::engine::Picture;

use crate::chat::TurnId;

/// Words and pictures that were not sent yet.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The words.
    pub text: String,
    /// The pictures to go with them.
    pub pictures: Vec<Picture>,
    /// The turn that is edited: sending takes it and all behind it back. None for a new message.
    pub editing: Option<TurnId>,
}

impl Draft {
    /// Whether there is something to send: words, for a picture alone asks nothing.
    pub fn is_sendable(&self) -> bool {
        !self.text.trim().is_empty()
    }
}
