//! The panel without a pointer.

use egui::{Key, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use mole_runtime::engine::RoutedToken;

use super::{World, demo, node, press, state, texts, window};

/// Goes on with Tab until the control with this role, whose name begins so, has the focus.
fn tab_to(window: &mut Harness<'_, World>, role: Role, name: &str) {
    for _ in 0..60 {
        if node(window, role, name).is_focused() {
            return;
        }
        press(window, Key::Tab);
    }
    panic!("Tab does not lead to {role:?} {name}");
}

/// One layer is looked at from now on.
fn one_layer(window: &mut Harness<'_, World>) {
    tab_to(window, Role::RadioButton, "One layer");
    press(window, Key::Space);
}

#[test]
fn layers_and_parts_are_chosen() {
    let mut window = window(state(Some(demo::chart())));
    assert!(texts(&window).contains("Load, all layers"));
    one_layer(&mut window);
    assert!(texts(&window).contains("Load, layer 0"), "{}", texts(&window));
    tab_to(&mut window, Role::Slider, "Layer");
    press(&mut window, Key::ArrowRight);
    press(&mut window, Key::ArrowRight);
    press(&mut window, Key::ArrowLeft);
    assert!(texts(&window).contains("Load, layer 1"), "{}", texts(&window));
    tab_to(&mut window, Role::RadioButton, "Answer");
    press(&mut window, Key::Space);
    assert!(texts(&window).contains("Answer: entropy of the load"), "{}", texts(&window));
}

#[test]
fn patches_are_read_one_by_one() {
    let trace = demo::chart();
    let mut window = window(state(Some(trace.clone())));
    one_layer(&mut window);
    tab_to(&mut window, Role::Image, "Picture 1: ");
    for key in [Key::ArrowDown, Key::ArrowDown, Key::ArrowRight, Key::ArrowUp, Key::ArrowLeft, Key::ArrowRight] {
        press(&mut window, key);
    }
    // The first key goes to the first patch.
    let shown = texts(&window);
    assert!(shown.contains("Picture 1, row 1, column 2"), "{shown}");
    let at = |token: &&RoutedToken| token.patch.is_some_and(|place| (place.row, place.column) == (0, 1));
    let token = trace.routing.tokens.iter().find(at).expect("the patch");
    for (expert, p) in token.probs[0].iter().enumerate() {
        assert!(shown.contains(&format!("expert {expert}: {p}")), "{p}:\n{shown}");
    }
    press(&mut window, Key::ArrowUp);
    assert!(texts(&window).contains("Picture 1, row 1, column 2"), "there is nothing above the first row");
    press(&mut window, Key::Tab);
    assert!(!node(&window, Role::Image, "Picture 1: ").is_focused(), "Tab leads on");
}

#[test]
fn words_are_read_one_by_one() {
    let trace = demo::two_pictures();
    let mut window = window(state(Some(trace.clone())));
    one_layer(&mut window);
    tab_to(&mut window, Role::Document, "Prompt and answer");
    let words: Vec<_> = trace.routing.tokens.iter().filter(|token| token.image.is_none()).collect();
    // To the last word, over both pictures.
    for _ in 0..words.len() + 2 {
        press(&mut window, Key::ArrowRight);
    }
    let last = trace.routing.tokens.iter().rfind(|token| token.reply).expect("an answer");
    let shown = texts(&window);
    assert!(shown.contains("”, answer"), "{shown}");
    for (expert, p) in last.probs[0].iter().enumerate() {
        assert!(shown.contains(&format!("expert {expert}: {p}")), "{p}:\n{shown}");
    }
    for _ in 0..words.len() + 1 {
        press(&mut window, Key::ArrowLeft);
    }
    let first = words.first().expect("a prompt");
    let shown = texts(&window);
    assert!(shown.contains(&format!("“{}”, prompt", first.text)), "{shown}");
    press(&mut window, Key::ArrowDown);
    assert!(!texts(&window).contains(&format!("“{}”, prompt", first.text)), "a row further down");
}

#[test]
fn every_control_has_a_name_and_can_be_reached() {
    let mut state = state(Some(demo::two_pictures()));
    state.pinned = vec![demo::chart()];
    let mut window = window(state);
    assert_eq!(window.unnamed_widgets(), Vec::<String>::new());
    one_layer(&mut window);
    for (role, name) in [
        (Role::RadioButton, "All layers"),
        (Role::RadioButton, "One layer"),
        (Role::Slider, "Layer"),
        (Role::RadioButton, "All tokens"),
        (Role::RadioButton, "Words"),
        (Role::RadioButton, "Patches"),
        (Role::RadioButton, "Answer"),
        (Role::Slider, "Tint of pictures"),
        (Role::Image, "Picture 1: "),
        (Role::Image, "Picture 2: "),
        (Role::Document, "Prompt and answer"),
        (Role::Button, "Keep this one for comparison"),
        (Role::Button, "Remove A chart from the comparison"),
        (Role::Button, "Save as JSON"),
        (Role::Button, "Save as CSV"),
        (Role::Button, "Save as PNG"),
    ] {
        tab_to(&mut window, role, name);
    }
    window.get_by_label("Save as PNG");
}
