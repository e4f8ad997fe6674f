//! `inspect`: what a checkpoint and an adapter to it hold, without loading them.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use mole_runtime::model::adapter::Adapter;
use mole_runtime::model::{LlavaConfig, MemoryEstimate, Precision, gigabytes};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use serde_json::{Value, json};

use super::args::{InspectArgs, Shared};

/// Reads the headers and prints what they say.
pub fn run(shared: &Shared, args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let files = ModelFiles::open(&args.path)?;
    if let Some(error) = Adapter::taken_for_a_model(&files) {
        return Err(error.into());
    }
    let (config, tower) = LlavaConfig::read(&files)?;
    let checkpoint = Checkpoint::open(&files, tower.as_ref())?;
    let fit = checkpoint.check(&config.expected_tensors(), &config.unused_tensors());

    let adapter = match &shared.adapter {
        Some(folder) => Some(Adapter::open(&Adapter::files(folder)?, &config)?),
        None => None,
    };
    let adapter_size = adapter.as_ref().map(Adapter::size).unwrap_or_default();

    let mut by_dtype: BTreeMap<String, (usize, u64, u64)> = BTreeMap::new();
    for (_, tensor) in checkpoint.iter() {
        let row = by_dtype.entry(tensor.kind()).or_default();
        *row = (row.0 + 1, row.1 + tensor.elements() as u64, row.2 + tensor.bytes);
    }
    let parameters = config.parameters();
    let memory =
        Precision::ALL.map(|precision| (precision, MemoryEstimate::new(&config, precision).with_adapter(adapter_size)));
    let (text, vision) = (&config.text, &config.vision);
    let mut out = std::io::stdout().lock();
    if args.json {
        let tensors: Vec<_> = checkpoint
            .iter()
            .map(|(name, tensor)| {
                json!({ "name": name, "name_in_file": tensor.name_in_file, "dtype": tensor.kind(),
                        "shape": tensor.shape, "bytes": tensor.bytes, "file": tensor.file })
            })
            .collect();
        let dtypes: BTreeMap<_, _> = by_dtype
            .iter()
            .map(|(dtype, (count, elements, bytes))| {
                (dtype, json!({ "tensors": count, "parameters": elements, "bytes": bytes }))
            })
            .collect();
        let memory: BTreeMap<_, _> = memory
            .iter()
            .map(|(precision, estimate)| {
                let mut value = json!(estimate);
                value["total"] = json!(estimate.total());
                (precision.to_string(), value)
            })
            .collect();
        let mut object = json!({
            "path": args.path.display().to_string(),
            "layout": checkpoint.layout().to_string(),
            "parameters": parameters,
            "text": { "num_hidden_layers": text.num_hidden_layers, "hidden_size": text.hidden_size,
                "intermediate_size": text.intermediate_size, "num_attention_heads": text.num_attention_heads,
                "num_key_value_heads": text.num_key_value_heads, "head_dim": text.head_dim,
                "vocab_size": text.vocab_size, "max_position_embeddings": text.max_position_embeddings,
                "tie_word_embeddings": text.tie_word_embeddings },
            "vision": { "num_hidden_layers": vision.num_hidden_layers, "hidden_size": vision.hidden_size,
                "intermediate_size": vision.intermediate_size, "num_attention_heads": vision.num_attention_heads,
                "image_size": vision.image_size, "patch_size": vision.patch_size,
                "vision_feature_layer": config.vision_feature_layer, "image_tokens": config.image_seq_len() },
            "by_dtype": dtypes,
            "memory": memory,
            "complete": fit.is_ok(),
            "tensors": tensors,
        });
        if let Some(adapter) = &adapter {
            object["adapter"] = adapter_json(adapter);
        }
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "{}: LLaVA, {} layout", args.path.display(), checkpoint.layout())?;
        writeln!(
            out,
            "language  {} layers, width {}, FFN {}, {} heads ({} key/value) of {}, vocabulary {}, context {}",
            text.num_hidden_layers,
            text.hidden_size,
            text.intermediate_size,
            text.num_attention_heads,
            text.num_key_value_heads,
            text.head_dim,
            text.vocab_size,
            text.max_position_embeddings
        )?;
        writeln!(
            out,
            "vision    {} layers ({} used), width {}, FFN {}, {} heads, {} px in patches of {}: {} tokens a picture",
            vision.num_hidden_layers,
            config.num_vision_layers_used(),
            vision.hidden_size,
            vision.intermediate_size,
            vision.num_attention_heads,
            vision.image_size,
            vision.patch_size,
            config.image_seq_len()
        )?;
        writeln!(out, "parameters {:.1} M", parameters as f64 / 1e6)?;
        for (dtype, (count, elements, bytes)) in &by_dtype {
            let millions = *elements as f64 / 1e6;
            writeln!(out, "stored    {dtype}: {count} tensors, {millions:.1} M values, {}", gigabytes(*bytes))?;
        }
        for (precision, estimate) in &memory {
            let adapter = match estimate.adapter {
                0 => String::new(),
                bytes => format!("adapter {}, ", gigabytes(bytes)),
            };
            writeln!(
                out,
                "memory    --weights {precision}: {} (weights {}, {adapter}context {}, activations {})",
                gigabytes(estimate.total()),
                gigabytes(estimate.weights),
                gigabytes(estimate.kv_cache),
                gigabytes(estimate.activations)
            )?;
        }
        if let Some(adapter) = &adapter {
            describe_adapter(adapter, &mut out)?;
        }
        let of_adapter = adapter.iter().flat_map(|adapter| adapter.tensors().iter());
        for (name, tensor) in checkpoint.iter().chain(of_adapter) {
            writeln!(out, "  {name} {} {:?}", tensor.dtype, tensor.shape)?;
        }
    }
    drop(out);
    // Said last, so that the listing above can be read.
    fit?;
    Ok(ExitCode::SUCCESS)
}

/// The projections that plain LoRA adapts, by their own names.
fn targets(adapter: &Adapter) -> Vec<&'static str> {
    adapter.config.lora.targets.iter().map(|target| target.name()).collect()
}

fn adapter_json(adapter: &Adapter) -> Value {
    let lora = &adapter.config.lora;
    json!({
        "path": adapter.path().display().to_string(),
        "base_model": adapter.config.base_model,
        "rank": lora.rank,
        "alpha": lora.alpha,
        "dropout": lora.dropout,
        "targets": targets(adapter),
        "mole": adapter.config.mole,
        "projector": adapter.has_projector,
        "parameters": adapter.parameters(),
        "tensors": adapter.tensors().iter().count(),
    })
}

fn describe_adapter(adapter: &Adapter, out: &mut impl Write) -> std::io::Result<()> {
    let lora = &adapter.config.lora;
    let mut parts = Vec::new();
    if !lora.targets.is_empty() {
        parts.push(format!("rank {}, alpha {} on {}", lora.rank, lora.alpha, targets(adapter).join(", ")));
    }
    if let Some(mole) = &adapter.config.mole {
        parts.push(format!(
            "{} experts of rank {}, alpha {} on the MLP, gating {}",
            mole.experts,
            mole.rank,
            mole.alpha,
            format!("{:?}", mole.gating).to_lowercase()
        ));
    }
    if adapter.has_projector {
        parts.push("a projector of its own".to_string());
    }
    let (path, millions) = (adapter.path().display(), adapter.parameters() as f64 / 1e6);
    writeln!(out, "adapter   {path}: {}; {millions:.2} M parameters", parts.join("; "))?;
    match adapter.config.base_model.as_str() {
        "" => Ok(()),
        base => writeln!(out, "          trained on {base}"),
    }
}
