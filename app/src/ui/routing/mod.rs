//! Which expert every patch and word goes to, as it happens.

use crate::state::{Action, State};

/// The panel: what is chosen in it.
#[derive(Debug, Default)]
pub struct RoutingView {}

impl RoutingView {
    /// Draws the panel.
    pub fn show(&mut self, _ui: &mut egui::Ui, _state: &State, _actions: &mut Vec<Action>) {}
}
