//! An adapter's tensors against its config and the model, before any is read.

use std::collections::BTreeMap;

use super::PREFIX;
use super::config::{AdapterConfig, Target};
use crate::model::LlavaConfig;
use crate::model::layer_name;
use crate::weights::{Checkpoint, Dtype};

/// Returns the config with the targets that have tensors, and whether there is a projector.
pub(super) fn check(
    mut config: AdapterConfig,
    tensors: &Checkpoint,
    model: &LlavaConfig,
) -> Result<(AdapterConfig, bool), String> {
    dtypes(tensors)?;
    layers(&config, tensors, model)?;
    if config.lora.targets.is_empty() {
        let present = |target: &Target| tensors.get(&lora_name(0, *target, "A")).is_some();
        config.lora.targets = Target::ALL.into_iter().filter(present).collect();
    }
    experts(&config, tensors)?;
    let projector = projector_shapes(model);
    let has_projector = tensors.iter().any(|(name, _)| projector.contains_key(name));
    let mut expected = adapter_shapes(&config, model);
    if has_projector {
        expected.extend(projector);
    }
    if expected.is_empty() {
        let reason =
            "holds no adapter on the language model's projections, no experts and no projector: nothing to use";
        return Err(reason.to_string());
    }
    for (name, tensor) in tensors.iter() {
        let Some(shape) = expected.get(name) else { continue };
        if tensor.shape != *shape {
            return Err(wrong_shape(&config, &tensor.name_in_file, &tensor.shape, shape));
        }
    }
    names(&expected, tensors)?;
    Ok((config, has_projector))
}

/// The tensors that are expected, and no other.
fn names(expected: &BTreeMap<String, Vec<usize>>, tensors: &Checkpoint) -> Result<(), String> {
    let missing: Vec<&str> = expected.keys().map(String::as_str).filter(|name| tensors.get(name).is_none()).collect();
    let unknown: Vec<&str> = tensors
        .iter()
        .filter(|(name, _)| !expected.contains_key(*name))
        .map(|(_, tensor)| tensor.name_in_file.as_str())
        .collect();
    let (lacks, holds) = (missing.len(), unknown.len());
    match (missing.first(), unknown.first()) {
        (None, None) => Ok(()),
        (Some(first), None) => Err(format!(
            "lacks {lacks} tensor(s) that its adapter_config.json promises, the first of them {first}; the file is of \
             another adapter, or was cut short"
        )),
        (None, Some(first)) => Err(format!(
            "holds {holds} tensor(s) that are not in its adapter_config.json or not in this model, the first of them \
             {first}; adapters on the language model's projections, experts and the projector are read"
        )),
        (Some(missing), Some(unknown)) => Err(format!(
            "holds {holds} tensor(s) of names that mean nothing here, the first of them {unknown}, and lacks {lacks} that \
             its adapter_config.json promises, the first of them {missing}; names begin with {PREFIX} and go on as the \
             model's own, so it is an adapter of another kind of model"
        )),
    }
}

/// `16 x 4096` of tensors that should be `32 x 4096`.
fn wrong_shape(config: &AdapterConfig, name: &str, actual: &[usize], expected: &[usize]) -> String {
    let dims = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let narrow = |shape: &[usize]| shape.iter().copied().min().unwrap_or(0);
    let of_lora = name.contains("lora_") && actual.len() == expected.len();
    let only_rank =
        actual.iter().zip(expected).filter(|(a, e)| a != e).count() == 1 && narrow(actual) != narrow(expected);
    let field = if name.contains(".moe_") { "mole.rank" } else { "r" };
    let reason = match of_lora && only_rank {
        true => format!(
            "the tensors have rank {}, but {field} in adapter_config.json is {}; correct it there",
            narrow(actual),
            narrow(expected)
        ),
        false => other_base(config),
    };
    format!("{name} is {}, expected {}: {reason}", dims(actual), dims(expected))
}

fn other_base(config: &AdapterConfig) -> String {
    match config.base_model.as_str() {
        "" => "it was trained on another base model".to_string(),
        base => format!("it was trained on another base model, {base}"),
    }
}

