//! The two ways a LLaVA writes its `config.json`, Hugging Face's and the original code's, brought to one.

use super::fields::Fields;
use super::{ClipVisionConfig, FeatureSelect, ImageAspectRatio, LlamaConfig, LlavaConfig};
use super::{ORIGINAL_IMAGE_TOKEN_ID, StoredDtype};
use crate::error::Result;
use serde_json::Value;

/// Reads whichever layout it is: the original one has `mm_*` fields and no `text_config`.
pub(super) fn read(config: &Value, generation: Option<&Value>, vision: Option<&Value>) -> Result<LlavaConfig> {
    let top = Fields::of("config.json", config)?;
    let generation = generation.map(|value| Fields::of("generation_config.json", value)).transpose()?;
    if top.word("model_type", &["llava", "llava_llama"])?.is_none() {
        return Err(top.refuse("model_type", "supported: llava, llava_llama"));
    }
    if top.has_prefix("mm_") && !top.has("text_config") {
        original(&top, generation.as_ref(), vision)
    } else {
        hugging_face(&top, generation.as_ref())
    }
}

/// transformers' `LlavaConfig`, as versions 4 and 5 save it.
fn hugging_face(top: &Fields, generation: Option<&Fields>) -> Result<LlavaConfig> {
    top.word("projector_hidden_act", &["gelu"])?;
    if top.flag("multimodal_projector_bias")? == Some(false) {
        return Err(top.refuse("multimodal_projector_bias", "a projector without biases is not supported"));
    }
    let vision = vision_or_default(top)?;
    let text_fields = top.child("text_config")?;
    text_fields.word("model_type", &["llama"])?;
    let mut text = LlamaConfig::read(&text_fields)?;
    // transformers 5 ties when either level says so; 4 writes this field at the top only when it is false.
    text.tie_word_embeddings |= top.flag("tie_word_embeddings")?.unwrap_or(false);

    let vision_feature_layer = feature_layer(top, "vision_feature_layer", &vision)?;
    let select = top.word("vision_feature_select_strategy", &["default", "full"])?;
    let image_token = if top.has("image_token_index") { "image_token_index" } else { "image_token_id" };
    let levels = [top, &text_fields];
    Ok(LlavaConfig {
        image_token_id: top.integer(image_token, 32_000, ORIGINAL_IMAGE_TOKEN_ID..=1 << 22)?,
        vision_feature_layer,
        vision_feature_select_strategy: match select {
            Some("full") => FeatureSelect::Full,
            _ => FeatureSelect::Default,
        },
        image_aspect_ratio: aspect_ratio(top)?,
        eos_token_ids: eos_token_ids(generation, &levels, text.vocab_size)?,
        bos_token_id: token_id(&levels, "bos_token_id", text.vocab_size)?,
        pad_token_id: token_id(&levels, "pad_token_id", text.vocab_size)?,
        dtype: stored_dtype(&levels),
        vision,
        text,
    })
}

/// The original code's `LlavaConfig`: a `LlamaConfig` with the vision tower's name and choices added.
fn original(top: &Fields, generation: Option<&Fields>, vision: Option<&Value>) -> Result<LlavaConfig> {
    if top.word("mm_projector_type", &["mlp2x_gelu"])?.is_none() {
        return Err(
            top.refuse("mm_projector_type", "the original code then builds one linear layer; supported: mlp2x_gelu")
        );
    }
    top.word("mm_patch_merge_type", &["flat"])?;
    for unsupported in ["mm_use_im_start_end", "s2"] {
        if top.flag(unsupported)? == Some(true) {
            return Err(top.refuse(unsupported, "not part of LLaVA-1.5 and not supported"));
        }
    }
    let vision = match vision {
        Some(value) => separate_clip(value)?,
        None => vision_or_default(top)?,
    };
    let width = vision.hidden_size as i64;
    top.integer("mm_hidden_size", width, width..=width)?;
    let text = LlamaConfig::read(top)?;
    if !top.has("mm_vision_select_layer") {
        return Err(top.refuse("mm_vision_select_layer", "the original layout always names it; LLaVA-1.5 has -2"));
    }
    let select = top.word("mm_vision_select_feature", &["patch", "cls_patch"])?;
    Ok(LlavaConfig {
        image_token_id: ORIGINAL_IMAGE_TOKEN_ID,
        vision_feature_layer: feature_layer(top, "mm_vision_select_layer", &vision)?,
        vision_feature_select_strategy: match select {
            Some("cls_patch") => FeatureSelect::Full,
            _ => FeatureSelect::Default,
        },
        image_aspect_ratio: aspect_ratio(top)?,
        eos_token_ids: eos_token_ids(generation, &[top], text.vocab_size)?,
        bos_token_id: token_id(&[top], "bos_token_id", text.vocab_size)?,
        pad_token_id: token_id(&[top], "pad_token_id", text.vocab_size)?,
        dtype: stored_dtype(&[top]),
        vision,
        text,
    })
}

