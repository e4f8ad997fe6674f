//! What comes from outside: the engine's events, files, what a page asks for.

use std::path::PathBuf;

use async_channel::Sender;
use mole_runtime::engine::{Event, ModelSource, Picture, Reply, ReplyRequest};

use super::models::Slot;
use super::notice::Notice;
use super::preferences::Preferences;
use super::sample::Sample;
use crate::chat::Conversation;

/// Something came.
#[derive(Debug)]
pub enum Arrival {
    /// The engine tells something.
    Engine(Event),
    /// Pictures were chosen, dropped or pasted.
    Pictures(Vec<Picture>),
    /// A checkpoint's or an adapter's folder was chosen.
    Folder(Slot, ModelSource),
    /// A training run's folder was chosen.
    Run(PathBuf),
    /// The conversations of earlier times, oldest first; comes once, soon after the start.
    History(Vec<Conversation>),
    /// The choices of earlier times; comes once, before the first frame where it can.
    Preferences(Preferences),
    /// How far the demo model's download is (in a page).
    Downloading {
        /// Bytes so far.
        done_bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// The demo model is at hand.
    Demo(Demo),
    /// Pictures to begin with.
    Samples(Vec<Sample>),
    /// Something to tell.
    Notice(Notice),
    /// A page asks the model by script.
    Guest(Guest),
    /// A page's script stops its question.
    GuestStop,
}

/// The demo model and its experts.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The base checkpoint.
    pub model: ModelSource,
    /// Its experts.
    pub adapter: ModelSource,
}

/// A question that comes from a script of the page, not from the person.
#[derive(Debug)]
pub struct Guest {
    /// What it asks.
    pub request: ReplyRequest,
    /// Where the answer goes.
    pub events: Sender<GuestEvent>,
}

/// What a script is told.
#[derive(Debug)]
pub enum GuestEvent {
    /// The next words.
    Token(String),
    /// The answer is complete.
    Replied(Box<Reply>),
    /// It failed; what happened and what to do.
    Failed(String),
}
