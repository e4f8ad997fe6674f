//! Conversations from the lines of a journal.
//!
//! Nothing here fails: what cannot be read is counted and set aside, and everything else stands. Lines come as they
//! stand in the journal, in which several windows may have written at once. Turns keep the order of their ids, so that a
//! lost line moves no other.
//!
//! Two windows may go on with the same conversation, each without seeing the other. A turn said by one never replaces a
//! turn said by the other: the second one's goes, with what was said before it, into a conversation of its own. What is
//! deleted in one window stays deleted, whatever another still says to it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use mole_runtime::engine::Picture;

use super::conversation::{ChatId, Conversation, Turn};
use super::journal::{Entry, KeptTurn, Line, PictureHash, Piece, START, VERSION, WriterId, pieces, read};

/// The largest id, so that ids pass through JSON whole.
const MAX_ID: ChatId = (1 << 53) - 1;

/// Lines read so far, and what they amount to.
#[derive(Debug, Default)]
pub struct Replay {
    chats: Vec<Chat>,
    deleted: HashSet<ChatId>,
    /// Where a writer's records go that were meant for a conversation which another had gone on with.
    apart: HashMap<(ChatId, WriterId), ChatId>,
    damaged: Vec<Vec<u8>>,
    later: usize,
    /// There are lines of a later version, which may say more than was understood.
    closed: bool,
}

#[derive(Debug)]
struct Chat {
    id: ChatId,
    created_ms: u64,
    title: String,
    turns: Vec<(KeptTurn, WriterId)>,
}

/// What the end of a journal is, where no line break ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A whole line.
    Whole,
    /// So many bytes of a line that was being written; nothing of it was taken.
    Torn(usize),
}

