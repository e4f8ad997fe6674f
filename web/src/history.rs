//! Conversations and choices in the browser's storage. Records are written one after the other, in the order they were
//! made, by a task of their own.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use async_channel::{Receiver, Sender, unbounded};
use llava_mole::chat::{Conversation, PictureHash, Record, Replay, WriterId, keep};
use llava_mole::state::Preferences;

use crate::inbox::Inbox;
use crate::storage::{Revision, Storage, Table};

/// Where the choices are.
const PREFERENCES: &str = "preferences";
/// Fewer superfluous records than this are not worth writing all of them anew.
const WORTH_COMPACTING: usize = 256;

/// Something to keep.
enum Entry {
    Record(Record),
    Preferences(Box<Preferences>),
}

/// Takes what is to be kept.
pub struct History {
    entries: Sender<Entry>,
}

impl History {
    /// The way into the history, and the task at its end.
    pub fn new(storage: Option<Rc<Storage>>, inbox: Inbox) -> (Self, impl Future<Output = ()>) {
        let (entries, queue) = unbounded();
        (Self { entries }, write(queue, storage, inbox))
    }

    pub fn record(&self, record: Record) {
        // The task ends with the page.
        let _ = self.entries.try_send(Entry::Record(record));
    }

    pub fn remember(&self, preferences: Preferences) {
        let _ = self.entries.try_send(Entry::Preferences(Box::new(preferences)));
    }
}

/// What cannot be kept waits, and is tried again, in order, when there is more to keep.
async fn write(queue: Receiver<Entry>, storage: Option<Rc<Storage>>, inbox: Inbox) {
    let Some(storage) = storage else { return };
    let by = writer();
    let mut waiting = VecDeque::new();
    let mut troubled = false;
    while let Ok(entry) = queue.recv().await {
        waiting.push_back(entry);
        match write_all(&storage, &mut waiting, by).await {
            Ok(()) if std::mem::take(&mut troubled) => {
                inbox.info("The conversation can be kept again, and is.", "对话已可重新保存，并已保存。");
            }
            Ok(()) => {}
            Err(reason) if !std::mem::replace(&mut troubled, true) => inbox.error(
                format!(
                    "This conversation cannot be kept ({reason}): it will be gone when the page is closed. Export it, \
                     delete old conversations, or free storage."
                ),
                format!("此对话无法保存（{reason}）：关闭页面后将丢失。请导出对话、删除旧对话或释放存储空间。"),
            ),
            Err(_) => {}
        }
    }
}

async fn write_all(storage: &Storage, waiting: &mut VecDeque<Entry>, by: WriterId) -> Result<(), String> {
    while let Some(entry) = waiting.front() {
        match entry {
            Entry::Record(record) => append(storage, record, by).await?,
            Entry::Preferences(preferences) => remember(storage, preferences).await?,
        }
        waiting.pop_front();
    }
    Ok(())
}

/// This tab, from its start to its end: below 2^53, as the journal wants it.
fn writer() -> WriterId {
    (js_sys::Math::random() * (1_u64 << 53) as f64) as WriterId
}

async fn append(storage: &Storage, record: &Record, by: WriterId) -> Result<(), String> {
    let kept = keep(record, by);
    let pictures: Vec<(&str, &[u8])> =
        kept.pictures.iter().map(|(hash, bytes)| (hash.as_str(), bytes.as_ref())).collect();
    storage.append(&kept.line, &pictures).await
}

async fn remember(storage: &Storage, preferences: &Preferences) -> Result<(), String> {
    let text = serde_json::to_string(preferences).map_err(|error| error.to_string())?;
    storage.put_text(Table::Choices, PREFERENCES, &text).await
}

/// The choices of earlier times; the default where there are none that can be read.
pub async fn preferences(storage: &Storage) -> Preferences {
    let text = storage.text(Table::Choices, PREFERENCES).await.ok().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// What earlier times have left.
pub struct Recalled {
    pub chats: Vec<Conversation>,
    /// How many pictures are gone.
    pub gone: usize,
    /// How many records cannot be read: damaged, or of a later version.
    pub unread: usize,
}

/// The conversations of earlier times. What was deleted since the last start leaves the storage here.
pub async fn recall(storage: &Storage) -> Result<Recalled, String> {
    let mut replay = Replay::default();
    storage
        .revise(|records, pictures| {
            records.iter().for_each(|record| replay.line(record.as_bytes()));
            revision(&replay, records.len(), pictures)
        })
        .await?;
    let mut found: HashMap<PictureHash, Arc<[u8]>> = HashMap::new();
    for hash in replay.pictures() {
        if let Some(bytes) = storage.bytes(Table::Pictures, hash.as_str()).await? {
            found.insert(hash, bytes.into());
        }
    }
    let (chats, gone) = replay.conversations(|hash| found.get(hash).cloned());
    Ok(Recalled { chats, gone, unread: replay.damaged().len() + replay.later() })
}

/// What nothing refers to any more goes, unless there is something that we do not understand.
fn revision(replay: &Replay, records: usize, pictures: &[String]) -> Revision {
    let lines = replay.compacted().filter(|_| replay.damaged().is_empty());
    let Some(lines) = lines else { return Revision::default() };
    let shown = replay.pictures();
    let forgotten = pictures.iter().filter(|key| !shown.iter().any(|hash| hash.as_str() == key.as_str()));
    let forgotten: Vec<String> = forgotten.cloned().collect();
    // A deleted conversation's words go as soon as its pictures do.
    let worth = records > lines.len() + WORTH_COMPACTING || !forgotten.is_empty();
    Revision { records: worth.then_some(lines), forgotten }
}
