//! The app's inbox.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use async_channel::Sender;
use llava_mole::language::Language;
use llava_mole::state::{Arrival, Notice};

/// Where everything arrives that comes from outside the app. A frame follows each arrival.
#[derive(Clone)]
pub struct Inbox {
    arrivals: Sender<Arrival>,
    context: Rc<OnceCell<egui::Context>>,
    language: Rc<Cell<Language>>,
}

impl Inbox {
    pub fn new(arrivals: Sender<Arrival>, language: Language) -> Self {
        Self { arrivals, context: Rc::default(), language: Rc::new(Cell::new(language)) }
    }

    /// From now on there are frames.
    pub fn attach(&self, context: egui::Context) {
        // The first one stays; there is no second.
        let _ = self.context.set(context);
    }

    /// Does something with the frames' context, and asks for a frame.
    pub fn with_context(&self, change: impl FnOnce(&egui::Context)) {
        if let Some(context) = self.context.get() {
            change(context);
            context.request_repaint();
        }
    }

    pub fn arrive(&self, arrival: Arrival) {
        // The app is gone when the page is: then nobody listens.
        let _ = self.arrivals.try_send(arrival);
        self.with_context(|_| ());
    }

    /// Something did not work.
    pub fn error(&self, english: String, chinese: String) {
        self.arrive(Arrival::Notice(Notice::error(self.language().pick(english, chinese))));
    }

    /// Good to know.
    pub fn info(&self, english: &str, chinese: &str) {
        self.arrive(Arrival::Notice(Notice::info(self.language().pick(english, chinese))));
    }

    /// The app's language, as it was in the last frame.
    pub fn language(&self) -> Language {
        self.language.get()
    }

    pub fn set_language(&self, language: Language) {
        self.language.set(language);
    }
}
