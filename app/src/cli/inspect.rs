//! `inspect`: what a checkpoint holds, without loading it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use mole_runtime::model::{LlavaConfig, MemoryEstimate, Precision, gigabytes};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use serde_json::json;

use super::args::InspectArgs;

/// Reads the headers and prints what they say.
pub fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let files = ModelFiles::open(&args.path)?;
    let (config, tower) = LlavaConfig::read(&files)?;
    let checkpoint = Checkpoint::open(&files, tower.as_ref())?;
    let fit = checkpoint.check(&config.expected_tensors(), &config.unused_tensors());

    let mut by_dtype: BTreeMap<String, (usize, u64, u64)> = BTreeMap::new();
    for (_, tensor) in checkpoint.iter() {
        let row = by_dtype.entry(tensor.dtype.to_string()).or_default();
        *row = (row.0 + 1, row.1 + tensor.elements() as u64, row.2 + tensor.bytes);
    }
    let parameters = config.parameters();
    let memory = [Precision::F32, Precision::F16].map(|precision| (precision, MemoryEstimate::new(&config, precision)));
    let (text, vision) = (&config.text, &config.vision);
    let mut out = std::io::stdout().lock();
    if args.json {
        let tensors: Vec<_> = checkpoint
            .iter()
            .map(|(name, tensor)| {
                json!({ "name": name, "name_in_file": tensor.name_in_file, "dtype": tensor.dtype.to_string(),
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
        let object = json!({
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
            writeln!(
                out,
                "memory    --weights {precision}: {} (weights {}, context {}, activations {})",
                gigabytes(estimate.total()),
                gigabytes(estimate.weights),
                gigabytes(estimate.kv_cache),
                gigabytes(estimate.activations)
            )?;
        }
        for (name, tensor) in checkpoint.iter() {
            writeln!(out, "  {name} {} {:?}", tensor.dtype, tensor.shape)?;
        }
    }
    drop(out);
    // Said last, so that the listing above can be read.
    fit?;
    Ok(ExitCode::SUCCESS)
}
