//! What the state wants done outside of it. Shells carry it out, and answer with [`Arrival`](super::Arrival)s.

use mole_runtime::engine::Command;

use super::models::Slot;
use super::preferences::Preferences;
use crate::chat::Record;

/// Something for the shell to do. None of it may block.
#[derive(Debug)]
pub enum Effect {
    /// Hand a command to the engine.
    Engine(Command),
    /// Let the person choose pictures. Answers: `Pictures`, `Notice`.
    PickPictures,
    /// Let the person choose a folder. Answers: `Folder`, `Notice`.
    PickFolder(Slot),
    /// Let the person choose a training run's folder. Answers: `Run`. Desktop alone.
    PickRun,
    /// Let the person save a file. Answers: `Notice`.
    Save {
        /// A name to propose.
        name: String,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// Append to the history. Answers: `Notice` if it cannot be kept.
    Record(Record),
    /// Keep the preferences.
    Remember(Preferences),
}
