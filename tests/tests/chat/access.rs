//! Names for every control, the keyboard alone, two languages.

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use llava_mole::language::Language;
use llava_mole::state::{Action, Arrival, Notice, Panel};
use mole_runtime::engine::Event;
use mole_runtime::generate::StopReason;

use super::scripted::replied;
use super::stage::{CONTROLS, Setting, Stage, info, sample};

/// Every panel of the app with something in it, in a language.
fn every_view(language: Language, mut look: impl FnMut(&mut Stage, &str)) {
    let mut stage = Setting::in_language(language).scripted();
    look(&mut stage, "welcome");
    stage.arrive(Arrival::Notice(Notice::error("Something.")));
    stage.act(Action::Attach(vec![sample("general-1.png")]));
    stage.write("Hello **you**");
    look(&mut stage, "draft");
    stage.act(Action::Send);
    look(&mut stage, "answering");
    stage.tell(Event::Token("One\n\n- a\n- b\n\n```\nx\n```".to_string()));
    stage.tell(replied("One\n\n- a\n- b\n\n```\nx\n```", StopReason::MaxTokens));
    look(&mut stage, "answered");
    for panel in [Panel::Settings, Panel::Models, Panel::Routing, Panel::Training] {
        stage.act(Action::Show(panel));
        if panel == Panel::Models {
            look(&mut stage, "estimating");
            stage.tell(Event::Estimated(Box::new(info().clone())));
        }
        look(&mut stage, &format!("{panel:?}"));
    }
    stage.act(Action::Show(Panel::None));
    stage.click(language.pick("This chat", "本对话"));
    look(&mut stage, "menu");
    stage.click(language.pick("Rename…", "重命名…"));
    look(&mut stage, "renaming");
}

#[test]
fn every_control_has_a_name() {
    for language in Language::ALL {
        let mut seen = std::collections::BTreeSet::new();
        every_view(language, |stage, view| {
            for node in stage.harness.root().children_recursive() {
                let node = node.accesskit_node();
                if !CONTROLS.contains(&node.role()) {
                    continue;
                }
                let name = node.label().or_else(|| node.value()).unwrap_or_default();
                assert!(!name.trim().is_empty(), "{view}: a {:?} at {:?} has no name", node.role(), node.raw_bounds());
                seen.insert(name);
            }
        });
        assert!(seen.len() > 25, "only {} controls were found: {seen:?}", seen.len());
    }
}

#[test]
fn no_english_is_left_in_chinese() {
    // What is the same in both: names of keys, formats, units, things the test wrote.
    // egui's own name for the edges of panels, which it has in English alone, goes first: others are parts of it.
    let known = [
        "Resize panel",
        "general-1.png",
        "CPU",
        "GPU",
        "GPU {",
        "f16",
        "f32",
        "Enter",
        "Shift+Enter",
        "Esc",
        "Ctrl+",
        "Page Up",
        "Tab",
        "Top k",
        "Top p",
        "English",
        "LoRA",
        "Hello",
        "you",
        "One",
        "Something.",
        "the demo",
        ".png",
        "Markdown",
        "JSON",
        "CSV",
        "PNG",
        "x",
        "MB",
        "kB",
        "GB",
        "a",
        "b",
        " M",
        "%",
        "·",
        "Picture",
    ];
    let english = |text: &str| {
        let mut rest = text.to_string();
        for word in known {
            rest = rest.replace(word, "");
        }
        rest.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.len() > 3)
    };
    let samples: Vec<String> = llava_mole::samples::embedded().into_iter().map(|sample| sample.question).collect();
    every_view(Language::Chinese, |stage, view| {
        for node in stage.harness.root().children_recursive() {
            let Some(text) = node.accesskit_node().label() else { continue };
            // The samples' questions are the demo model's, which knows English alone.
            assert!(!english(&text) || samples.contains(&text), "{view}: {text:?}");
        }
    });
}

#[test]
fn the_language_is_chosen_from_the_system_and_changed_at_once() {
    let mut setting = Setting::default();
    setting.state.system_language = Language::Chinese;
    let mut stage = setting.scripted();
    assert!(stage.shows("发送") && !stage.shows("Send"));
    stage.click("设置");
    stage.click("语言");
    stage.click("English");
    assert!(stage.shows("Send") && !stage.shows("发送"));
    assert_eq!(stage.state().preferences.language, Some(Language::English));
}

/// Tabs until the control of this name has the keyboard.
fn tab_to(stage: &mut Stage, label: &str) {
    for _ in 0..60 {
        stage.press(Modifiers::NONE, Key::Tab);
        if stage.harness.query_all_by_label(label).any(|node| node.is_focused()) {
            return;
        }
    }
    panic!("the keyboard does not get to {label:?}");
}

#[test]
fn everything_is_reached_by_keyboard_alone() {
    let mut stage = Setting::default().real();
    // A sample, by its question.
    tab_to(&mut stage, "What number is shown for Oil?");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(stage.state().draft.pictures.len(), 1);
    // The field has the keyboard now.
    stage.press(Modifiers::NONE, Key::Enter);
    stage.until("it is answered", |state| state.chat().is_some() && !state.is_answering());
    assert_eq!(stage.state().chat().expect("asked").turns[1].text, "25");
    tab_to(&mut stage, "Regenerate");
    stage.press(Modifiers::NONE, Key::Space);
    stage.until("it is answered again", |state| !state.is_answering());
    tab_to(&mut stage, "Settings");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(stage.state().preferences.panel, Panel::Settings);
    for name in ["Temperature", "Top p", "Seed", "Longest answer"] {
        tab_to(&mut stage, name);
    }
    tab_to(&mut stage, "Models");
    stage.press(Modifiers::NONE, Key::Enter);
    for name in ["Choose a checkpoint…", "Device", "Weights", "Load"] {
        tab_to(&mut stage, name);
    }
    tab_to(&mut stage, "Routing");
    stage.press(Modifiers::NONE, Key::Enter);
    assert_eq!(stage.state().preferences.panel, Panel::Routing);
    stage.press(Modifiers::COMMAND, Key::N);
    assert!(stage.state().current.is_none());
    stage.press(Modifiers::COMMAND, Key::L);
    assert!(stage.harness.get_by_label("Message").is_focused());
}

#[test]
fn the_size_of_text_is_a_preference() {
    let mut stage = Setting { size: [1800.0, 1400.0], ..Setting::default() }.scripted();
    let before = stage.harness.get_by_label("Send").rect().height() * stage.harness.ctx.pixels_per_point();
    stage.click("Settings");
    stage.click("Text size");
    stage.click("150 %");
    let after = stage.harness.get_by_label("Send").rect().height() * stage.harness.ctx.pixels_per_point();
    assert!((after / before - 1.5).abs() < 0.1, "{before} to {after}");
}
