//! A picture, small.

use egui::{Image, Response, Ui, vec2};
use mole_runtime::engine::Picture;

use super::textures::{Shown, Textures};
use crate::language::Language;

/// Draws a picture `height` points high, or what hinders it. Its name is its text for those who do not see it.
pub fn show(ui: &mut Ui, picture: &Picture, height: f32, textures: &mut Textures, language: Language) -> Response {
    let name = file_name(&picture.name);
    if picture.bytes.is_empty() {
        return ui.weak(match language {
            Language::English => format!("{name} is gone"),
            Language::Chinese => format!("{name} 已丢失"),
        });
    }
    match textures.get(ui.ctx(), picture) {
        Shown::Ready(texture) => {
            let size = texture.size_vec2();
            let scale = (height / size.y).min(ui.available_width() / size.x).min(4.0);
            let label = format!("{} {name}", language.pick("Picture", "图片"));
            ui.add(Image::new((texture.id(), size * scale)).corner_radius(4).alt_text(label)).on_hover_text(name)
        }
        Shown::Coming => {
            let (rect, response) = ui.allocate_exact_size(vec2(height, height), egui::Sense::hover());
            ui.painter().rect_filled(rect, 4.0, ui.visuals().faint_bg_color);
            response
        }
        Shown::Failed(reason) => ui.colored_label(ui.visuals().error_fg_color, reason),
    }
}

/// The last part of a path.
pub fn file_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}
