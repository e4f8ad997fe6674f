//! The vision tower's part of the configuration: CLIP's vision transformer.
//!
//! Source: transformers `configuration_clip.py`, class `CLIPVisionConfig`, whose defaults a missing field takes.

use super::fields::Fields;
use crate::error::Result;

/// A position embedding for more patches than this (256 x 256) is no CLIP.
const MOST_PATCHES: usize = 1 << 16;

/// CLIP's vision transformer: pre-norm layers over patches and one class token.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipVisionConfig {
    /// Width of a token.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Layers in the file; [`LlavaConfig::num_vision_layers_used`](super::LlavaConfig::num_vision_layers_used) run.
    pub num_hidden_layers: usize,
    /// Attention heads; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Edge of the square picture, in pixels.
    pub image_size: usize,
    /// Edge of the square patch, in pixels.
    pub patch_size: usize,
    /// The MLP's activation.
    pub hidden_act: VisionActivation,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
}

/// The activation in the vision tower's MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisionActivation {
    /// x sigmoid(1.702 x), OpenAI's CLIP.
    QuickGelu,
    /// x Phi(x) by erf.
    Gelu,
}

impl ClipVisionConfig {
    /// ViT-L/14 at 336 pixels, LLaVA-1.5's own tower: what `LlavaConfig` assumes when it has no `vision_config`.
    pub fn vit_l_14_336() -> Self {
        Self {
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size: 336,
            patch_size: 14,
            hidden_act: VisionActivation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        fields.word("model_type", &["clip_vision_model"])?;
        fields.integer("num_channels", 3, 3..=3)?;
        let hidden_act = match fields.word("hidden_act", &["quick_gelu", "gelu"])? {
            Some("gelu") => VisionActivation::Gelu,
            _ => VisionActivation::QuickGelu,
        };
        let config = Self {
            hidden_size: fields.count("hidden_size", 768, 1 << 16)?,
            intermediate_size: fields.count("intermediate_size", 3072, 1 << 20)?,
            num_hidden_layers: fields.count("num_hidden_layers", 12, 512)?,
            num_attention_heads: fields.count("num_attention_heads", 12, 1024)?,
            image_size: fields.count("image_size", 224, 1 << 14)?,
            patch_size: fields.count("patch_size", 32, 1 << 10)?,
            hidden_act,
            layer_norm_eps: fields.positive("layer_norm_eps", 1e-5, 0.1)?,
        };
        config.check(fields)?;
        Ok(config)
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        let Self { hidden_size, num_attention_heads: heads, image_size, patch_size, .. } = *self;
        if hidden_size % heads != 0 {
            return Err(fields.inconsistent(format_args!(
                "hidden_size {hidden_size} is no multiple of num_attention_heads {heads}"
            )));
        }
        let head_dim = self.head_dim();
        if !head_dim.is_multiple_of(2) || head_dim > 256 {
            return Err(fields.inconsistent(format_args!(
                "hidden_size / num_attention_heads is {head_dim}; an even number up to 256 is accepted"
            )));
        }
        if patch_size > image_size || self.num_patches() > MOST_PATCHES {
            return Err(fields.inconsistent(format_args!(
                "patch_size {patch_size} does not cut image_size {image_size} into 1 to {MOST_PATCHES} patches"
            )));
        }
        Ok(())
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Patches of one picture. Pixels beyond the last whole patch are left out, as CLIP's convolution does.
    pub fn num_patches(&self) -> usize {
        let per_side = self.image_size / self.patch_size;
        per_side * per_side
    }

    /// How many layers make hidden state `index`, counted as transformers does (0 is the input of the first layer,
    /// negative from the end). `None` where the tower has no such hidden state.
    pub(super) fn layers_to_hidden_state(&self, index: i32) -> Option<usize> {
        let states = self.num_hidden_layers as i64 + 1;
        let index = i64::from(index);
        let from_start = if index < 0 { index + states } else { index };
        (0..states).contains(&from_start).then_some(from_start as usize)
    }
}
