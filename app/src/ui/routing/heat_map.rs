//! How much of each layer every expert gets: a row a layer, a column an expert, the entropies at the right. A click on a
//! row chooses its layer.

use egui::{Align2, Color32, FontId, Rect, Role, Sense, TextStyle, WidgetInfo, pos2, vec2};

use super::controls::{Look, part_name};
use super::details::{percent, shares};
use super::{Shown, color32, section};
use crate::palette::{PALE, expert_color, ink_on, share_color};
use crate::routing::{LayerChoice, Load};

/// A row's height, with few layers and with many.
const ROW: (f32, f32) = (20.0, 13.0);
/// More layers than this have low rows.
const MANY_LAYERS: usize = 24;
/// The widest column.
const MAX_COLUMN: f32 = 64.0;
/// Room for a percentage.
const WIDE: f32 = 34.0;
/// Above the rows: the experts' squares and numbers.
const HEAD: f32 = 22.0;
/// At the left, the layers' numbers; at the right, two entropies.
const SIDES: (f32, f32) = (34.0, 96.0);

/// Draws the section.
pub(super) fn show(ui: &mut egui::Ui, shown: Shown<'_>, look: &mut Look) {
    let Shown { trace, digest, language, .. } = shown;
    let (experts, layers) = (digest.sums().experts(), digest.sums().layers());
    if experts == 0 || layers == 0 {
        return;
    }
    let part = part_name(shown.part, language);
    section(ui, language.pick(format!("Layers × experts: {part}"), format!("层 × 专家：{part}")));
    let loads: Vec<_> = (0..layers).map(|layer| digest.sums().load(shown.part, LayerChoice::One(layer))).collect();
    let room = ui.available_width() - SIDES.0 - SIDES.1;
    let cell = vec2((room / experts as f32).clamp(2.0, MAX_COLUMN), if layers > MANY_LAYERS { ROW.1 } else { ROW.0 });
    let size = vec2(SIDES.0 + cell.x * experts as f32 + SIDES.1, HEAD + cell.y * layers as f32);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let numbers = &trace.routing.layers;
    let number = |layer: usize| numbers.get(layer).copied().unwrap_or(layer);
    response.widget_info(|| {
        let row = |(layer, load): (usize, &Option<Load>)| {
            let (number, load) = (number(layer), load.as_ref()?);
            let shares = shares(load, language);
            Some(language.pick(format!("Layer {number}: {shares}"), format!("第 {number} 层：{shares}")))
        };
        let rows: Vec<String> = loads.iter().enumerate().filter_map(row).collect();
        WidgetInfo::labeled(Role::Image, true, rows.join(language.pick("; ", "；")))
    });
    let grid = Grid {
        rect: Rect::from_min_size(rect.min + vec2(SIDES.0, HEAD), cell * vec2(experts as f32, layers as f32)),
        cell,
    };
    if ui.is_rect_visible(rect) {
        let chosen = match shown.layers {
            LayerChoice::All => None,
            LayerChoice::One(layer) => Some(layer),
        };
        grid.draw(ui, &loads, experts, &number, chosen);
        let text = |x: f32, text: &str| {
            let font = TextStyle::Small.resolve(ui.style());
            let pos = pos2(grid.rect.right() + x, rect.top() + HEAD / 2.0);
            ui.painter().text(pos, Align2::RIGHT_CENTER, text, font, ui.visuals().text_color());
        };
        text(-(grid.rect.width() + 6.0), language.pick("layer", "层"));
        text(SIDES.1 / 2.0, language.pick("load", "负载"));
        text(SIDES.1, language.pick("token", "词元"));
    }
    if response.clicked()
        && let Some((layer, _)) = response.interact_pointer_pos().and_then(|pos| grid.at(pos, layers, experts))
    {
        look.choose(layer);
    }
    if let Some((layer, expert)) = response.hover_pos().and_then(|pos| grid.at(pos, layers, experts)) {
        response.on_hover_ui_at_pointer(|ui| {
            let number = number(layer);
            ui.label(match &loads[layer] {
                Some(load) => {
                    let (share, tokens) = (percent(load.shares[expert]), load.tokens);
                    language.pick(
                        format!("Layer {number}, expert {expert}: {share} of {tokens} tokens"),
                        format!("第 {number} 层，专家 {expert}：{tokens} 个词元中的 {share}"),
                    )
                }
                None => language.pick("No tokens", "没有词元").to_string(),
            });
        });
    }
    let brightest = percent((4.0 / experts as f64).min(1.0));
    ui.weak(language.pick(
        format!(
            "Brightest: {brightest}. At the right, entropy in bits: of the load, and of a token's probabilities on average. \
             A click on a row chooses its layer."
        ),
        format!("最亮：{brightest}。右侧为熵（比特）：负载的熵，以及单个词元概率的平均熵。点击一行可选择该层。"),
    ));
}

