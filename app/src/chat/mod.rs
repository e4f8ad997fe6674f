//! Conversations as data: what was said, how it is kept, how it is exported. Knows no window.

mod conversation;
mod export;
mod history;

pub use conversation::{ChatId, Conversation, Ending, Outcome, Speaker, Turn, TurnId};
pub use export::{json, markdown};
pub use history::Record;
