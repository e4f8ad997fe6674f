//! Choosing a model: what it would take, loading it, what goes wrong.

use std::path::Path;

use llava_mole::state::{Action, Panel, Slot};
use mole_runtime::Error;
use mole_runtime::engine::{Command, Event, ModelSource};
use mole_runtime::model::LoadProgress;
use mole_tests::fixtures;

use super::stage::{Setting, info};

fn folder(case: &str) -> ModelSource {
    ModelSource::Folder(fixtures().join(case).join("model"))
}

#[test]
fn the_estimate_comes_before_loading_and_the_model_is_switched_without_a_restart() {
    let mut stage = Setting { random_words: true, ..Setting::default() }.real();
    stage.click("Models");
    stage.until("the demo model is estimated", |state| matches!(&state.models.estimate, Some(Ok(_))));
    assert!(stage.shows("3 experts a layer") && stage.shows("In all"));
    stage.act(Action::Choose(Slot::Model, folder("mha")));
    stage.until(
        "the other model is estimated",
        |state| matches!(&state.models.estimate, Some(Ok(info)) if info.name.contains("mha")),
    );
    assert!(!stage.state().models.loaded.as_ref().expect("the demo").name.contains("mha"), "nothing is loaded yet");
    stage.click("Load");
    stage.until("the other model is loaded", |state| {
        state.models.loaded.as_ref().is_some_and(|info| info.name.contains("mha"))
    });
    stage.write("Hello");
    stage.click("Send");
    stage.until("it answers", |state| !state.is_answering());
    let answer = stage.state().chat().and_then(|chat| chat.turns.last()).expect("answered").clone();
    assert!(answer.outcome.expect("ended").model.contains("mha"));
}

#[test]
fn a_folder_that_is_no_model_says_so_where_it_was_chosen_and_leaves_the_one_before() {
    let mut stage = Setting::default().real();
    stage.click("Models");
    let nowhere = std::env::temp_dir().join("no such model");
    stage.act(Action::Choose(Slot::Model, ModelSource::Folder(nowhere)));
    stage.until("it is found out", |state| matches!(&state.models.estimate, Some(Err(_))));
    assert!(stage.shows_text("no such model"));
    stage.click("Load");
    stage.until("it is refused", |state| state.models.error.is_some());
    assert!(stage.state().notices.is_empty(), "told once, where it happened");
    stage.write("Hello");
    stage.click("Send");
    stage.until("the one before answers", |state| !state.is_answering());
    assert!(stage.state().chat().expect("asked").turns[1].outcome.is_some());
}

#[test]
fn loading_shows_how_far_it_is() {
    let mut stage = Setting::default().scripted();
    stage.click("Models");
    stage.commands();
    stage.tell(Event::Estimated(Box::new(info().clone())));
    stage.click("Load");
    assert!(matches!(stage.commands()[..], [Command::Load(_)]));
    stage.tell(Event::Loading(LoadProgress { done_bytes: 30, total_bytes: 40 }));
    assert!(stage.shows_text("75 %"));
    stage.tell(Event::Failed(Error::Memory(
        "the model needs 31 GB, and the CPU offers 8 GB; --weights f16 fits".into(),
    )));
    assert!(stage.shows_text("31 GB"));
}

#[test]
fn models_that_were_loaded_are_listed_the_newest_first() {
    let mut stage = Setting::default().scripted();
    for case in ["mha", "gqa", "mha"] {
        stage.act(Action::Choose(Slot::Model, folder(case)));
        stage.commands();
        if !stage.state().work.is_idle() {
            stage.tell(Event::Estimated(Box::new(info().clone())));
        }
        stage.act(Action::Load);
        stage.tell(Event::Loaded(Box::new(info().clone())));
    }
    let listed: Vec<_> = stage.state().preferences.recent.iter().map(|recent| recent.model.clone()).collect();
    let path = |case: &str| Some(fixtures().join(case).join("model"));
    assert_eq!(listed, [path("mha"), path("gqa"), None]);
    stage.act(Action::Show(Panel::Models));
    stage.act(Action::ForgetRecent(0));
    assert_eq!(stage.state().preferences.recent.len(), 2);
}

#[test]
fn a_path_can_be_written_instead_of_chosen() {
    let mut stage = Setting::default().scripted();
    stage.act(Action::Show(Panel::Models));
    stage.commands();
    let field = stage.field("Checkpoint folder");
    field.focus();
    stage.settle();
    stage.field("Checkpoint folder").type_text("/models/mine");
    stage.settle();
    stage.press(egui::Modifiers::NONE, egui::Key::Enter);
    assert!(
        matches!(&stage.state().models.model, Some(ModelSource::Folder(path)) if path == Path::new("/models/mine"))
    );
}