impl Replay {
    /// Takes the next line, with or without its end.
    pub fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            pieces(line).for_each(|piece| self.piece(piece));
        }
    }

    /// Takes what stands behind the last line break. A torn line there is no damage: its writer was stopped, and never
    /// said that it is kept.
    pub fn end(&mut self, end: &[u8]) -> End {
        let Some(last) = pieces(end).last().filter(|last| matches!(read(last), Piece::Damaged)) else {
            self.line(end);
            return End::Whole;
        };
        self.line(&end[..end.len() - last.len()]);
        if last.is_empty() { End::Whole } else { End::Torn(last.len()) }
    }

    fn piece(&mut self, piece: &[u8]) {
        // The beginning of a line that the disk had no room for, and which was written again: no damage.
        if piece.starts_with(START) {
            self.damaged.retain(|torn| !piece.starts_with(torn));
        }
        match read(piece) {
            Piece::Line(line) => {
                self.closed |= line.v > VERSION;
                self.entry(line.record, line.by);
            }
            Piece::Later => {
                self.closed = true;
                self.later += 1;
            }
            Piece::Damaged => self.damaged.push(piece.to_vec()),
        }
    }

    fn entry(&mut self, entry: Entry, by: WriterId) {
        match entry {
            Entry::Begin { chat, created_ms } => {
                if let Some(chat) = self.chat(chat, by) {
                    chat.created_ms = created_ms;
                }
            }
            Entry::Say { chat, turn } => self.say(chat, turn, by),
            Entry::Cut { chat, from } => {
                if let Some(chat) = self.chat(chat, by) {
                    chat.turns.retain(|(turn, _)| turn.id < from);
                }
            }
            Entry::Rename { chat, title } => {
                if let Some(chat) = self.chat(chat, by) {
                    chat.title = title;
                }
            }
            Entry::Delete { chat } => {
                let id = self.resolve(chat, by);
                self.chats.retain(|chat| chat.id != id);
                self.deleted.insert(id);
            }
        }
    }

    fn say(&mut self, chat: ChatId, turn: KeptTurn, by: WriterId) {
        let Some(said) = self.chat(chat, by) else { return };
        match said.turns.binary_search_by_key(&turn.id, |(turn, _)| turn.id) {
            Ok(at) if said.turns[at].1 == by => said.turns[at].0 = turn,
            Ok(at) => {
                let (created_ms, title) = (said.created_ms, said.title.clone());
                let mut turns = said.turns[..at].to_vec();
                turns.push((turn, by));
                let id = self.free_id((chat ^ by) & MAX_ID);
                self.apart.insert((chat, by), id);
                self.chats.push(Chat { id, created_ms, title, turns });
            }
            Err(at) => said.turns.insert(at, (turn, by)),
        }
    }

    /// The same from the same lines, every time.
    fn free_id(&self, wanted: ChatId) -> ChatId {
        let mut id = wanted;
        while self.deleted.contains(&id) || self.chats.iter().any(|chat| chat.id == id) {
            id = (id + 1) & MAX_ID;
        }
        id
    }

    fn resolve(&self, chat: ChatId, by: WriterId) -> ChatId {
        self.apart.get(&(chat, by)).copied().unwrap_or(chat)
    }

    /// The conversation a writer means; none where it is deleted. One whose beginning was lost begins here.
    fn chat(&mut self, chat: ChatId, by: WriterId) -> Option<&mut Chat> {
        let id = self.resolve(chat, by);
        if self.deleted.contains(&id) {
            return None;
        }
        let at = self.chats.iter().position(|chat| chat.id == id).unwrap_or_else(|| {
            self.chats.push(Chat { id, created_ms: 0, title: String::new(), turns: Vec::new() });
            self.chats.len() - 1
        });
        Some(&mut self.chats[at])
    }

    /// The conversations, in the order in which they began, and how many of their pictures are gone: those that `find`
    /// does not have, or whose bytes are others. They stay in their turns by name, without bytes.
    pub fn conversations(&self, mut find: impl FnMut(&PictureHash) -> Option<Arc<[u8]>>) -> (Vec<Conversation>, usize) {
        let mut found: HashMap<PictureHash, Option<Arc<[u8]>>> = HashMap::new();
        let mut gone = 0;
        let mut bytes = |hash: Option<PictureHash>| {
            let bytes = hash.and_then(|hash| {
                let sound = |bytes: &Arc<[u8]>| PictureHash::of(bytes) == hash;
                found.entry(hash.clone()).or_insert_with(|| find(&hash).filter(sound)).clone()
            });
            gone += usize::from(bytes.is_none());
            bytes.unwrap_or_default()
        };
        let mut turn = |(turn, _): &(KeptTurn, WriterId)| Turn {
            id: turn.id,
            speaker: turn.speaker,
            text: turn.text.clone(),
            pictures: turn
                .pictures
                .iter()
                .map(|picture| Picture { name: picture.name.clone(), bytes: bytes(picture.hash()) })
                .collect(),
            outcome: turn.outcome.clone(),
        };
        let conversation = |chat: &Chat| Conversation {
            id: chat.id,
            created_ms: chat.created_ms,
            title: chat.title.clone(),
            turns: chat.turns.iter().map(&mut turn).collect(),
            taken: 0,
        };
        let conversations = self.chats.iter().filter(|chat| !chat.is_empty()).map(conversation).collect();
        (conversations, gone)
    }

    /// The pictures that the conversations show.
    pub fn pictures(&self) -> BTreeSet<PictureHash> {
        let turns = self.chats.iter().flat_map(|chat| &chat.turns);
        turns.flat_map(|(turn, _)| &turn.pictures).filter_map(|picture| picture.hash()).collect()
    }

    /// Lines that could not be read, as they were.
    pub fn damaged(&self) -> &[Vec<u8>] {
        &self.damaged
    }

    /// How many lines only a later version of the app can read.
    pub fn later(&self) -> usize {
        self.later
    }

    /// Whether there is something that was deleted and still stands in the lines.
    pub fn has_deletions(&self) -> bool {
        !self.deleted.is_empty()
    }

    /// The shortest lines that amount to the same. None where a later version wrote: its lines stay as they are.
    pub fn compacted(&self) -> Option<Vec<String>> {
        if self.closed {
            return None;
        }
        let mut lines = Vec::new();
        for chat in self.chats.iter().filter(|chat| !chat.is_empty()) {
            let mut line = |by, record| lines.push(Line { v: VERSION, by, record }.text());
            line(0, Entry::Begin { chat: chat.id, created_ms: chat.created_ms });
            if !chat.title.is_empty() {
                line(0, Entry::Rename { chat: chat.id, title: chat.title.clone() });
            }
            for (turn, by) in &chat.turns {
                line(*by, Entry::Say { chat: chat.id, turn: turn.clone() });
            }
        }
        Some(lines)
    }
}

impl Chat {
    /// Nothing was said, or it was taken back, and nobody named it.
    fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.title.is_empty()
    }
}

#[cfg(test)]
mod tests;
