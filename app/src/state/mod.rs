//! What the app is, as plain data: conversations, the model, what is under way. No window, no clock of its own, no
//! waiting: [`State::act`] and [`State::arrive`] change it and leave [`Effect`]s for the shell.

mod action;
mod answer;
mod arrival;
mod chats;
mod draft;
mod effect;
mod engine;
mod models;
mod notice;
mod preferences;
mod sample;
mod tracing;
mod work;

pub use action::Action;
pub use arrival::{Arrival, Demo, Guest, GuestEvent};
pub(crate) use chats::file_name;
pub use draft::Draft;
pub use effect::Effect;
pub use models::{Models, Recent, Slot};
pub use notice::{Notice, Severity};
pub use preferences::{Panel, Preferences, Sampling, Theme};
pub use sample::Sample;
pub use work::{Answering, Work};

use std::collections::VecDeque;

use mole_runtime::engine::Command;

use crate::chat::{ChatId, Conversation, Record, TurnId};
use crate::language::Language;
use crate::routing::Trace;

/// The app.
#[derive(Debug, Default)]
pub struct State {
    /// The conversations, oldest first. The one that is shown may be new, and then it is not among those kept.
    pub chats: Vec<Conversation>,
    /// The one that is shown; none is a new one in which nothing was said.
    pub current: Option<ChatId>,
    /// The message that is being written.
    pub draft: Draft,
    /// Which model answers.
    pub models: Models,
    /// What the engine is doing.
    pub work: Work,
    /// What the person is told.
    pub notices: Vec<Notice>,
    /// What the person has chosen.
    pub preferences: Preferences,
    /// The system's language, for those who chose none.
    pub system_language: Language,
    /// Where the tokens of the shown conversation went, while the panel is open.
    pub trace: Option<Trace>,
    /// Traces kept to compare with.
    pub pinned: Vec<Trace>,
    /// Pictures to begin with.
    pub samples: Vec<Sample>,
    /// The training run that is watched.
    pub run: Option<std::path::PathBuf>,
    /// Now, in milliseconds since 1970 (UTC); the view sets it before every frame.
    pub now_ms: u64,
    effects: Vec<Effect>,
    wishes: Wishes,
    /// Whether the model was loaded anew after its device was lost, with nothing answered since.
    rebuilt: bool,
}

/// What is to be done when the engine is free, most urgent first.
#[derive(Debug, Default)]
struct Wishes {
    load: bool,
    answer: Option<(ChatId, TurnId)>,
    guests: VecDeque<Guest>,
    estimate: bool,
    trace: bool,
}

impl State {
    /// The app's language.
    pub fn language(&self) -> Language {
        self.preferences.language.unwrap_or(self.system_language)
    }

    /// The conversation that is shown; none where nothing was said in it yet.
    pub fn chat(&self) -> Option<&Conversation> {
        self.current.and_then(|id| self.chat_of(id))
    }

    /// A conversation.
    pub fn chat_of(&self, id: ChatId) -> Option<&Conversation> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    /// What is to be done outside; each is handed out once.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The person does something.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Write(text) => self.draft.text = text,
            Action::Send => self.send(),
            Action::Stop => self.stop(),
            Action::Regenerate => self.regenerate(),
            Action::Edit(turn) => self.edit(turn),
            Action::CancelEdit => self.draft = Draft::default(),
            Action::PickPictures => self.effects.push(Effect::PickPictures),
            Action::Attach(pictures) => self.attach(pictures),
            Action::Detach(index) => drop(self.draft.pictures.remove(index)),
            Action::Refuse(index, reason) => {
                self.draft.pictures.remove(index);
                self.notices.push(Notice::error(reason));
            }
            Action::TrySample(picture, question) => {
                self.draft = Draft { text: question, pictures: vec![picture], editing: None };
            }
            Action::Tell(notice) => self.notices.push(notice),
            Action::NewChat => self.show_chat(None),
            Action::Open(id) => self.show_chat(Some(id)),
            Action::Rename(id, title) => self.rename(id, title),
            Action::Delete(id) => self.delete(id),
            Action::ExportMarkdown(id) => {
                let language = self.language();
                self.export(id, "md", |chat| crate::chat::markdown(chat, language).into_bytes());
            }
            Action::ExportJson(id) => self.export(id, "json", |chat| crate::chat::json(chat).into_bytes()),
            Action::Save { name, bytes } => self.effects.push(Effect::Save { name, bytes }),
            Action::Dismiss(index) => drop(self.notices.remove(index)),
            Action::PinTrace => self.pinned.extend(self.trace.clone().filter(|trace| trace.complete)),
            Action::UnpinTrace(index) => drop(self.pinned.remove(index)),
            Action::Show(panel) => self.show_panel(panel),
            Action::Prefer(preferences) => self.prefer(*preferences),
            Action::PickFolder(slot) => self.effects.push(Effect::PickFolder(slot)),
            Action::Choose(slot, source) => self.choose(slot, Some(source)),
            Action::Unchoose(slot) => self.choose(slot, None),
            Action::ChooseRecent(recent) => self.choose_recent(recent),
            Action::ForgetRecent(index) => {
                self.preferences.recent.remove(index);
                self.remember_preferences();
            }
            Action::Device(device) => {
                self.models.device = device;
                self.want_estimate();
            }
            Action::Weights(weights) => {
                self.models.weights = weights;
                self.want_estimate();
            }
            Action::Load => self.load(),
            Action::PickRun => self.effects.push(Effect::PickRun),
            Action::WatchRun(folder) => self.run = Some(folder),
            Action::CloseRun => self.run = None,
        }
        self.go_on();
    }

    /// Something came from outside.
    pub fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Engine(event) => self.engine_event(event),
            Arrival::Pictures(pictures) => self.attach(pictures),
            Arrival::Folder(slot, source) => self.choose(slot, Some(source)),
            Arrival::Run(folder) => self.run = Some(folder),
            Arrival::History(mut chats) => {
                // What was said before the old ones came stays last.
                chats.append(&mut self.chats);
                self.chats = chats;
            }
            Arrival::Preferences(preferences) => self.preferences = preferences,
            Arrival::Downloading { done_bytes, total_bytes } => {
                self.models.downloading = Some((done_bytes, total_bytes));
            }
            Arrival::Demo(demo) => {
                self.models.downloading = None;
                self.models.demo = Some(demo);
                if self.models.loaded.is_none() && self.models.model.is_none() {
                    self.load();
                }
            }
            Arrival::Samples(samples) => self.samples = samples,
            Arrival::Notice(notice) => self.notices.push(notice),
            Arrival::Guest(guest) => self.wishes.guests.push_back(guest),
            Arrival::GuestStop => {
                self.wishes.guests.clear();
                if matches!(self.work, Work::Guest(_)) {
                    self.effects.push(Effect::Engine(Command::Cancel));
                }
            }
        }
        self.go_on();
    }

    fn show_panel(&mut self, panel: Panel) {
        self.preferences.panel = panel;
        self.remember_preferences();
        match panel {
            Panel::Routing => self.want_trace(),
            // Nothing is recorded for a panel that is closed.
            _ => self.trace = None,
        }
        if panel == Panel::Models && self.models.estimate.is_none() {
            self.want_estimate();
        }
    }

    fn prefer(&mut self, preferences: Preferences) {
        self.preferences = preferences;
        self.remember_preferences();
    }

    fn remember_preferences(&mut self) {
        self.effects.push(Effect::Remember(self.preferences.clone()));
    }

    fn record(&mut self, record: Record) {
        self.effects.push(Effect::Record(record));
    }
}
