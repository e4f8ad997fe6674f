//! What is looked at: which layers, which tokens, how strong the tint.

use crate::language::Language;
use crate::routing::{LayerChoice, Part};

/// The choices of the panel.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// All layers together, or one.
    all_layers: bool,
    /// Which one; remembered while all are looked at.
    layer: usize,
    pub(super) part: Part,
    pub(super) strength: f32,
}

impl Default for Look {
    fn default() -> Self {
        Self { all_layers: true, layer: 0, part: Part::All, strength: 0.55 }
    }
}

impl Look {
    /// The layers that are looked at, of so many.
    pub(super) fn layers(&self, count: usize) -> LayerChoice {
        match self.all_layers {
            true => LayerChoice::All,
            false => LayerChoice::One(self.layer.min(count.saturating_sub(1))),
        }
    }

    /// Looks at one layer.
    pub(super) fn choose(&mut self, layer: usize) {
        (self.all_layers, self.layer) = (false, layer);
    }

    /// Draws the controls; `layers` are the model's numbers of those that have experts.
    pub(super) fn show(&mut self, ui: &mut egui::Ui, layers: &[usize], language: Language) {
        let last = layers.len().saturating_sub(1);
        self.layer = self.layer.min(last);
        ui.horizontal_wrapped(|ui| {
            ui.radio_value(&mut self.all_layers, true, language.pick("All layers", "所有层"));
            ui.radio_value(&mut self.all_layers, false, language.pick("One layer", "单层"));
            let slider = egui::Slider::new(&mut self.layer, 0..=last)
                .text(language.pick("Layer", "层"))
                .custom_formatter(|place, _| layers.get(place as usize).map_or(String::new(), usize::to_string))
                .custom_parser(|text| {
                    let layer: usize = text.trim().parse().ok()?;
                    layers.iter().position(|other| *other == layer).map(|place| place as f64)
                });
            ui.add_enabled(!self.all_layers && last > 0, slider);
        });
        ui.horizontal_wrapped(|ui| {
            ui.label(language.pick("Count", "统计"));
            for part in Part::ALL {
                ui.radio_value(&mut self.part, part, part_name(part, language));
            }
        });
        ui.add(
            egui::Slider::new(&mut self.strength, 0.0..=1.0)
                .text(language.pick("Tint of pictures", "图片着色强度"))
                .custom_formatter(|value, _| format!("{:.0}%", value * 100.0))
                .custom_parser(|text| Some(text.trim().trim_end_matches('%').parse::<f64>().ok()? / 100.0)),
        );
    }
}

/// What some tokens are called.
pub(super) fn part_name(part: Part, language: Language) -> &'static str {
    match part {
        Part::All => language.pick("All tokens", "全部"),
        Part::Text => language.pick("Words", "文字"),
        Part::Image => language.pick("Patches", "图块"),
        Part::Reply => language.pick("Answer", "回答"),
    }
}

/// What the layers that are looked at are called.
pub(super) fn layers_name(choice: LayerChoice, layers: &[usize], language: Language) -> String {
    match choice {
        LayerChoice::All => language.pick("all layers", "所有层").to_string(),
        LayerChoice::One(place) => {
            let layer = layers.get(place).copied().unwrap_or(place);
            language.pick(format!("layer {layer}"), format!("第 {layer} 层"))
        }
    }
}