/// LLaVA-1.5's own tower where nothing is said of it; CLIP's defaults for what an existing `vision_config` leaves out.
fn vision_or_default(top: &Fields) -> Result<ClipVisionConfig> {
    if top.has("vision_config") {
        ClipVisionConfig::read(&top.child("vision_config")?)
    } else {
        Ok(ClipVisionConfig::vit_l_14_336())
    }
}

/// The `config.json` of a CLIP folder: the vision model's own, or a whole CLIP's with the vision model's inside.
fn separate_clip(value: &Value) -> Result<ClipVisionConfig> {
    let fields = Fields::of("the vision tower's config.json", value)?;
    match fields.word("model_type", &["clip", "clip_vision_model"])? {
        Some("clip") => ClipVisionConfig::read(&fields.child("vision_config")?),
        _ => ClipVisionConfig::read(&fields),
    }
}

/// -2 where the field is absent, as in transformers: a hidden state that every tower has.
fn feature_layer(top: &Fields, name: &str, vision: &ClipVisionConfig) -> Result<i32> {
    if top.get(name).is_some_and(Value::is_array) {
        return Err(top.refuse(name, "features from several layers are not supported; one whole number is"));
    }
    let layers = vision.num_hidden_layers as i64;
    top.integer(name, -2, -layers - 1..=layers).map(|layer| layer as i32)
}

fn aspect_ratio(top: &Fields) -> Result<ImageAspectRatio> {
    Ok(match top.word("image_aspect_ratio", &["pad", "square"])? {
        Some("pad") => ImageAspectRatio::Pad,
        _ => ImageAspectRatio::Preprocessor,
    })
}

/// From the first level that names any: `generation_config.json`, then those of `config.json`.
fn eos_token_ids(generation: Option<&Fields>, levels: &[&Fields], vocab_size: usize) -> Result<Vec<u32>> {
    let name = "eos_token_id";
    for fields in generation.iter().chain(levels) {
        let Some(value) = fields.get(name) else { continue };
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let mut ids = values.iter().map(|id| fields.token_id(name, id, vocab_size)).collect::<Result<Vec<_>>>()?;
        ids.sort_unstable();
        ids.dedup();
        return Ok(ids);
    }
    Ok(Vec::new())
}

/// From the first level that names it; a negative id is none.
fn token_id(levels: &[&Fields], name: &str, vocab_size: usize) -> Result<Option<u32>> {
    for fields in levels {
        match fields.get(name) {
            None => continue,
            Some(value) if value.as_i64().is_some_and(|id| id < 0) => return Ok(None),
            Some(value) => return fields.token_id(name, value, vocab_size).map(Some),
        }
    }
    Ok(None)
}

fn stored_dtype(levels: &[&Fields]) -> Option<StoredDtype> {
    let name = levels.iter().find_map(|fields| fields.get("dtype").or_else(|| fields.get("torch_dtype")))?;
    match name.as_str()? {
        "float32" => Some(StoredDtype::F32),
        "float16" => Some(StoredDtype::F16),
        "bfloat16" => Some(StoredDtype::Bf16),
        _ => None,
    }
}
