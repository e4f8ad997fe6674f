//! The file of preferences.

use std::path::Path;

use super::files::{self, Trouble};
use super::told;
use crate::chat::WriterId;
use crate::language::Language;
use crate::state::{Notice, Preferences};

const FILE: &str = "preferences.json";
/// A file that could not be read, kept until the next one.
const DAMAGED: &str = "preferences.damaged.json";

/// Why there are no preferences.
pub(super) enum Unread {
    /// The file does not let itself be read.
    Trouble(Trouble),
    /// It holds something else.
    Damaged(serde_json::Error),
}

/// What is kept; the defaults where there is no file.
pub(super) fn read(folder: &Path) -> Result<Preferences, Unread> {
    match files::read(&folder.join(FILE)).map_err(Unread::Trouble)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(Unread::Damaged),
        None => Ok(Preferences::default()),
    }
}

/// What is kept. A damaged file is moved aside, since the next choice writes another.
pub(super) fn open(folder: Option<&Path>, language: Language) -> (Preferences, Option<Notice>) {
    // Where there is no folder, the history says so.
    let Some(folder) = folder else { return (Preferences::default(), None) };
    match read(folder) {
        Ok(preferences) => (preferences, None),
        // The history lies in the same folder, and tells the person.
        Err(Unread::Trouble(trouble)) => {
            log::warn!("the preferences are the defaults: {trouble:?}");
            (Preferences::default(), None)
        }
        Err(Unread::Damaged(error)) => {
            let (file, aside) = (folder.join(FILE), folder.join(DAMAGED));
            let kept = std::fs::rename(&file, &aside).is_ok();
            let notice = told::damaged_preferences(language, if kept { &aside } else { &file }, &error);
            (Preferences::default(), Some(notice))
        }
    }
}

/// Keeps the preferences.
pub(super) fn write(folder: &Path, preferences: &Preferences, by: WriterId) -> Result<(), Trouble> {
    let mut text = serde_json::to_vec_pretty(preferences).expect("choices are JSON");
    text.push(b'\n');
    files::write_whole(&folder.join(FILE), &text, by)
}
