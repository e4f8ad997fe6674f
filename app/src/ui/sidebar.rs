//! The list of conversations.

use egui::{Button, ScrollArea, Ui, vec2};

use crate::chat::{ChatId, Conversation};
use crate::state::{Action, State};

/// Draws it, the newest first.
pub fn show(ui: &mut Ui, state: &State, actions: &mut Vec<Action>) {
    let language = state.language();
    ui.add_space(6.0);
    let new = Button::new(language.pick("New chat", "新对话")).min_size(vec2(ui.available_width(), 28.0));
    if ui.add(new).clicked() {
        actions.push(Action::NewChat);
    }
    ui.add_space(6.0);
    if state.chats.is_empty() {
        ui.weak(language.pick("Conversations are kept here.", "对话会保存在这里。"));
        return;
    }
    let row = ui.spacing().interact_size.y.max(ui.text_style_height(&egui::TextStyle::Button) + 8.0);
    let count = state.chats.len();
    ScrollArea::vertical().id_salt("conversations").auto_shrink(false).show_rows(ui, row, count, |ui, rows| {
        for chat in rows.map(|row| &state.chats[count - 1 - row]) {
            let selected = state.current == Some(chat.id);
            let title = title(chat, language.pick("Untitled", "无标题"));
            let button =
                Button::selectable(selected, title.as_str()).truncate().min_size(vec2(ui.available_width(), row));
            if ui.push_id(chat.id, |ui| ui.add(button)).inner.clicked() {
                actions.push(Action::Open(chat.id));
            }
        }
    });
}

/// What a conversation is called, or this.
pub fn title(chat: &Conversation, untitled: &str) -> String {
    let title = chat.shown_title();
    if title.is_empty() { untitled.to_string() } else { title }
}

/// A question before something is lost, or a field for a name.
#[derive(Clone, Debug, Default)]
pub enum Asking {
    /// Nothing is asked.
    #[default]
    Nothing,
    /// The conversation's new name.
    Name(ChatId, String),
    /// Whether to delete the conversation.
    Deletion(ChatId),
}
