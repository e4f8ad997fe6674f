//! Carries out what the app wants done outside.

use std::rc::Rc;

use llava_mole::state::Effect;
use llava_mole::ui::Perform;
use mole_runtime::engine::Engine;

use crate::files;
use crate::history::History;
use crate::inbox::Inbox;

/// The app's hands in a page.
pub fn perform(engine: Rc<Engine>, history: History, inbox: Inbox) -> Perform {
    Box::new(move |effect| match effect {
        Effect::Engine(command) => engine.send(command),
        Effect::PickPictures => files::pick_pictures(&inbox),
        Effect::PickFolder(slot) => files::pick_folder(slot, &inbox),
        // The training view is the desktop's alone.
        Effect::PickRun => {}
        Effect::Save { name, bytes } => files::save(&name, &bytes, &inbox),
        Effect::Record(record) => history.record(record),
        Effect::Remember(preferences) => history.remember(preferences),
    })
}
