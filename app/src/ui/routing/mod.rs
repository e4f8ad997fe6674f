//! Which expert every patch and word goes to, as it happens.
//!
//! A section a file. What they show is a [`Digest`] of the state's trace, which takes only the tokens that are new, and
//! no more of them in a frame than there is time for. Nothing is done here while the panel is closed.

mod compare;
mod controls;
mod details;
mod exports;
mod heat_map;
mod load;
mod pictures;
mod textures;
mod word_rows;
mod words;

use controls::Look;
use textures::Textures;
use word_rows::WordRows;

use crate::language::Language;
use crate::palette::Rgb;
use crate::routing::{Digest, LayerChoice, Part, Trace};
use crate::state::{Action, Panel, State, Work};

/// Probabilities that a frame takes of a trace: a few milliseconds.
const NUMBERS_PER_FRAME: usize = 30_000;

/// The panel: what is chosen in it, and what was made of the traces so far.
#[derive(Default)]
pub struct RoutingView {
    look: Look,
    digest: Option<Digest>,
    pinned: Vec<Digest>,
    textures: Textures,
    rows: WordRows,
    /// The token of the trace whose numbers are shown.
    selected: Option<usize>,
}

/// What the sections show: a trace, and how.
#[derive(Clone, Copy)]
struct Shown<'a> {
    trace: &'a Trace,
    digest: &'a Digest,
    layers: LayerChoice,
    part: Part,
    /// How much a tint covers of a picture, from 0 to 1.
    strength: f32,
    language: Language,
}

impl RoutingView {
    /// Draws the panel.
    pub fn show(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        // Room for the scroll bar, which floats above what it scrolls.
        let margin = egui::Margin { right: 12, ..egui::Margin::ZERO };
        let area = egui::ScrollArea::vertical().id_salt("routing").auto_shrink(false).content_margin(margin);
        area.show(ui, |ui| self.contents(ui, state, actions));
    }

    fn contents(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let language = state.language();
        ui.heading(language.pick("Routing", "路由"));
        if !self.follow(state) {
            ui.ctx().request_repaint();
        }
        self.textures.begin_frame(ui.ctx());
        let trace = state.trace.as_ref().filter(|trace| !trace.routing.tokens.is_empty());
        if trace.is_none() {
            advise(ui, state, actions);
        }
        let layers = trace.into_iter().chain(&state.pinned).map(|trace| &trace.routing.layers).max_by_key(|l| l.len());
        let Some(layers) = layers.filter(|layers| !layers.is_empty()) else { return };
        self.look.show(ui, layers, language);
        let look = self.look;
        let shown = |trace, digest| Shown {
            trace,
            digest,
            layers: look.layers(layers.len()),
            part: look.part,
            strength: look.strength,
            language,
        };
        let current = trace.zip(self.digest.as_ref()).map(|(trace, digest)| shown(trace, digest));
        // Each section has an id of its own: what grows in one must not take the keyboard's focus from another.
        if let Some(current) = current {
            let Self { textures, rows, selected, look, .. } = self;
            ui.push_id("pictures", |ui| pictures::show(ui, current, textures, selected));
            ui.push_id("words", |ui| words::show(ui, current, rows, selected));
            ui.push_id("load", |ui| load::show(ui, current));
            ui.push_id("heat map", |ui| heat_map::show(ui, current, look));
        }
        let pinned: Vec<Shown<'_>> = state.pinned.iter().zip(&self.pinned).map(|(t, d)| shown(t, d)).collect();
        let textures = &mut self.textures;
        ui.push_id("comparison", |ui| compare::show(ui, current, &pinned, textures, actions));
        if let Some(current) = current {
            ui.push_id("save", |ui| exports::show(ui, current, actions));
        }
    }

    /// Takes what the traces have more. Tells whether that was all.
    fn follow(&mut self, state: &State) -> bool {
        let mut all = true;
        match &state.trace {
            None => (self.digest, self.selected) = (None, None),
            Some(trace) => {
                if !self.digest.as_ref().is_some_and(|digest| digest.is_of(trace)) {
                    (self.rows, self.selected) = (WordRows::default(), None);
                }
                all &= self.digest.get_or_insert_with(|| Digest::new(trace)).take(trace, NUMBERS_PER_FRAME);
            }
        }
        // Others may have been taken away in between: what is there already is found again.
        for (at, trace) in state.pinned.iter().enumerate() {
            match (at..self.pinned.len()).find(|other| self.pinned[*other].is_of(trace)) {
                Some(other) => self.pinned.swap(at, other),
                None => self.pinned.insert(at, Digest::new(trace)),
            }
            // One at a time: a frame has no time for more.
            all = all && self.pinned[at].take(trace, NUMBERS_PER_FRAME);
        }
        self.pinned.truncate(state.pinned.len());
        all
    }
}

/// Says what to do to see something.
fn advise(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let language = state.language();
    let models = &state.models;
    let (text, to_models) = if models.loading.is_some() && models.loaded.is_none() {
        (language.pick("The model is being loaded.", "正在加载模型。"), false)
    } else if models.loaded.is_none() {
        (language.pick("No model is loaded. Choose one under Models.", "尚未加载模型。请在“模型”中选择一个。"), true)
    } else if models.experts() == 0 {
        let text = language.pick(
            "The loaded model has no experts, so there is no routing. Choose an adapter with experts under Models.",
            "当前模型没有专家，因此没有路由。请在“模型”中选择带有专家的适配器。",
        );
        (text, true)
    } else if state.trace.is_some() || matches!(state.work, Work::Tracing { .. }) {
        (language.pick("The prompt is going through the model.", "提示词正在通过模型。"), false)
    } else {
        let text = language.pick(
            "Ask something, best about a picture: here it is shown which expert every patch and word goes to.",
            "请提一个问题，最好与图片有关：这里会显示每个图块和词语由哪个专家处理。",
        );
        (text, false)
    };
    ui.label(text);
    if to_models && ui.button(language.pick("Open Models", "打开“模型”")).clicked() {
        actions.push(Action::Show(Panel::Models));
    }
}

/// The heading of a section.
fn section(ui: &mut egui::Ui, title: impl Into<String>) {
    ui.add_space(12.0);
    ui.label(egui::RichText::new(title).size(ui.text_style_height(&egui::TextStyle::Body) * 1.1).strong());
}

fn color32(Rgb(r, g, b): Rgb) -> egui::Color32 {
    egui::Color32::from_rgb(r, g, b)
}
