//! What the panel shows: numbers, comparisons, and what to do where there is nothing to show.

use egui::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use llava_mole::language::Language;
use llava_mole::routing::Trace;
use llava_mole::state::{Action, Panel, State, Work};
use mole_runtime::engine::RoutedToken;

use super::{demo, node, point_at, rect_of, state, texts, window};

/// The share of tokens that an expert got in a layer, counted anew.
fn share(trace: &Trace, layer: usize, expert: usize, counts: impl Fn(&RoutedToken) -> bool) -> String {
    let tokens: Vec<_> = trace.routing.tokens.iter().filter(|token| counts(token)).collect();
    let got = tokens.iter().filter(|token| token.experts[layer] == expert).count();
    format!("{:.1}%", 100.0 * got as f64 / tokens.len() as f64)
}

#[test]
fn without_a_model_it_says_what_to_do() {
    let mut window = window(State::default());
    assert!(texts(&window).contains("No model is loaded"), "{}", texts(&window));
    window.get_by_label("Open Models").click();
    window.run();
    assert!(matches!(window.state().actions[..], [Action::Show(Panel::Models)]));
}

#[test]
fn without_experts_it_says_so() {
    let mut state = state(None);
    state.models.loaded.as_mut().expect("the demo model").adapter = None;
    let window = window(state);
    assert!(texts(&window).contains("has no experts"), "{}", texts(&window));
    window.get_by_label("Open Models");
    assert!(window.query_by_label("Save as JSON").is_none());
}

#[test]
fn without_an_answer_it_waits_for_one() {
    let mut state = state(None);
    assert!(texts(&window(state)).contains("Ask something"));
    state = super::state(None);
    state.work = Work::Tracing { chat: 1, turn: 2 };
    assert!(texts(&window(state)).contains("going through the model"));
    let mut begun = demo::chart();
    begun.routing.tokens.clear();
    begun.routing.layers.clear();
    let window = window(super::state(Some(begun)));
    assert!(texts(&window).contains("going through the model"));
}

#[test]
fn the_table_has_the_shares_of_every_part() {
    let trace = demo::chart();
    let mut window = window(state(Some(trace.clone())));
    window.get_by_label("One layer").click();
    window.run();
    let shown = texts(&window);
    assert!(shown.contains("Load, layer 0"), "{shown}");
    for expert in 0..trace.routing.experts {
        for share in [
            share(&trace, 0, expert, |_| true),
            share(&trace, 0, expert, |token| token.image.is_none()),
            share(&trace, 0, expert, |token| token.image.is_some()),
            share(&trace, 0, expert, |token| token.reply),
        ] {
            assert!(shown.lines().any(|line| line.trim() == share), "{share} of expert {expert}:\n{shown}");
        }
    }
    assert!(shown.contains("Text against image: the largest difference is expert"), "{shown}");
    assert!(shown.contains("entropy of the load") && shown.contains("bits on average"), "{shown}");
}

#[test]
fn the_heat_map_tells_every_cell_and_chooses_a_layer() {
    let trace = demo::chart();
    let mut window = window(state(Some(trace.clone())));
    window.get_by_role_and_label(Role::RadioButton, "Patches").click();
    window.run();
    let layers = trace.routing.layers.len();
    let name = node(&window, Role::Image, "Layer 0: ").accesskit_node().label().expect("named");
    for layer in 0..layers {
        for expert in 0..trace.routing.experts {
            let cell = format!("expert {expert} {}", share(&trace, layer, expert, |token| token.image.is_some()));
            let row = name.split("; ").nth(layer).expect("a row a layer");
            assert!(row.starts_with(&format!("Layer {layer}: ")) && row.contains(&cell), "{cell} in {row}");
        }
    }
    let rect = rect_of(&window, Role::Image, "Layer 0: ");
    // In the last row, in the first column behind the layers' numbers.
    let last = egui::pos2(rect.left() + 46.0, rect.bottom() - 5.0);
    point_at(&mut window, last);
    let patches = trace.routing.tokens.iter().filter(|token| token.image.is_some()).count();
    let expected = share(&trace, layers - 1, 0, |token| token.image.is_some());
    let expected = format!("Layer {}, expert 0: {expected} of {patches} tokens", layers - 1);
    assert!(texts(&window).contains(&expected), "{expected}:\n{}", texts(&window));
    window.drag_at(last);
    window.drop_at(last);
    window.run();
    assert!(texts(&window).contains(&format!("Load, layer {}", layers - 1)), "{}", texts(&window));
}

