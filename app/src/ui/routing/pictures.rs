//! The pictures in grey, each patch tinted by the expert that most of the chosen layers sent it to; the fewer agree, the paler.

use egui::{Color32, Key, Rect, Role, Sense, Stroke, StrokeKind, Vec2, WidgetInfo, pos2, vec2};
use mole_runtime::image::SeenArea;

use super::details;
use super::textures::Textures;
use super::{Shown, color32, section};
use crate::language::Language;
use crate::palette::{PALE, Rgb, expert_color};
use crate::routing::{Load, Part, PatchMap};

/// The longest side of a picture alone.
const MAX_SIDE: f32 = 360.0;

/// Draws the section. `selected` is the token of the patch whose numbers are shown below.
pub(super) fn show(ui: &mut egui::Ui, shown: Shown<'_>, textures: &mut Textures, selected: &mut Option<usize>) {
    let (pictures, language) = (shown.digest.pictures(), shown.language);
    if pictures.is_empty() {
        return;
    }
    section(ui, language.pick("Pictures", "图片"));
    let across = if pictures.len() == 1 { 1.0 } else { 2.0 };
    let spacing = ui.spacing().item_spacing.x;
    let side = ((ui.available_width() - spacing * (across - 1.0)) / across).floor().clamp(64.0, MAX_SIDE);
    let images: Vec<usize> = (0..pictures.len()).collect();
    for row in images.chunks(across as usize) {
        ui.horizontal_top(|ui| {
            for image in row {
                ui.vertical(|ui| {
                    ui.set_width(side);
                    picture(ui, shown, textures, *image, side, selected);
                });
            }
        });
    }
    let is_patch = |at: &usize| shown.trace.routing.tokens.get(*at).is_some_and(|token| token.image.is_some());
    let hint = language.pick(
        "Point at a patch, or go to a picture with Tab and to its patches with the arrow keys.",
        "将指针移到图块上，或用 Tab 键选中图片后用方向键逐块查看。",
    );
    details::show(ui, shown, selected.filter(is_patch), hint);
}

/// One picture with its caption.
fn picture(
    ui: &mut egui::Ui,
    shown: Shown<'_>,
    textures: &mut Textures,
    image: usize,
    side: f32,
    selected: &mut Option<usize>,
) {
    let (map, language) = (&shown.digest.pictures()[image], shown.language);
    let (response, place) = draw(ui, shown, textures, image, side, Sense::click());
    let load = map.sums().load(Part::All, shown.layers);
    let titled = |shares: String| format!("{} {}: {shares}", language.pick("Picture", "图片"), image + 1);
    let of = |words: fn(&Load, Language) -> String| titled(load.as_ref().map_or(String::new(), |l| words(l, language)));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, of(details::shares)));
    let patch_at = |pos: egui::Pos2| {
        let cell = (pos - place.area.min) / place.area.size() * map.per_side() as f32;
        (cell.x >= 0.0 && cell.y >= 0.0).then(|| map.token(cell.y as usize, cell.x as usize)).flatten()
    };
    if response.clicked() {
        response.request_focus();
        *selected = response.interact_pointer_pos().and_then(patch_at).or(*selected);
    }
    let in_map = |at: &usize| map.iter().find(|(.., token)| token == at).map(|(row, column, _)| (row, column));
    let current = selected.as_ref().and_then(in_map);
    if response.has_focus() {
        let filter = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        if let Some(next) = moved(ui, map, current) {
            *selected = Some(next);
        }
    }
    if let Some((row, column)) = current {
        let cell = place.cell(map, row, column);
        ui.painter().rect_stroke(cell, 0.0, Stroke::new(3.0, Color32::BLACK), StrokeKind::Outside);
        ui.painter().rect_stroke(cell, 0.0, Stroke::new(1.5, Color32::WHITE), StrokeKind::Outside);
    }
    if response.has_focus() {
        let stroke = ui.visuals().selection.stroke;
        ui.painter().rect_stroke(response.rect, 0.0, stroke, StrokeKind::Outside);
    }
    let pointed = response.hover_pos().and_then(patch_at);
    if let Some(at) = pointed {
        response.on_hover_ui_at_pointer(|ui| details::show(ui, shown, Some(at), ""));
    }
    ui.label(of(details::foremost));
}

