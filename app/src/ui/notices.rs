//! What the person is told, until it is put away.

use egui::{Align, Frame, Layout, Margin, Ui};

use crate::state::{Action, Severity, State};

/// Draws them, the newest last.
pub fn show(ui: &mut Ui, state: &State, actions: &mut Vec<Action>) {
    let language = state.language();
    for (index, notice) in state.notices.iter().enumerate() {
        let fill = match notice.severity {
            Severity::Info => ui.visuals().faint_bg_color,
            Severity::Error => ui.visuals().error_fg_color.gamma_multiply(0.18),
        };
        Frame::new().fill(fill).inner_margin(Margin::symmetric(10, 6)).corner_radius(6).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
                let dismiss = ui.push_id(("notice", index), |ui| ui.button(language.pick("Close", "关闭"))).inner;
                if dismiss.clicked() {
                    actions.push(Action::Dismiss(index));
                }
                ui.with_layout(Layout::left_to_right(Align::TOP), |ui| {
                    ui.add(egui::Label::new(&notice.text).wrap());
                });
            });
        });
    }
}
