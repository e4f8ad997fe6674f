//! The routing panel, driven as a person drives it, over what the demo model's engine really told of sample pictures.

mod demo;
mod exports;
mod keyboard;
mod long;
mod panel;

use egui_kittest::Harness;
use egui_kittest::kittest::NodeT;
use llava_mole::routing::Trace;
use llava_mole::state::{Action, State};
use llava_mole::ui::routing::RoutingView;

/// A panel, what it shows, and what was asked for in it.
struct World {
    state: State,
    view: RoutingView,
    actions: Vec<Action>,
}

/// Draws the panel beside a conversation.
fn draw(ui: &mut egui::Ui, world: &mut World) {
    let beside = egui::Panel::right("beside").exact_size(440.0);
    beside.show(ui, |ui| world.view.show(ui, &world.state, &mut world.actions));
}

/// A window with the panel in it, tall enough for all of it.
fn window(state: State) -> Harness<'static, World> {
    let world = World { state, view: RoutingView::default(), actions: Vec::new() };
    let mut window = Harness::builder().with_size([1000.0, 2600.0]).with_max_steps(20).build_ui_state(draw, world);
    window.run();
    window
}

/// A state with the demo model and this trace.
fn state(trace: Option<Trace>) -> State {
    let mut state = State::default();
    state.models.loaded = Some(demo::model().clone());
    state.trace = trace;
    state
}

/// All texts of labels and names that are to be seen, a line each.
fn texts(window: &Harness<'_, World>) -> String {
    let nodes = window.root().children_recursive();
    let text = |node: egui_kittest::Node<'_>| {
        let node = node.accesskit_node();
        [node.label(), node.value()].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    nodes.map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Presses a key and lets the window settle.
fn press(window: &mut Harness<'_, World>, key: egui::Key) {
    window.key_press(key);
    window.run();
}

/// Rests the pointer on a place until the tooltip is there.
fn point_at(window: &mut Harness<'_, World>, pos: egui::Pos2) {
    window.hover_at(pos);
    window.run_steps(8);
}

/// The middle of the node whose name begins so.
fn rect_of(window: &Harness<'_, World>, role: egui::Role, name: &str) -> egui::Rect {
    node(window, role, name).rect()
}

/// The node whose name begins so.
fn node<'a>(window: &'a Harness<'_, World>, role: egui::Role, name: &str) -> egui_kittest::Node<'a> {
    let named = |node: &egui_kittest::Node<'_>| {
        let node = node.accesskit_node();
        node.role() == role && node.label().is_some_and(|label| label.starts_with(name))
    };
    let found = window.root().children_recursive().find(named);
    found.unwrap_or_else(|| panic!("no {role:?} named {name}...:\n{}", texts(window)))
}
