//! Conversations as data: what was said, how it is kept, how it is exported. Knows no window and no file.

mod conversation;
mod date;
mod export;
mod history;
mod journal;
mod replay;

pub use conversation::{ChatId, Conversation, Ending, Outcome, Speaker, Turn, TurnId};
pub use export::{json, markdown};
pub use history::Record;
pub use journal::{Kept, PictureHash, WriterId, keep};
pub use replay::{End, Replay};
