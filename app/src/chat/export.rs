//! A conversation as Markdown and as JSON.

use super::conversation::Conversation;

/// For people.
pub fn markdown(chat: &Conversation) -> String {
    chat.shown_title()
}

/// For programs.
pub fn json(chat: &Conversation) -> String {
    chat.shown_title()
}
