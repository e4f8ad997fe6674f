//! The loss, whole and by dataset, with a key that says the newest values and chooses what is drawn.

use std::collections::BTreeSet;

use egui::{Color32, Ui};

use super::charts::{self, Chart};
use super::experts::swatch;
use super::numbers;
use super::picture::{Lines, Picture};
use crate::language::Language;
use crate::palette::dataset_color;

/// How much of a curve's colour its raw values have.
const PALE: f32 = 0.3;

/// What is drawn of the losses.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whether each step is drawn behind the moving average.
    pub each_step: bool,
    /// Whether the whole loss is drawn.
    pub total: bool,
    /// Datasets that are left out.
    pub hidden: BTreeSet<String>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { each_step: true, total: true, hidden: BTreeSet::new() }
    }
}

/// Draws the losses and their key.
pub fn show(ui: &mut Ui, picture: &Picture, shown: &mut Shown, chart: Chart<'_>) {
    let language = chart.language;
    let ink = ui.visuals().strong_text_color();
    let names = Names::of(language);
    let description = described(picture, &names, language);
    let warning = ui.visuals().error_fg_color.gamma_multiply(0.5);
    Chart { description: &description, ..chart }.show(ui, |plot| {
        for step in &picture.skipped {
            charts::step_mark(plot, names.skipped, *step, warning);
        }
        let datasets = picture.datasets.iter().enumerate().filter(|(_, (name, _))| !shown.hidden.contains(name));
        let datasets =
            datasets.map(|(index, (name, lines))| (name.as_str(), lines, charts::color(dataset_color(index))));
        let total = shown.total.then_some((names.total, &picture.loss, ink));
        let all: Vec<(&str, &Lines, Color32)> = datasets.chain(total).collect();
        if shown.each_step {
            all.iter()
                .for_each(|(name, lines, color)| charts::behind(plot, name, &lines.raw, color.gamma_multiply(PALE)));
        }
        for (name, lines, color) in &all {
            charts::curve(plot, name, &lines.smoothed, *color, if *color == ink { 2.0 } else { 1.5 });
        }
        for (name, lines, color) in all.iter().filter(|(_, lines, _)| !lines.held_out.is_empty()) {
            charts::dots(plot, &names.held_out_of(name), &lines.held_out, *color);
        }
    });
    key(ui, picture, shown, &names, ink);
}

/// A box to tick for every curve, with its newest values.
fn key(ui: &mut Ui, picture: &Picture, shown: &mut Shown, names: &Names, ink: Color32) {
    ui.horizontal_wrapped(|ui| {
        let tick = ui.spacing().icon_width + ui.spacing().icon_spacing;
        let words = names.with_values(names.total, &picture.loss);
        swatch(ui, ink, &words, tick);
        ui.checkbox(&mut shown.total, words);
        for (index, (name, lines)) in picture.datasets.iter().enumerate() {
            let words = names.with_values(name, lines);
            swatch(ui, charts::color(dataset_color(index)), &words, tick);
            let mut drawn = !shown.hidden.contains(name);
            if ui.checkbox(&mut drawn, words).changed() {
                match drawn {
                    true => shown.hidden.remove(name),
                    false => shown.hidden.insert(name.clone()),
                };
            }
        }
    });
}

/// The newest values, for those who do not see the curves.
fn described(picture: &Picture, names: &Names, language: Language) -> String {
    let datasets = picture.datasets.iter().map(|(name, lines)| names.with_values(name, lines));
    let all: Vec<String> = std::iter::once(names.with_values(names.total, &picture.loss)).chain(datasets).collect();
    all.join(language.pick("; ", "；"))
}

/// Words of the key.
struct Names {
    total: &'static str,
    skipped: &'static str,
    held_out: &'static str,
    language: Language,
}

impl Names {
    fn of(language: Language) -> Self {
        Self {
            total: language.pick("total", "总损失"),
            skipped: language.pick("skipped", "跳过"),
            held_out: language.pick("held out", "留出"),
            language,
        }
    }

    fn held_out_of(&self, name: &str) -> String {
        format!("{name}, {}", self.held_out)
    }

    fn with_values(&self, name: &str, lines: &Lines) -> String {
        let mut text = name.to_owned();
        if let Some(last) = lines.last {
            text += &format!(" {}", numbers::value(last));
        }
        if let Some(last) = lines.last_held_out {
            let (held_out, value) = (self.held_out, numbers::value(last));
            text += &self.language.pick(format!(" ({held_out} {value})"), format!("（{held_out} {value}）"));
        }
        text
    }
}
