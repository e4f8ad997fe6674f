//! The whole window: takes what arrived, draws, acts, and hands out what is to be done.

use async_channel::Receiver;

use super::models;
use super::routing::RoutingView;
use super::settings;
#[cfg(not(target_arch = "wasm32"))]
use super::training::TrainingView;
use crate::state::{Action, Arrival, Effect, Panel, State};

/// Carries out what the state wants done outside. Must not block.
pub type Perform = Box<dyn FnMut(Effect)>;

/// The app.
pub struct App {
    state: State,
    inbox: Receiver<Arrival>,
    perform: Perform,
    routing: RoutingView,
    #[cfg(not(target_arch = "wasm32"))]
    training: TrainingView,
}

impl App {
    /// The app over `state`; what happens outside comes through `inbox`, and goes out through `perform`.
    pub fn new(state: State, inbox: Receiver<Arrival>, perform: Perform) -> Self {
        Self {
            state,
            inbox,
            perform,
            routing: RoutingView::default(),
            #[cfg(not(target_arch = "wasm32"))]
            training: TrainingView::default(),
        }
    }

    /// What the app is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes what arrived. Draws nothing.
    pub fn logic(&mut self) {
        while let Ok(arrival) = self.inbox.try_recv() {
            self.state.arrive(arrival);
        }
        self.state.effects().into_iter().for_each(&mut self.perform);
    }

    /// Draws, and does what the person asked for.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let mut actions: Vec<Action> = Vec::new();
        match self.state.preferences.panel {
            Panel::None => {}
            Panel::Routing => self.routing.show(ui, &self.state, &mut actions),
            #[cfg(not(target_arch = "wasm32"))]
            Panel::Training => self.training.show(ui, &self.state, &mut actions),
            #[cfg(target_arch = "wasm32")]
            Panel::Training => {}
            Panel::Models => models::show(ui, &self.state, &mut actions),
            Panel::Settings => settings::show(ui, &self.state, &mut actions),
        }
        for action in actions {
            self.state.act(action);
        }
        self.state.effects().into_iter().for_each(&mut self.perform);
    }
}
