//! The whole window: takes what arrived, draws, acts, and hands out what is to be done.

use async_channel::{Receiver, Sender};
use egui::{CentralPanel, Event, Key, Modifiers, Panel as Side, Ui};
use web_time::{SystemTime, UNIX_EPOCH};

use super::composer::Composer;
use super::drop::Drops;
use super::models::ModelsView;
use super::routing::RoutingView;
use super::sidebar::{self, Asking};
use super::textures::Textures;
#[cfg(not(target_arch = "wasm32"))]
use super::training::TrainingView;
use super::transcript::Transcript;
use super::{notices, settings, status, theme, top_bar, welcome};
use crate::state::{Action, Arrival, Effect, Panel, State};

/// Carries out what the state wants done outside. Must not block.
pub type Perform = Box<dyn FnMut(Effect)>;

/// Below this width, in points, what stands beside the conversation takes its place.
const NARROW: f32 = 760.0;

/// The app.
pub struct App {
    state: State,
    inbox: Receiver<Arrival>,
    perform: Perform,
    drops: Drops,
    textures: Textures,
    transcript: Transcript,
    composer: Composer,
    asking: Asking,
    models: ModelsView,
    routing: RoutingView,
    #[cfg(not(target_arch = "wasm32"))]
    training: TrainingView,
}

impl App {
    /// The app over `state`. What happens outside comes through `inbox`, which `outside` feeds; what is to be done goes
    /// to `perform`.
    pub fn new(
        ctx: &egui::Context,
        state: State,
        (outside, inbox): (Sender<Arrival>, Receiver<Arrival>),
        perform: Perform,
    ) -> Self {
        theme::install(ctx);
        Self {
            state,
            inbox,
            perform,
            drops: Drops::new(outside),
            textures: Textures::default(),
            transcript: Transcript::default(),
            composer: Composer::default(),
            asking: Asking::default(),
            models: ModelsView::default(),
            routing: RoutingView::default(),
            #[cfg(not(target_arch = "wasm32"))]
            training: TrainingView::default(),
        }
    }

    /// What the app is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the app is, taken out of a window that ends, to go on in another.
    pub fn into_state(self) -> State {
        self.state
    }

    /// The person, or somebody in their place, does something.
    pub fn act(&mut self, action: Action) {
        self.state.act(action);
        self.go_on();
    }

    /// Takes what arrived. Draws nothing.
    pub fn logic(&mut self) {
        self.state.now_ms = now_ms();
        while let Ok(arrival) = self.inbox.try_recv() {
            self.state.arrive(arrival);
        }
        self.go_on();
    }

    fn go_on(&mut self) {
        self.state.effects().into_iter().for_each(&mut self.perform);
    }

    /// Draws, and does what the person asked for.
    pub fn ui(&mut self, ui: &mut Ui) {
        let mut actions = Vec::new();
        theme::apply(ui.ctx(), &self.state.preferences);
        self.drops.take(ui, self.state.language());
        self.shortcuts(ui, &mut actions);
        let narrow = ui.available_width() < NARROW;
        Side::top("top").show(ui, |ui| top_bar::show(ui, &self.state, &mut self.asking, &mut actions));
        Side::bottom("status").show(ui, |ui| status::show(ui, &self.state));
        if self.state.preferences.sidebar && !(narrow && self.state.preferences.panel != Panel::None) {
            let list = Side::left("chats").default_size(220.0).size_range(140.0..=420.0);
            list.show(ui, |ui| sidebar::show(ui, &self.state, &mut actions));
        }
        if self.state.preferences.panel != Panel::None && !narrow {
            let beside = Side::right("beside").default_size(440.0).size_range(300.0..=900.0);
            beside.show(ui, |ui| self.panel(ui, &mut actions));
        }
        CentralPanel::default().show(ui, |ui| match narrow && self.state.preferences.panel != Panel::None {
            true => self.panel(ui, &mut actions),
            false => self.conversation(ui, &mut actions),
        });
        top_bar::ask(ui, &self.state, &mut self.asking, &mut actions);
        self.drops.hint(ui, self.state.language());
        for action in actions {
            self.after(&action);
            self.state.act(action);
        }
        self.go_on();
    }

    fn conversation(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let below = Side::bottom("composer").resizable(false).show_separator_line(false);
        below.show(ui, |ui| {
            notices::show(ui, &self.state, actions);
            self.composer.show(ui, &self.state, &mut self.textures, actions);
        });
        match self.state.chat().is_none_or(|chat| chat.turns.is_empty()) {
            true => welcome::show(ui, &self.state, &mut self.textures, actions),
            false => self.transcript.show(ui, &self.state, &mut self.textures, actions),
        }
    }

    fn panel(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        ui.add_space(6.0);
        match self.state.preferences.panel {
            Panel::None => {}
            Panel::Routing => self.routing.show(ui, &self.state, actions),
            #[cfg(not(target_arch = "wasm32"))]
            Panel::Training => self.training.show(ui, &self.state, actions),
            #[cfg(target_arch = "wasm32")]
            Panel::Training => {}
            Panel::Models => self.models.show(ui, &self.state, actions),
            Panel::Settings => settings::show(ui, &self.state, actions),
        }
    }

    fn shortcuts(&mut self, ui: &Ui, actions: &mut Vec<Action>) {
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, key));
        if pressed(Key::N) {
            actions.push(Action::NewChat);
        }
        if pressed(Key::O) {
            actions.push(Action::PickPictures);
        }
        if pressed(Key::L) {
            self.composer.focus();
        }
        // A picture on the clipboard; eframe tells of it natively.
        let pasted = ui.input(|input| {
            let image = |event: &Event| match event {
                Event::PasteImage(image) => Some(image.clone()),
                _ => None,
            };
            input.events.iter().find_map(image)
        });
        if let Some(image) = pasted {
            self.drops.pasted(image, self.state.language(), ui.ctx().clone());
        }
    }

    /// Where the keyboard goes after these.
    fn after(&mut self, action: &Action) {
        if matches!(
            action,
            Action::NewChat | Action::Edit(_) | Action::TrySample(..) | Action::Attach(_) | Action::CancelEdit
        ) {
            self.composer.focus();
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, _ctx: &egui::Context, _frame: &mut eframe::Frame) {
        Self::logic(self);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }

    #[cfg(target_arch = "wasm32")]
    fn as_any_mut(&mut self) -> Option<&mut dyn std::any::Any> {
        Some(self)
    }
}

/// Milliseconds since 1970 (UTC).
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
