//! Which model answers: choose folders, see what they take, load.

use crate::state::{Action, State};

/// Draws the panel.
pub fn show(_ui: &mut egui::Ui, _state: &State, _actions: &mut Vec<Action>) {}
