//! What a checkpoint's `config.json` says about the model, with every number checked before anything is allocated.
//!
//! Two ways of writing it are read: Hugging Face's (`vision_config` and `text_config` objects, transformers 4 and 5)
//! and the original LLaVA code's (Llama's fields at the top level, `mm_*` fields beside them). A missing field takes
//! the default of transformers' own `LlavaConfig`, `LlamaConfig` or `CLIPVisionConfig`. A value that this runtime would
//! silently compute wrongly (biases in attention, scaled rotary embeddings, another activation) is refused by name.
//!
//! Source: transformers `configuration_{llava,llama,clip}.py`; LLaVA `llava_arch.py`, `clip_encoder.py`.

mod clip;
mod fields;
mod layouts;
mod llama;
mod tensors;
#[cfg(test)]
mod tests;

pub use clip::{ClipVisionConfig, VisionActivation};
pub use llama::LlamaConfig;

use crate::error::Result;
use crate::weights::{Checkpoint, ModelFiles};
use serde_json::Value;

/// Where the original LLaVA code puts a picture among the token ids: no embedding has this id.
pub const ORIGINAL_IMAGE_TOKEN_ID: i64 = -200;

/// LLaVA-1.5: a CLIP vision tower, a projector (two linear layers with biases, GELU by erf between) and a Llama.
#[derive(Debug, Clone, PartialEq)]
pub struct LlavaConfig {
    /// The vision tower.
    pub vision: ClipVisionConfig,
    /// The language model.
    pub text: LlamaConfig,
    /// The token id that stands for a picture: `image_token_index` or `image_token_id`, or
    /// [`ORIGINAL_IMAGE_TOKEN_ID`]. It may lie outside the embedding table: pictures are put in by position, and this
    /// id is never looked up.
    pub image_token_id: i64,
    /// Which hidden state of the vision tower is projected, as transformers counts them: 0 is what enters the first
    /// layer, k what leaves layer k, negative from the end. [`LlavaConfig::num_vision_layers_used`] says what it means.
    pub vision_feature_layer: i32,
    /// Whether the class token goes to the language model with the patches.
    pub vision_feature_select_strategy: FeatureSelect,
    /// What is done to a picture that is not square.
    pub image_aspect_ratio: ImageAspectRatio,
    /// Tokens that end a reply, from `generation_config.json`, else `config.json`. Empty when neither names one: then
    /// the tokenizer's counts.
    pub eos_token_ids: Vec<u32>,
    /// The token before the text, where `config.json` names one.
    pub bos_token_id: Option<u32>,
    /// The token that fills a batch, where `config.json` names one. A negative id, as older conversions of Llama write
    /// it, means none.
    pub pad_token_id: Option<u32>,
    /// The precision the checkpoint says it was saved in, for display: the tensors' own dtypes decide.
    pub dtype: Option<StoredDtype>,
}

/// Which of the vision tower's tokens become embeddings of the language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureSelect {
    /// The patches, without the class token (`default`; `patch` in the original layout).
    Default,
    /// The class token first, then the patches (`full`; `cls_patch` in the original layout).
    Full,
}

/// How a picture is brought to the square that the vision tower takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageAspectRatio {
    /// As `preprocessor_config.json` says: usually the shortest edge is resized and the centre cut out.
    Preprocessor,
    /// Padded to a square with the mean colour first, so that nothing is cut off (LLaVA's own evaluation).
    Pad,
}

/// The precision named by `torch_dtype` (transformers 4) or `dtype` (transformers 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredDtype {
    /// `float32`
    F32,
    /// `float16`
    F16,
    /// `bfloat16`
    Bf16,
}

impl LlavaConfig {
    /// Reads and checks the configuration.
    ///
    /// `config` is `config.json`, `generation_config` is `generation_config.json`. `vision_config` is the
    /// `config.json` of a separate CLIP folder: only the original layout has one, so only there is it used.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) names the field, its value and what is accepted.
    pub fn from_json(config: &Value, generation_config: Option<&Value>, vision_config: Option<&Value>) -> Result<Self> {
        layouts::read(config, generation_config, vision_config)
    }

    /// Reads the configuration of a model's folder, and finds the separate vision tower of the original layout, if the
    /// model has one.
    ///
    /// # Errors
    /// As [`LlavaConfig::from_json`], and [`Error::NotACheckpoint`](crate::error::Error::NotACheckpoint) where
    /// `config.json` is missing.
    pub fn read(files: &ModelFiles) -> Result<(Self, Option<ModelFiles>)> {
        let config = files.require_json("config.json")?;
        let generation = files.read_json("generation_config.json")?;
        let tower = Checkpoint::vision_tower_files(files, &config)?;
        let tower_config = match &tower {
            Some(tower) => tower.read_json("config.json")?,
            None => None,
        };
        Ok((Self::from_json(&config, generation.as_ref(), tower_config.as_ref())?, tower))
    }

    /// Parameters of the model as it runs: without the vision layers its features do not need.
    pub fn parameters(&self) -> u64 {
        self.expected_tensors().iter().map(|(_, shape)| shape.iter().map(|&dim| dim as u64).product::<u64>()).sum()
    }

    /// How many layers of the vision tower run to make the features, counted from the first.
    ///
    /// # Panics
    /// When `vision_feature_layer` was set to a hidden state the tower does not have; [`LlavaConfig::from_json`]
    /// refuses that.
    pub fn num_vision_layers_used(&self) -> usize {
        self.vision.layers_to_hidden_state(self.vision_feature_layer).expect("from_json checked the layer")
    }

    /// The same model with at most `text` layers in the language model and `vision` in the tower's part that is used.
    pub fn first_layers(&self, text: usize, vision: usize) -> Self {
        let mut fewer = self.clone();
        fewer.text.num_hidden_layers = text.min(self.text.num_hidden_layers);
        let used = self.num_vision_layers_used();
        let vision = vision.min(used);
        fewer.vision.num_hidden_layers -= used - vision;
        // Counted from the end it names the same layer still.
        if self.vision_feature_layer >= 0 {
            fewer.vision_feature_layer = vision as i32;
        }
        fewer
    }

    /// How many embeddings one picture becomes: its patches, and the class token where it is kept.
    pub fn image_seq_len(&self) -> usize {
        match self.vision_feature_select_strategy {
            FeatureSelect::Default => self.vision.num_patches(),
            FeatureSelect::Full => self.vision.num_patches() + 1,
        }
    }
}
