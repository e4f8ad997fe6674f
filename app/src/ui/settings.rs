//! Language, theme, text size, sampling.

use crate::state::{Action, State};

/// Draws the panel.
pub fn show(_ui: &mut egui::Ui, _state: &State, _actions: &mut Vec<Action>) {}
