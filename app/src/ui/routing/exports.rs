//! The trace as a file.

use super::{Shown, section};
use crate::routing::{csv, figure, json};
use crate::state::{Action, file_name};

/// Draws the section.
pub(super) fn show(ui: &mut egui::Ui, shown: Shown<'_>, actions: &mut Vec<Action>) {
    let Shown { trace, digest, layers, part, strength, language } = shown;
    section(ui, language.pick("Save", "保存"));
    let mut save = |extension: &str, bytes: Vec<u8>| {
        let name = format!("{} routing.{extension}", file_name(&trace.title));
        actions.push(Action::Save { name, bytes });
    };
    ui.horizontal_wrapped(|ui| {
        let button = ui.button(language.pick("Save as JSON", "另存为 JSON"));
        if button.on_hover_text(language.pick("What “llava-mole ask --routing” writes", "与 “llava-mole ask --routing” 的输出相同")).clicked() {
            save("json", json(&trace.routing));
        }
        let button = ui.button(language.pick("Save as CSV", "另存为 CSV"));
        if button.on_hover_text(language.pick("A line for every token and layer", "每个词元和每一层各占一行")).clicked() {
            save("csv", csv(&trace.routing));
        }
        let button = ui.button(language.pick("Save as PNG", "另存为 PNG"));
        let hint = "The tinted pictures, the experts' colours from 0 at the left, and below them the layers; no text, for a \
                    paper";
        if button.on_hover_text(language.pick(hint, "着色的图片、从左起按编号排列的专家颜色及其下的各层；不含文字，便于用于论文")).clicked() {
            save("png", figure(trace, digest, layers, part, strength));
        }
    });
}
