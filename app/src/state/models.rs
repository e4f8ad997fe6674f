//! Which model answers: what is chosen, what it would take, what is loaded.

use std::path::PathBuf;

use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{LoadRequest, ModelInfo, ModelSource};
use mole_runtime::model::{LoadProgress, Precision};
use serde::{Deserialize, Serialize};

use super::arrival::Demo;
use super::{Notice, Panel, State};

/// Most models in the list of those loaded before.
const MAX_RECENT: usize = 12;

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A checkpoint.
    Model,
    /// An adapter on it.
    Adapter,
}

/// A model that was loaded before, by its folders; pages cannot open folders by path and keep none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// The checkpoint; none is the demo model.
    pub model: Option<PathBuf>,
    /// The adapter on it.
    pub adapter: Option<PathBuf>,
}

/// The model's side of the state.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// The demo model, where it is at hand.
    pub demo: Option<Demo>,
    /// The demo model's download: bytes done and in all.
    pub downloading: Option<(u64, u64)>,
    /// The checkpoint to load; none is the demo model.
    pub model: Option<ModelSource>,
    /// The adapter to load; none is no adapter, and the demo's own experts for the demo model.
    pub adapter: Option<ModelSource>,
    /// Where it is to run.
    pub device: DeviceChoice,
    /// How its weights are to be kept.
    pub weights: Option<Precision>,
    /// What loading the choice would take, or why it cannot be loaded; none while that is found out.
    pub estimate: Option<Result<ModelInfo, String>>,
    /// What is loaded.
    pub loaded: Option<ModelInfo>,
    /// How far loading is, while it is under way.
    pub loading: Option<LoadProgress>,
    /// Why the last load failed.
    pub error: Option<String>,
    /// What was last asked to be loaded: what is loaded again when a device was lost.
    pub(super) requested: Option<LoadRequest>,
}

impl Models {
    /// What loading the choice means; none while the demo model is chosen and not at hand yet.
    pub fn request(&self) -> Option<LoadRequest> {
        let (model, adapter) = match &self.model {
            Some(model) => (model.clone(), self.adapter.clone()),
            None => {
                let demo = self.demo.as_ref()?;
                (demo.model.clone(), Some(self.adapter.clone().unwrap_or_else(|| demo.adapter.clone())))
            }
        };
        Some(LoadRequest { model, adapter, device: self.device, precision: self.weights, aspect_ratio: None })
    }

    /// How many experts a layer of the loaded model has; 0 for none and for no model.
    pub fn experts(&self) -> usize {
        self.loaded.as_ref().and_then(|info| info.adapter.as_ref()).map_or(0, |adapter| adapter.experts)
    }

    /// The choice as the list keeps it; none where a part of it has no path.
    pub(super) fn as_recent(&self) -> Option<Recent> {
        let path = |source: &Option<ModelSource>| match source {
            None => Some(None),
            Some(ModelSource::Folder(path)) => Some(Some(path.clone())),
            Some(ModelSource::Files(..)) => None,
        };
        Some(Recent { model: path(&self.model)?, adapter: path(&self.adapter)? })
    }
}

/// Puts a model at the head of the list.
pub(super) fn remember(list: &mut Vec<Recent>, model: Recent) {
    list.retain(|other| *other != model);
    list.insert(0, model);
    list.truncate(MAX_RECENT);
}

impl State {
    pub(super) fn choose(&mut self, slot: Slot, source: Option<ModelSource>) {
        match slot {
            Slot::Model => {
                self.models.model = source;
                // An adapter belongs to the model it was trained on.
                self.models.adapter = None;
            }
            Slot::Adapter => self.models.adapter = source,
        }
        self.models.error = None;
        self.want_estimate();
    }

    pub(super) fn choose_recent(&mut self, recent: Recent) {
        self.models.model = recent.model.map(ModelSource::Folder);
        self.models.adapter = recent.adapter.map(ModelSource::Folder);
        self.models.error = None;
        self.want_estimate();
    }

    pub(super) fn want_estimate(&mut self) {
        self.models.estimate = None;
        self.wishes.estimate = true;
    }

    /// Loads what is chosen; an answer that is on its way stops for it.
    pub(super) fn load(&mut self) {
        self.models.error = None;
        self.models.requested = self.models.request();
        self.wishes.load = self.models.requested.is_some();
        if !self.work.is_idle() {
            self.stop_running();
        }
    }

    pub(super) fn loaded(&mut self, info: ModelInfo) {
        self.models.loading = None;
        self.models.loaded = Some(info);
        if let Some(recent) = self.models.as_recent() {
            remember(&mut self.preferences.recent, recent);
            self.remember_preferences();
        }
        self.trace = None;
        if self.preferences.panel == Panel::Routing {
            self.want_trace();
        }
    }

    pub(super) fn load_failed(&mut self, reason: String) {
        self.models.loading = None;
        self.models.error = Some(reason.clone());
        // The panel shows it where it happened; elsewhere nobody would see it.
        if self.preferences.panel != Panel::Models {
            self.notices.push(Notice::error(reason));
        }
    }
}
