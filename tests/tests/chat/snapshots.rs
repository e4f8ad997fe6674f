//! A few pictures of chat and routing: light and dark, English and Chinese.

use egui::Theme;
use egui_kittest::SnapshotResults;
use llava_mole::language::Language;
use llava_mole::state::{Action, Panel};
use mole_tests::required;

use super::stage::{Setting, Stage, sample};

/// A chart that was asked about, with its answer.
fn answered(language: Language, theme: Theme) -> Stage {
    let mut setting = Setting::in_language(language);
    setting.theme = theme;
    setting.state.preferences.theme = match theme {
        Theme::Dark => llava_mole::state::Theme::Dark,
        Theme::Light => llava_mole::state::Theme::Light,
    };
    setting.size = [1180.0, 760.0];
    let mut stage = setting.real();
    stage.act(Action::Attach(vec![sample("document-3.png")]));
    stage.act(Action::Write("What number is shown for Oil?".to_string()));
    stage.act(Action::Send);
    stage.until("it is answered", |state| state.chat().is_some() && !state.is_answering());
    stage
}

/// Whether pictures can be drawn here: they take a GPU, if only one in software.
fn can_draw() -> bool {
    let found = pollster::block_on(mole_runtime::device::adapters());
    if found.is_empty() {
        assert!(!required(), "MOLE_REQUIRE_GPU is set, but there is no GPU to draw with");
        eprintln!("SKIPPED, no GPU to draw with");
    }
    !found.is_empty()
}

#[test]
fn chat_and_routing_look_as_they_did() {
    if !can_draw() {
        return;
    }
    let mut results = SnapshotResults::new();
    for (language, theme, name) in
        [(Language::English, Theme::Dark, "english-dark"), (Language::Chinese, Theme::Light, "chinese-light")]
    {
        let mut stage = answered(language, theme);
        steady(&mut stage);
        results.add(stage.harness.try_snapshot(format!("chat-{name}")));
        stage.act(Action::Show(Panel::Routing));
        stage.until("it is traced", |state| state.trace.as_ref().is_some_and(|trace| trace.complete));
        steady(&mut stage);
        results.add(stage.harness.try_snapshot(format!("routing-{name}")));
    }
    results.unwrap();
}

/// Pictures are decoded beside the frames; cursors blink and speeds differ from run to run.
fn steady(stage: &mut Stage) {
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        stage.settle();
    }
    stage.mask_figures();
}
