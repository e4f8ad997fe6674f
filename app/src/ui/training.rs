//! The curves of a training run, read from its folder.

use crate::state::{Action, State};

/// The panel: what was read of the run.
#[derive(Debug, Default)]
pub struct TrainingView {}

impl TrainingView {
    /// Draws the panel.
    pub fn show(&mut self, _ui: &mut egui::Ui, _state: &State, _actions: &mut Vec<Action>) {}
}
