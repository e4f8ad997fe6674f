//! What is kept of conversations: a journal of records, appended to (`journal`) and replayed (`replay`).

use super::conversation::{ChatId, Turn, TurnId};

/// One change to the conversations. All of them, replayed in order, are the conversations.
#[derive(Clone, Debug)]
pub enum Record {
    /// A conversation begins.
    Begin {
        /// Its id.
        chat: ChatId,
        /// When, in milliseconds since 1970 (UTC).
        created_ms: u64,
    },
    /// A turn is added, or takes the place of the one with its id: an answer that has grown.
    Say {
        /// Whose turn.
        chat: ChatId,
        /// The turn.
        turn: Turn,
    },
    /// A turn and all behind it are taken back.
    Cut {
        /// Whose turns.
        chat: ChatId,
        /// The first one that goes.
        from: TurnId,
    },
    /// A conversation is named.
    Rename {
        /// Which.
        chat: ChatId,
        /// Its name.
        title: String,
    },
    /// A conversation is forgotten.
    Delete {
        /// Which.
        chat: ChatId,
    },
}
