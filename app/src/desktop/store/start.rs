//! A start: the journal is read, and put in order where this window is alone.

use std::path::Path;
use std::sync::Arc;

use super::files::{self, Journal, Trouble};
use super::lock::Lock;
use crate::chat::{Conversation, End, Replay, WriterId};

/// The journal.
pub(super) const HISTORY: &str = "history.jsonl";
/// The folder of pictures.
pub(super) const PICTURES: &str = "pictures";
/// Lines of the journal that could not be read.
pub(super) const DAMAGED: &str = "damaged.jsonl";

/// A journal this much longer than need be is left alone, in bytes.
const SLACK: usize = 64 << 10;

/// What a start found.
pub(super) struct Start {
    /// Shared with other windows.
    pub lock: Option<Lock>,
    pub conversations: Vec<Conversation>,
    pub found: Findings,
}

/// What is wrong in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Findings {
    /// Lines that could not be read.
    pub damaged: usize,
    /// They were moved out of the journal.
    pub set_aside: bool,
    /// Lines of a later version.
    pub later: usize,
    /// Pictures without a file.
    pub gone: usize,
}

/// Reads the journal.
pub(super) fn start(folder: &Path, by: WriterId) -> Result<Start, Trouble> {
    // Reading needs no folder to be made, and where that fails, writing will say so.
    let _ = files::make_folder(folder);
    let lock = Lock::open(folder);
    let alone = lock.as_ref().is_some_and(Lock::try_alone);
    if let Some(lock) = lock.as_ref().filter(|_| !alone) {
        lock.share();
    }
    let bytes = files::read(&folder.join(HISTORY))?.unwrap_or_default();
    let (whole, end) = bytes.split_at(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    let mut replay = Replay::default();
    whole.split(|byte| *byte == b'\n').for_each(|line| replay.line(line));
    let end = replay.end(end);
    let picture = |name: &str| files::read(&folder.join(PICTURES).join(name)).ok().flatten().map(Arc::from);
    let (conversations, gone) = replay.conversations(|hash| picture(hash.as_str()));
    let mut set_aside = false;
    if alone {
        match put_in_order(folder, &replay, bytes.len(), end, by) {
            Ok(aside) => set_aside = aside,
            // Nothing was changed by halves, and the next start tries again.
            Err(trouble) => log::warn!("the history stays as it is: {trouble:?}"),
        }
    }
    if let Some(lock) = lock.as_ref().filter(|_| alone) {
        // The journal is opened by name only after this: another window may have shortened it in between.
        lock.share();
    }
    let found = Findings { damaged: replay.damaged().len(), set_aside, later: replay.later(), gone };
    Ok(Start { lock, conversations, found })
}

/// Cuts a torn end off, sweeps leftovers away, and shortens the journal where that is worth it. Whether damaged lines
/// were moved aside.
fn put_in_order(folder: &Path, replay: &Replay, length: usize, end: End, by: WriterId) -> Result<bool, Trouble> {
    let history = folder.join(HISTORY);
    if let End::Torn(torn) = end {
        files::cut(&history, (length - torn) as u64)?;
    }
    files::sweep(folder)?;
    files::sweep(&folder.join(PICTURES))?;
    let Some(lines) = replay.compacted() else { return Ok(false) };
    let damaged = replay.damaged();
    let shortest = lines.iter().map(|line| line.len() + 1).sum::<usize>();
    // What was deleted leaves the disk at once.
    let worthwhile = replay.has_deletions() || !damaged.is_empty() || length > 2 * shortest + SLACK;
    if !worthwhile {
        return Ok(false);
    }
    if !damaged.is_empty() {
        let mut aside = Journal::open(&folder.join(DAMAGED))?;
        damaged.iter().try_for_each(|line| aside.append(line))?;
        aside.sync()?;
    }
    let mut text = Vec::with_capacity(shortest);
    for line in lines {
        text.extend(line.into_bytes());
        text.push(b'\n');
    }
    files::write_whole(&history, &text, by)?;
    remove_pictures(folder, replay)?;
    Ok(!damaged.is_empty())
}

/// Removes the pictures that nothing shows any more. Those that a damaged line names are kept with it.
fn remove_pictures(folder: &Path, replay: &Replay) -> Result<(), Trouble> {
    let shown = replay.pictures();
    let damaged = files::read(&folder.join(DAMAGED))?.unwrap_or_default();
    let damaged = String::from_utf8_lossy(&damaged);
    let pictures = folder.join(PICTURES);
    for name in files::names(&pictures)? {
        let is_shown = shown.iter().any(|hash| hash.as_str() == name);
        if name.len() == 64 && !is_shown && !damaged.contains(&name) {
            files::remove(&pictures.join(name))?;
        }
    }
    Ok(())
}
