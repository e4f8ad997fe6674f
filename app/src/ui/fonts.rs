//! The fonts: egui's own for Latin, and one with the common Chinese characters.

/// Installs them.
pub fn install(_ctx: &egui::Context) {}
