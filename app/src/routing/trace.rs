//! The routing of one answer.

use mole_runtime::engine::{Picture, ReplyRouting};
use mole_runtime::image::PatchGrid;

use crate::chat::{ChatId, TurnId};

/// Where the tokens of a conversation went, up to one answer.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Whose.
    pub chat: ChatId,
    /// Up to and with this turn.
    pub turn: TurnId,
    /// What to call it: the conversation's title.
    pub title: String,
    /// The conversation's pictures, in the order that `RoutedToken::image` counts them.
    pub pictures: Vec<Picture>,
    /// How the model cut them into patches.
    pub patches: PatchGrid,
    /// Token by token; grows while the answer streams.
    pub routing: ReplyRouting,
    /// Whether the answer has ended.
    pub complete: bool,
}
