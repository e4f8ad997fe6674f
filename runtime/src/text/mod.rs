//! Text: from a conversation to token ids, and from token ids to what is shown.
//!
//! ```text
//! messages -- ChatTemplate --> prompt -- Tokenizer --> ids ... ids -- DecodeStream --> pieces of text
//! ```
//!
//! The tokenizer and the template come with the checkpoint, which may come from anywhere: both are checked for what
//! would bring the process down before they are used.

mod answers;
mod chat;
mod find;
mod guard;
mod jinja;
mod prompt;
mod stream;
mod tags;
#[cfg(test)]
pub(crate) mod tiny;
mod tokenizer;

pub use answers::Conversation;
pub use chat::{ChatTemplate, Message, Role};
pub use find::find_template;
pub use prompt::{IMAGE, ImageToken, PromptToken};
pub use stream::DecodeStream;
pub use tokenizer::{MAX_PROMPT_BYTES, Tokenizer};