/// Known before a model is given up for this one.
fn dtypes(tensors: &Checkpoint) -> Result<(), String> {
    let read = [Dtype::F32, Dtype::F16, Dtype::BF16];
    match tensors.iter().find(|(_, tensor)| !read.contains(&tensor.dtype)) {
        Some((_, tensor)) => Err(format!("{} is {}; F32, F16 and BF16 are read", tensor.name_in_file, tensor.dtype)),
        None => Ok(()),
    }
}

/// As many layers as the model.
fn layers(config: &AdapterConfig, tensors: &Checkpoint, model: &LlavaConfig) -> Result<(), String> {
    // Those of a vision tower do not count.
    let layer = |name: &str| {
        name.strip_prefix("language_model.")?.split_once(".layers.")?.1.split_once('.')?.0.parse::<usize>().ok()
    };
    let most = tensors.iter().filter_map(|(name, _)| layer(name)).max();
    let has = model.text.num_hidden_layers;
    match most {
        Some(most) if most.checked_add(1) != Some(has) => {
            let (layers, base) = (most.saturating_add(1), other_base(config));
            Err(format!("is on {layers} layers, the model has {has}: {base}"))
        }
        _ => Ok(()),
    }
}

/// As many experts as the config says.
fn experts(config: &AdapterConfig, tensors: &Checkpoint) -> Result<(), String> {
    let expert = |name: &str| name.split_once(".mlp.moe_")?.1.split('.').nth(1)?.parse::<usize>().ok();
    let Some(most) = tensors.iter().filter_map(|(name, _)| expert(name)).max() else {
        // Found among the names that are missing.
        return Ok(());
    };
    let found = most.saturating_add(1);
    match &config.mole {
        Some(mole) if mole.experts == found => Ok(()),
        Some(mole) => Err(format!(
            "has tensors of {found} expert(s), but mole.experts in adapter_config.json is {}; correct it there",
            mole.experts
        )),
        None => Err(format!(
            "has tensors of {found} expert(s), but adapter_config.json has no \"mole\" object that says how they are \
             used (experts, rank, alpha, gating); take the file that was written with it"
        )),
    }
}

/// The name of one half of a LoRA pair.
pub(super) fn lora_name(layer: usize, target: Target, half: &str) -> String {
    format!("{}.{}.lora_{half}.weight", layer_name(layer), target.path())
}

/// Inputs and outputs of a projection.
fn features(target: Target, model: &LlavaConfig) -> (usize, usize) {
    let text = &model.text;
    let (d_model, ffn) = (text.hidden_size, text.intermediate_size);
    let (q, kv) = (text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim);
    match target {
        Target::QProj => (d_model, q),
        Target::KProj | Target::VProj => (d_model, kv),
        Target::OProj => (q, d_model),
        Target::GateProj | Target::UpProj => (d_model, ffn),
        Target::DownProj => (ffn, d_model),
    }
}

/// Every tensor of an adapter but the projector's, by canonical name.
pub(super) fn adapter_shapes(config: &AdapterConfig, model: &LlavaConfig) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    for layer in 0..model.text.num_hidden_layers {
        for &target in &config.lora.targets {
            let (input, output) = features(target, model);
            shapes.insert(lora_name(layer, target, "A"), vec![config.lora.rank, input]);
            shapes.insert(lora_name(layer, target, "B"), vec![output, config.lora.rank]);
        }
        let Some(mole) = &config.mole else { continue };
        let mlp = format!("{}.mlp", layer_name(layer));
        shapes.insert(format!("{mlp}.router.weight"), vec![mole.experts, model.text.hidden_size]);
        shapes.insert(format!("{mlp}.router.bias"), vec![mole.experts]);
        for (part, target) in [("gate", Target::GateProj), ("up", Target::UpProj), ("down", Target::DownProj)] {
            let (input, output) = features(target, model);
            for expert in 0..mole.experts {
                shapes.insert(format!("{mlp}.moe_{part}.{expert}.lora_A"), vec![mole.rank, input]);
                shapes.insert(format!("{mlp}.moe_{part}.{expert}.lora_B"), vec![output, mole.rank]);
            }
        }
    }
    shapes
}

/// The projector's tensors.
fn projector_shapes(model: &LlavaConfig) -> BTreeMap<String, Vec<usize>> {
    let tensors = model.expected_tensors();
    tensors.into_iter().filter(|(name, _)| name.starts_with("multi_modal_projector.")).collect()
}

#[cfg(test)]
mod tests;