/// The patch that an arrow key goes to: the first one if there was none.
fn moved(ui: &egui::Ui, map: &PatchMap, from: Option<(usize, usize)>) -> Option<usize> {
    let key = |key| ui.input(|input| input.key_pressed(key));
    let (right, left) = (key(Key::ArrowRight), key(Key::ArrowLeft));
    let (down, up) = (key(Key::ArrowDown), key(Key::ArrowUp));
    if !(right || left || down || up) {
        return None;
    }
    let Some((row, column)) = from else { return map.iter().next().map(|(.., token)| token) };
    let row = (row + usize::from(down)).checked_sub(usize::from(up))?;
    let column = (column + usize::from(right)).checked_sub(usize::from(left))?;
    map.token(row, column)
}

/// A small picture without numbers, for a comparison.
pub(super) fn thumbnail(ui: &mut egui::Ui, shown: Shown<'_>, textures: &mut Textures, image: usize, side: f32) {
    let (response, _) = draw(ui, shown, textures, image, side, Sense::hover());
    let load = shown.digest.pictures()[image].sums().load(Part::All, shown.layers);
    let shares = load.map_or(String::new(), |load| details::shares(&load, shown.language));
    let name = format!("{}: {shares}", shown.trace.title);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
    response.on_hover_text(shares);
}

/// Where a picture and its patches are drawn.
struct Place {
    picture: Rect,
    area: Rect,
}

impl Place {
    fn new(rect: Rect, frame: SeenArea, area: SeenArea, width: usize, height: usize) -> Self {
        let scale = rect.width() / frame.width as f32;
        let part = |left: f64, top: f64, width: f64, height: f64| {
            let min = rect.min + vec2((left - frame.left) as f32, (top - frame.top) as f32) * scale;
            Rect::from_min_size(min, vec2(width as f32, height as f32) * scale)
        };
        Self {
            picture: part(0.0, 0.0, width as f64, height as f64),
            area: part(area.left, area.top, area.width, area.height),
        }
    }

    fn cell(&self, map: &PatchMap, row: usize, column: usize) -> Rect {
        let size = self.area.size() / map.per_side() as f32;
        Rect::from_min_size(self.area.min + size * vec2(column as f32, row as f32), size)
    }
}

/// Draws a picture no longer than `side`, and the tints of its patches as one mesh.
fn draw(
    ui: &mut egui::Ui,
    shown: Shown<'_>,
    textures: &mut Textures,
    image: usize,
    side: f32,
    sense: Sense,
) -> (egui::Response, Place) {
    let texture = shown.trace.pictures.get(image).and_then(|picture| textures.get(ui.ctx(), picture));
    // Until it is decoded, a square stands for it.
    let (width, height) = texture.as_ref().map_or((1, 1), |texture| (texture.width, texture.height));
    let area = shown.trace.patches.area(width, height);
    let frame = area.with_picture(width, height);
    let size = Vec2::new(frame.width as f32, frame.height as f32);
    let (rect, response) = ui.allocate_exact_size(size * (side / size.max_elem()), sense);
    let place = Place::new(rect, frame, area, width, height);
    if !ui.is_rect_visible(rect) {
        return (response, place);
    }
    let painter = ui.painter();
    painter.rect_filled(rect, 0.0, color32(PALE));
    if let Some(texture) = &texture {
        let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        painter.image(texture.handle.id(), place.picture, whole, Color32::WHITE);
    }
    let map = &shown.digest.pictures()[image];
    let mut mesh = egui::Mesh::default();
    for (row, column, at) in map.iter() {
        if let Some(favourite) = shown.digest.favourite(shown.trace, at, shown.layers) {
            let Rgb(r, g, b) = expert_color(favourite.expert);
            let alpha = (255.0 * shown.strength * favourite.agreement).round() as u8;
            let color = Color32::from_rgba_unmultiplied(r, g, b, alpha);
            mesh.add_colored_rect(place.cell(map, row, column), color);
        }
    }
    painter.add(mesh);
    (response, place)
}
