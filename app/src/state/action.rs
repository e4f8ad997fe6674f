//! What the person does.

use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{ModelSource, Picture};
use mole_runtime::model::Precision;

use super::models::{Recent, Slot};
use super::notice::Notice;
use super::preferences::{Panel, Preferences};
use crate::chat::{ChatId, TurnId};

/// Something the person asked for.
#[derive(Clone, Debug)]
pub enum Action {
    /// Change the draft's words.
    Write(String),
    /// Send the draft.
    Send,
    /// Stop the answer.
    Stop,
    /// Answer the last question anew.
    Regenerate,
    /// Take a turn of the person's back into the draft, pictures too.
    Edit(TurnId),
    /// Leave the edited turn as it was.
    CancelEdit,
    /// Choose pictures from a file dialog.
    PickPictures,
    /// Put pictures into the draft.
    Attach(Vec<Picture>),
    /// Take the draft's n-th picture out.
    Detach(usize),
    /// Take the draft's n-th picture out because it cannot be shown; why.
    Refuse(usize, String),
    /// Take a sample picture and its question for the draft.
    TrySample(Picture, String),
    /// Tell the person something.
    Tell(Notice),
    /// Begin a new conversation.
    NewChat,
    /// Show a conversation.
    Open(ChatId),
    /// Name a conversation.
    Rename(ChatId, String),
    /// Forget a conversation.
    Delete(ChatId),
    /// Save a conversation as Markdown.
    ExportMarkdown(ChatId),
    /// Save a conversation as JSON.
    ExportJson(ChatId),
    /// Save a file that a view made: the routing's exports.
    Save {
        /// A name to propose.
        name: String,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// Put the n-th notice away.
    Dismiss(usize),
    /// Keep the routing that is shown, to compare others with it.
    PinTrace,
    /// Take the n-th kept routing away.
    UnpinTrace(usize),
    /// Show something beside the conversation.
    Show(Panel),
    /// Change preferences.
    Prefer(Box<Preferences>),
    /// Choose a folder from a dialog.
    PickFolder(Slot),
    /// Name a folder: by path, or as the dialog gave it.
    Choose(Slot, ModelSource),
    /// Take a folder out of its slot: no adapter, or the demo model instead of a checkpoint.
    Unchoose(Slot),
    /// A model of the list, both folders at once.
    ChooseRecent(Recent),
    /// Take a model out of the list.
    ForgetRecent(usize),
    /// On which device the next model is to run.
    Device(DeviceChoice),
    /// How its weights are to be kept; none as the checkpoint and the device suggest.
    Weights(Option<Precision>),
    /// Load what was chosen.
    Load,
    /// Choose a training run's folder.
    PickRun,
    /// Name a training run's folder.
    WatchRun(std::path::PathBuf),
    /// Close the training run.
    CloseRun,
}
