//! What stands in a conversation in which nothing was said yet: sample pictures, one click away.

use egui::{Image, ScrollArea, Sense, Ui, UiBuilder, vec2};

use super::textures::{Shown, Textures};
use crate::state::{Action, Sample, State};

/// Width of a sample, in points.
const WIDTH: f32 = 150.0;
/// Height of a sample's picture, in points.
const PICTURE: f32 = 120.0;

/// Draws it.
pub fn show(ui: &mut Ui, state: &State, textures: &mut Textures, actions: &mut Vec<Action>) {
    let language = state.language();
    ScrollArea::vertical().id_salt("welcome").auto_shrink(false).show(ui, |ui| {
        ui.add_space(24.0);
        ui.vertical_centered(|ui| {
            ui.heading(language.pick("Ask about a picture", "就图片提问"));
            let how = language.pick(
                "Drop or paste pictures here, add them below, or begin with one of these:",
                "把图片拖放或粘贴到这里，在下方添加图片，或从以下示例开始：",
            );
            ui.label(how);
        });
        ui.add_space(16.0);
        let columns = ((ui.available_width() + 12.0) / (WIDTH + 12.0)).floor().max(1.0) as usize;
        let columns = columns.min(4);
        let used = columns as f32 * (WIDTH + 12.0) - 12.0;
        let margin = ((ui.available_width() - used) / 2.0).max(0.0);
        for row in state.samples.chunks(columns) {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing = vec2(12.0, 12.0);
                ui.add_space(margin);
                for sample in row {
                    card(ui, sample, textures, actions);
                }
            });
            ui.add_space(12.0);
        }
    });
}

/// A picture over its question; all of it is one button.
fn card(ui: &mut Ui, sample: &Sample, textures: &mut Textures, actions: &mut Vec<Action>) {
    let builder = UiBuilder::new().id_salt(&sample.picture.name).sense(Sense::click());
    let response = ui
        .scope_builder(builder, |ui| {
            let visuals = *ui.style().interact(&ui.response());
            let frame = egui::Frame::new().fill(visuals.weak_bg_fill).stroke(visuals.bg_stroke);
            frame.corner_radius(8).inner_margin(8).show(ui, |ui| {
                ui.set_width(WIDTH - 16.0);
                ui.vertical_centered(|ui| {
                    match textures.get(ui.ctx(), &sample.picture) {
                        Shown::Ready(texture) => {
                            let size = texture.size_vec2();
                            let scale = ((WIDTH - 16.0) / size.x).min(PICTURE / size.y);
                            ui.add(Image::new((texture.id(), size * scale)).corner_radius(4));
                        }
                        _ => drop(ui.allocate_space(vec2(WIDTH - 16.0, PICTURE))),
                    }
                    ui.add(egui::Label::new(&sample.question).wrap().selectable(false));
                });
            });
        })
        .response;
    let focused = response.has_focus();
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &sample.question));
    if focused {
        ui.painter().rect_stroke(response.rect, 8.0, ui.visuals().selection.stroke, egui::StrokeKind::Outside);
    }
    let pressed =
        focused && ui.input(|input| input.key_pressed(egui::Key::Enter) || input.key_pressed(egui::Key::Space));
    if response.clicked() || pressed {
        actions.push(Action::TrySample(sample.picture.clone(), sample.question.clone()));
    }
}