/// Where the cells lie.
struct Grid {
    rect: Rect,
    cell: egui::Vec2,
}

impl Grid {
    /// The layer and expert at a point.
    fn at(&self, pos: egui::Pos2, layers: usize, experts: usize) -> Option<(usize, usize)> {
        let place = (pos - self.rect.min) / self.cell;
        let (layer, expert) = (place.y as usize, place.x as usize);
        (place.x >= 0.0 && place.y >= 0.0 && layer < layers && expert < experts).then_some((layer, expert))
    }

    fn draw(
        &self,
        ui: &egui::Ui,
        loads: &[Option<Load>],
        experts: usize,
        number: &dyn Fn(usize) -> usize,
        chosen: Option<usize>,
    ) {
        let (painter, cell) = (ui.painter(), self.cell);
        let small = TextStyle::Small.resolve(ui.style());
        let font = FontId::new(small.size.min(cell.y - 2.0), small.family.clone());
        let ink = ui.visuals().text_color();
        for expert in 0..experts {
            let center = pos2(self.rect.left() + cell.x * (expert as f32 + 0.5), self.rect.top() - HEAD / 2.0);
            let square = Rect::from_center_size(center, vec2((cell.x - 2.0).clamp(1.0, 18.0), 16.0));
            let color = expert_color(expert);
            painter.rect_filled(square, 2.0, color32(color));
            if cell.x >= 14.0 {
                painter.text(center, Align2::CENTER_CENTER, expert, small.clone(), color32(ink_on(color)));
            }
        }
        let mut mesh = egui::Mesh::default();
        for (layer, load) in loads.iter().enumerate() {
            for expert in 0..experts {
                let color = load.as_ref().map_or(PALE, |load| share_color(load.shares[expert] as f32, experts));
                mesh.add_colored_rect(self.cell_rect(layer, expert), color32(color));
            }
        }
        painter.add(mesh);
        for (layer, load) in loads.iter().enumerate() {
            let y = self.rect.top() + cell.y * (layer as f32 + 0.5);
            let text = |x: f32, align: Align2, text: String, color: Color32| {
                painter.text(pos2(x, y), align, text, font.clone(), color);
            };
            text(self.rect.left() - 6.0, Align2::RIGHT_CENTER, number(layer).to_string(), ink);
            let Some(load) = load else { continue };
            if cell.x >= WIDE {
                for (expert, share) in load.shares.iter().enumerate() {
                    let color = color32(ink_on(share_color(*share as f32, experts)));
                    text(self.cell_rect(layer, expert).center().x, Align2::CENTER_CENTER, percent(*share), color);
                }
            }
            let right = self.rect.right();
            text(right + SIDES.1 / 2.0, Align2::RIGHT_CENTER, format!("{:.2}", load.entropy_bits), ink);
            if let Some(bits) = load.token_entropy_bits {
                text(right + SIDES.1, Align2::RIGHT_CENTER, format!("{bits:.2}"), ink);
            }
        }
        if let Some(layer) = chosen.filter(|layer| *layer < loads.len()) {
            let row = self.cell_rect(layer, 0).union(self.cell_rect(layer, experts - 1));
            painter.rect_stroke(
                row,
                0.0,
                egui::Stroke::new(2.0, ui.visuals().strong_text_color()),
                egui::StrokeKind::Outside,
            );
        }
    }

    fn cell_rect(&self, layer: usize, expert: usize) -> Rect {
        let min = self.rect.min + self.cell * vec2(expert as f32, layer as f32);
        Rect::from_min_size(min, self.cell)
    }
}
