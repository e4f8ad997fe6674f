//! How the tokens are spread over the experts in the chosen layers: a table with the parts side by side, so that text can
//! be held against pictures, and how even and how sure the spread is.

use egui::{Color32, Rect, Sense, vec2};

use super::controls::{layers_name, part_name};
use super::details::percent;
use super::{Shown, color32, section};
use crate::palette::expert_color;
use crate::routing::{Difference, Load, Part};

/// The size of an expert's square, and of a bar for a share of 1.
const SWATCH: f32 = 12.0;
const BAR: f32 = 72.0;

/// Draws the section.
pub(super) fn show(ui: &mut egui::Ui, shown: Shown<'_>) {
    let Shown { trace, digest, layers, language, .. } = shown;
    let name = layers_name(layers, &trace.routing.layers, language);
    section(ui, language.pick(format!("Load, {name}"), format!("负载（{name}）")));
    let loads = Part::ALL.map(|part| digest.sums().load(part, layers));
    egui::Grid::new("load").num_columns(Part::ALL.len() + 2).striped(true).show(ui, |ui| {
        ui.label(language.pick("Expert", "专家"));
        ui.label("");
        Part::ALL.iter().for_each(|part| drop(ui.label(part_name(*part, language))));
        ui.end_row();
        let counted = digest.sums().load(shown.part, layers);
        for expert in 0..trace.routing.experts {
            expert_label(ui, expert);
            bar(ui, expert, share(counted.as_ref(), expert).unwrap_or(0.0), BAR);
            for load in &loads {
                ui.label(share(load.as_ref(), expert).map_or("–".to_string(), percent));
            }
            ui.end_row();
        }
        ui.label(language.pick("Tokens", "词元数"));
        ui.label("");
        for load in &loads {
            ui.label(load.as_ref().map_or(0, |load| load.tokens).to_string());
        }
        ui.end_row();
    });
    if let Some(load) = digest.sums().load(shown.part, layers) {
        entropies(ui, shown, &load);
    }
    let [_, text, image, _] = loads;
    if let Some(Difference { expert, .. }) = Difference::largest(&[text.clone(), image.clone()]) {
        let of = |load: &Option<Load>| share(load.as_ref(), expert).map_or("–".to_string(), percent);
        let (text, image) = (of(&text), of(&image));
        ui.label(language.pick(
            format!("Text against image: the largest difference is expert {expert}, {text} of the words and {image} of the patches."),
            format!("文字与图像：差别最大的是专家 {expert}，占文字的 {text}、图块的 {image}。"),
        ));
    }
}

fn entropies(ui: &mut egui::Ui, shown: Shown<'_>, load: &Load) {
    let (experts, language) = (shown.trace.routing.experts, shown.language);
    let part = part_name(shown.part, language);
    let (bits, most) = (load.entropy_bits, (experts.max(1) as f64).log2());
    ui.label(language.pick(
        format!("{part}: entropy of the load {bits:.2} of at most {most:.2} bits."),
        format!("{part}：负载的熵为 {bits:.2} 比特，最大 {most:.2} 比特。"),
    ));
    if let Some(bits) = load.token_entropy_bits {
        ui.label(language.pick(
            format!("Entropy of a token's probabilities: {bits:.2} bits on average; 0 is sure."),
            format!("单个词元概率的平均熵：{bits:.2} 比特；0 表示完全确定。"),
        ));
    }
}

pub(super) fn share(load: Option<&Load>, expert: usize) -> Option<f64> {
    load?.shares.get(expert).copied()
}

/// An expert's square and number.
pub(super) fn expert_label(ui: &mut egui::Ui, expert: usize) {
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(SWATCH, SWATCH), Sense::hover());
        ui.painter().rect_filled(rect, 2.0, color32(expert_color(expert)));
        ui.label(expert.to_string());
    });
}

/// A bar for a share, `width` long where it is 1.
pub(super) fn bar(ui: &mut egui::Ui, expert: usize, share: f64, width: f32) {
    let (rect, _) = ui.allocate_exact_size(vec2(width, SWATCH), Sense::hover());
    let full = Rect::from_min_size(rect.min, vec2(width * share as f32, SWATCH));
    ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
    ui.painter().rect_filled(full, 2.0, color32(expert_color(expert)));
    // The darkest of the colours has little contrast with a dark window.
    let edge = if ui.visuals().dark_mode { Color32::from_gray(140) } else { Color32::TRANSPARENT };
    ui.painter().rect_stroke(full, 2.0, egui::Stroke::new(0.5, edge), egui::StrokeKind::Inside);
}
