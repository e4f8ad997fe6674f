//! Which experts are used: their shares by step, and of late for every layer.

use egui::{Align2, Color32, ComboBox, FontId, Rect, Sense, TextStyle, Ui, pos2, vec2};

use super::charts::{self, Chart, Unit};
use super::numbers;
use super::picture::{Layers, Picture};
use crate::language::Language;
use crate::palette::{expert_color, ink_on, scale_color};
use crate::training::Loads;

/// How high a row of the table is, and how wide a column is at least and at most, in points.
const ROW: f32 = 20.0;
const COLUMN: (f32, f32) = (7.0, 44.0);
/// From this width a cell has room for its number.
const NUMBER_WIDTH: f32 = 30.0;
/// The room for the names of rows.
const NAMES: f32 = 64.0;

/// Draws both; the person may choose other layers.
pub fn show(ui: &mut Ui, loads: &Loads, picture: &Picture, layers: &mut Layers, chart: Chart<'_>) {
    let language = chart.language;
    choose_layers(ui, loads, layers, language);
    let name = |expert: usize| expert_name(expert, language);
    let shares: Vec<String> = (picture.experts.iter().enumerate())
        .filter_map(|(expert, points)| Some(format!("{} {}", name(expert), numbers::percent(points.last()?.y))))
        .collect();
    let weak = ui.visuals().weak_text_color();
    let even = 1.0 / loads.experts() as f64;
    let even_name = language.pick("equal shares", "均分");
    Chart { description: &shares.join(language.pick(", ", "，")), unit: Unit::Share, ..chart }.show(ui, |plot| {
        charts::level(plot, even_name, even, weak);
        for (expert, points) in picture.experts.iter().enumerate() {
            charts::curve(plot, &name(expert), points, charts::color(expert_color(expert)), 1.5);
        }
    });
    ui.horizontal_wrapped(|ui| {
        for (expert, share) in shares.iter().enumerate() {
            swatch(ui, charts::color(expert_color(expert)), share, 0.0);
            ui.label(share);
        }
    });
    table(ui, loads, language);
}

/// An expert's name; they are counted from 0, as in the metrics.
fn expert_name(expert: usize, language: Language) -> String {
    language.pick(format!("expert {expert}"), format!("专家 {expert}"))
}

fn choose_layers(ui: &mut Ui, loads: &Loads, layers: &mut Layers, language: Language) {
    let name = |layers: Layers| match layers {
        Layers::All => language.pick("all (mean)", "全部（平均）").to_owned(),
        Layers::One(layer) => layer.to_string(),
    };
    if matches!(*layers, Layers::One(layer) if layer >= loads.layers()) {
        *layers = Layers::All;
    }
    ComboBox::new("layers of a training run", language.pick("Layer", "层")).selected_text(name(*layers)).show_ui(
        ui,
        |ui| {
            for choice in std::iter::once(Layers::All).chain((0..loads.layers()).map(Layers::One)) {
                ui.selectable_value(layers, choice, name(choice));
            }
        },
    );
}

/// A small square of a curve's colour, in the line of the words that follow it, which are `more` wider than their text.
pub fn swatch(ui: &mut Ui, color: Color32, words: &str, more: f32) {
    let side = ui.text_style_height(&TextStyle::Body) * 0.6;
    let font = TextStyle::Body.resolve(ui.style());
    let text = ui.painter().layout_no_wrap(words.to_owned(), font, color).size().x;
    if ui.available_size_before_wrap().x < side + ui.spacing().item_spacing.x + text + more {
        ui.end_row();
    }
    let (line, _) = ui.allocate_exact_size(vec2(side, ui.spacing().interact_size.y), Sense::hover());
    ui.painter().rect_filled(Rect::from_center_size(line.center(), vec2(side, side)), 2.0, color);
}

/// Layers from left to right, experts from top to bottom, the share of late as colour and, with room, as number.
fn table(ui: &mut Ui, loads: &Loads, language: Language) {
    let shares = || (0..loads.layers()).flat_map(|layer| (0..loads.experts()).map(move |expert| (layer, expert)));
    let share = |(layer, expert)| loads.recent(layer, expert);
    let fullest = shares().max_by(|a, b| share(*a).total_cmp(&share(*b))).unwrap_or_default();
    let (layer, percent) = (fullest.0, numbers::percent(f64::from(share(fullest))));
    let expert = expert_name(fullest.1, language);
    let words = language.pick(
        format!("Share of late, by layer; the fullest is {expert} of layer {layer} with {percent}"),
        format!("各层最近的占比；最高的是第 {layer} 层的{expert}，占 {percent}"),
    );
    ui.add_space(4.0);
    ui.label(&words);

    let column = ((ui.available_width() - NAMES) / loads.layers() as f32).clamp(COLUMN.0, COLUMN.1);
    let size = vec2(NAMES + column * loads.layers() as f32, ROW * (loads.experts() as f32 + 1.0));
    egui::ScrollArea::horizontal().id_salt("table of experts").show(ui, |ui| {
        let (area, response) = ui.allocate_exact_size(size, Sense::hover());
        let cell = |(layer, expert): (usize, usize)| {
            let corner = area.min + vec2(NAMES + column * layer as f32, ROW * (expert as f32 + 1.0));
            Rect::from_min_size(corner, vec2(column, ROW))
        };
        let (painter, font) = (ui.painter_at(area), FontId::proportional(11.0));
        let muted = ui.visuals().text_color();
        for expert in 0..loads.experts() {
            let at = pos2(area.left(), cell((0, expert)).center().y);
            painter.text(at, Align2::LEFT_CENTER, expert_name(expert, language), font.clone(), muted);
        }
        // Where columns are narrow, some go without their number.
        let stride = (18.0 / column).ceil().max(1.0) as usize;
        for layer in (0..loads.layers()).step_by(stride) {
            let at = pos2(cell((layer, 0)).center().x, area.top() + ROW / 2.0);
            painter.text(at, Align2::CENTER_CENTER, layer.to_string(), font.clone(), muted);
        }
        let top = share(fullest).max(f32::EPSILON);
        for at in shares() {
            let fill = scale_color(share(at) / top);
            painter.rect_filled(cell(at).shrink(0.5), 2.0, charts::color(fill));
            if column >= NUMBER_WIDTH {
                let text = numbers::percent(f64::from(share(at)));
                painter.text(cell(at).center(), Align2::CENTER_CENTER, text, font.clone(), charts::color(ink_on(fill)));
            }
        }
        if let Some(at) = response.hover_pos().and_then(|pointer| shares().find(|at| cell(*at).contains(pointer))) {
            let (layer, expert, percent) = (at.0, expert_name(at.1, language), numbers::percent(f64::from(share(at))));
            let tip = language
                .pick(format!("layer {layer}, {expert}: {percent}"), format!("第 {layer} 层，{expert}：{percent}"));
            response.on_hover_text(tip);
        }
    });
}
