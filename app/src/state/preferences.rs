//! What the person has chosen, kept from start to start.

use mole_runtime::ops::SampleParams;
use serde::{Deserialize, Serialize};

use super::models::Recent;
use crate::language::Language;

/// Light, dark, or as the system is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// What stands beside the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Panel {
    /// Nothing.
    #[default]
    None,
    /// Which expert every patch and word goes to.
    Routing,
    /// The curves of a training run.
    Training,
    /// Which model answers.
    Models,
    /// Everything else there is to choose.
    Settings,
}

/// How answers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// At most this many tokens.
    pub max_new_tokens: usize,
    /// 0 always takes the likeliest token.
    pub temperature: f32,
    /// Draw from the k likeliest; 0 is off.
    pub top_k: u32,
    /// Draw from the fewest whose probabilities sum to this; 1 is off.
    pub top_p: f32,
    /// Makes tokens that occurred less likely; 1 is off.
    pub repetition_penalty: f32,
    /// Seed of the draws.
    pub seed: u32,
}

impl Default for Sampling {
    /// The command line's defaults.
    fn default() -> Self {
        let params = SampleParams::default();
        Self {
            max_new_tokens: 512,
            temperature: params.temperature,
            top_k: params.top_k,
            top_p: params.top_p,
            repetition_penalty: params.repetition_penalty,
            seed: 0,
        }
    }
}

impl Sampling {
    /// As the runtime takes it.
    pub fn params(&self) -> SampleParams {
        SampleParams {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
        }
    }
}

/// All choices. A file of an older version lacks some, and one of a newer version has more: both are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// The app's language; none until it is chosen: as the system's.
    pub language: Option<Language>,
    /// Light or dark.
    pub theme: Theme,
    /// Size of all text, relative to the system's: 0.5 to 3.
    pub text_scale: f32,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// What stands beside the conversation.
    pub panel: Panel,
    /// Whether the list of conversations is shown.
    pub sidebar: bool,
    /// Models that were loaded, newest first.
    pub recent: Vec<Recent>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            language: None,
            theme: Theme::System,
            text_scale: 1.0,
            sampling: Sampling::default(),
            panel: Panel::None,
            sidebar: true,
            recent: Vec::new(),
        }
    }
}