#[test]
fn the_pointer_over_a_patch_shows_its_exact_probabilities() {
    let trace = demo::two_pictures();
    let mut window = window(state(Some(trace.clone())));
    window.get_by_label("One layer").click();
    window.run();
    let rect = rect_of(&window, Role::Image, "Picture 2: ");
    let side = trace.patches.per_side as f32;
    // The fourth row, the sixth column, of a square picture.
    point_at(&mut window, rect.min + rect.size() * egui::vec2(5.5, 3.5) / side);
    let at = |token: &&RoutedToken| {
        token.image == Some(1) && token.patch.is_some_and(|place| (place.row, place.column) == (3, 5))
    };
    let token = trace.routing.tokens.iter().find(at).expect("the patch");
    let shown = texts(&window);
    assert!(shown.contains("Picture 2, row 4, column 6"), "{shown}");
    assert!(shown.contains(&format!("Expert {} in layer 0", token.experts[0])), "{shown}");
    for (expert, p) in token.probs[0].iter().enumerate() {
        assert!(shown.contains(&format!("expert {expert}: {p}")), "{p}:\n{shown}");
    }
}

#[test]
fn the_pointer_over_a_word_shows_its_exact_probabilities() {
    let trace = demo::chart();
    let mut window = window(state(Some(trace.clone())));
    window.get_by_label("One layer").click();
    window.run();
    let rect = rect_of(&window, Role::Document, "Prompt and answer");
    point_at(&mut window, rect.min + egui::vec2(6.0, 8.0));
    let first = &trace.routing.tokens[0];
    let shown = texts(&window);
    assert!(shown.contains(&format!("“{}”, prompt", first.text)), "{shown}");
    for (expert, p) in first.probs[0].iter().enumerate() {
        assert!(shown.contains(&format!("expert {expert}: {p}")), "{p}:\n{shown}");
    }
}

#[test]
fn it_grows_while_the_answer_streams() {
    let whole = demo::chart();
    let mut growing = whole.clone();
    growing.complete = false;
    let replied = whole.routing.tokens.iter().position(|token| token.reply).expect("an answer");
    growing.routing.tokens.truncate(replied);
    let mut window = window(state(Some(growing)));
    let tokens = |window: &egui_kittest::Harness<'_, super::World>| {
        let label = node(window, Role::Document, "Prompt and answer").accesskit_node().label().expect("named");
        label.split(' ').find_map(|word| word.parse::<usize>().ok()).expect("a number")
    };
    assert_eq!(tokens(&window), replied);
    assert!(window.get_by_label("Keep this one for comparison").accesskit_node().is_disabled());
    for length in replied + 1..=whole.routing.tokens.len() {
        let trace = window.state_mut().state.trace.as_mut().expect("a trace");
        trace.routing.tokens = whole.routing.tokens[..length].to_vec();
        window.run();
        assert_eq!(tokens(&window), length);
    }
    window.state_mut().state.trace.as_mut().expect("a trace").complete = true;
    window.run();
    assert!(!window.get_by_label("Keep this one for comparison").accesskit_node().is_disabled());
}

#[test]
fn domains_stand_side_by_side() {
    let mut state = state(Some(demo::chart()));
    state.pinned = vec![demo::tissue(), demo::two_pictures()];
    let mut window = window(state);
    let shown = texts(&window);
    assert!(shown.contains("Largest difference, all layers: expert"), "{shown}");
    node(&window, Role::Image, "A tissue: expert 0 ");
    window.get_by_label("Remove Two pictures from the comparison").click();
    window.run();
    window.get_by_label("Keep this one for comparison").click();
    window.run();
    assert!(matches!(window.state().actions[..], [Action::UnpinTrace(1), Action::PinTrace]));

    let state = &mut window.state_mut().state;
    state.act(Action::UnpinTrace(0));
    state.act(Action::PinTrace);
    window.run();
    let shown = texts(&window);
    assert!(!shown.contains("A tissue") && shown.contains("Remove A chart from the comparison"), "{shown}");
    assert!(window.get_by_label("Keep this one for comparison").accesskit_node().is_disabled(), "it is kept already");
    // The same question answered anew is another routing, though its turn has the same number.
    let again = window.state_mut().state.trace.as_mut().expect("a trace").routing.tokens.pop();
    window.run();
    assert!(!window.get_by_label("Keep this one for comparison").accesskit_node().is_disabled(), "{again:?}");
    // What is kept stays when nothing else is shown.
    window.state_mut().state.trace = None;
    window.run();
    assert!(texts(&window).contains("Remove A chart from the comparison"));
}

#[test]
fn it_speaks_chinese() {
    let mut state = state(Some(demo::chart()));
    state.pinned = vec![demo::tissue()];
    state.system_language = Language::Chinese;
    let world = super::World { state, view: Default::default(), actions: Vec::new() };
    // The fonts of the app are not installed here.
    let mut window = egui_kittest::Harness::builder()
        .with_size([1000.0, 2600.0])
        .with_max_steps(20)
        .allow_missing_glyphs()
        .build_ui_state(super::draw, world);
    window.run();
    let shown = texts(&window);
    for text in ["路由", "所有层", "单层", "图块", "另存为 CSV", "最大差别"] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    for text in ["layer", "Layer", "expert", "Save", "Remove", "Words", "entropy"] {
        assert!(!shown.contains(text), "{text}:\n{shown}");
    }
}
