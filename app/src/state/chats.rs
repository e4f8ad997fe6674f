//! The list of conversations.

use super::{Draft, Effect, Panel, State};
use crate::chat::{ChatId, Conversation, Record};

impl State {
    /// A new conversation at the end of the list, which is shown.
    pub(super) fn begin_chat(&mut self) -> ChatId {
        let id = self.free_id();
        self.chats.push(Conversation::new(id, self.now_ms));
        self.current = Some(id);
        self.record(Record::Begin { chat: id, created_ms: self.now_ms });
        id
    }

    /// Two windows that begin conversations in the same millisecond must not take the same id: random bits tell them apart
    /// (in a page they are the same in every tab, and the millisecond is all). What the list has already is stepped over.
    fn free_id(&self) -> ChatId {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(self.now_ms) & 0xFFFF;
        let mut id = (self.now_ms << 16 | random) & MAX_ID;
        while self.chat_of(id).is_some() {
            id += 1;
        }
        id
    }

    pub(super) fn show_chat(&mut self, chat: Option<ChatId>) {
        if self.current == chat {
            return;
        }
        self.current = chat;
        // An edited turn belongs to the conversation that is left.
        if self.draft.editing.is_some() {
            self.draft = Draft::default();
        }
        if self.preferences.panel == Panel::Routing {
            self.want_trace();
        }
    }

    pub(super) fn rename(&mut self, id: ChatId, title: String) {
        if let Some(chat) = self.chat_mut(id) {
            chat.title = title.trim().to_string();
            let title = chat.title.clone();
            self.record(Record::Rename { chat: id, title });
        }
    }

    pub(super) fn delete(&mut self, id: ChatId) {
        if self.work.answering().is_some_and(|answering| answering.chat == id) {
            self.stop_running();
        }
        self.chats.retain(|chat| chat.id != id);
        if self.current == Some(id) {
            self.current = None;
            self.draft.editing = None;
        }
        if self.trace.as_ref().is_some_and(|trace| trace.chat == id) {
            self.trace = None;
        }
        self.record(Record::Delete { chat: id });
    }

    pub(super) fn export(&mut self, id: ChatId, extension: &str, write: impl Fn(&Conversation) -> Vec<u8>) {
        if let Some(chat) = self.chat_of(id) {
            let name = format!("{}.{extension}", file_name(&chat.shown_title()));
            let bytes = write(chat);
            self.effects.push(Effect::Save { name, bytes });
        }
    }
}

/// Ids pass through JSON, where numbers beyond this lose digits in many readers.
const MAX_ID: u64 = (1 << 53) - 1;

/// A title as part of a file's name on any system.
pub(crate) fn file_name(title: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " -_".contains(c) { c } else { '-' };
    let name: String = title.chars().map(plain).take(60).collect();
    let name = name.trim_matches([' ', '-']);
    if name.is_empty() { "chat".to_string() } else { name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_title_becomes_a_file_name_of_any_system() {
        assert_eq!(file_name("What is 1/2? <a:b>"), "What is 1-2- -a-b");
        assert_eq!(file_name("图片里有什么"), "图片里有什么");
        assert_eq!(file_name(" ... "), "chat");
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name(&"x".repeat(500)).len(), 60);
    }
}
