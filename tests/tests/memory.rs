//! Host memory while loading: the weights themselves on the CPU device, and beside them no more than one tensor.
//!
//! The only test of its file, so that no other thread's memory is counted. Linux alone tells a process its own peak.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use mole_runtime::device::ComputeDevice;
use mole_runtime::model::{Llava, LlavaConfig, Precision};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use serde_json::{Map, Value, json};

/// What allocator, threads and buffers may take beside the tensors: far below the checkpoint's size, so that reading
/// the file whole, or keeping two copies of the weights, is found.
const SLACK: u64 = 48 << 20;

fn config() -> Value {
    json!({
        "model_type": "llava",
        "image_token_index": 7999,
        "text_config": { "model_type": "llama", "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 4,
            "num_attention_heads": 8, "vocab_size": 8000, "max_position_embeddings": 256 },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28, "patch_size": 14 },
    })
}

/// Writes an f32 checkpoint of the config's shapes; returns its size and its largest tensor's.
fn write_checkpoint(folder: &Path, config: &LlavaConfig) -> (u64, u64) {
    let (mut header, mut end, mut largest) = (Map::new(), 0u64, 0u64);
    for (name, shape) in config.expected_tensors() {
        let bytes = 4 * shape.iter().product::<usize>() as u64;
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [end, end + bytes] }));
        end += bytes;
        largest = largest.max(bytes);
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(folder.join("model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for element in 0..end / 4 {
        file.write_all(&((element % 251) as f32 * 1e-3).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    (end, largest)
}

/// A field of /proc/self/status, in bytes.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn loading_holds_the_weights_and_one_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let json = config();
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let config = LlavaConfig::from_json(&json, None, None).unwrap();
    let (total, largest) = write_checkpoint(folder.path(), &config);
    assert!(total > 4 * SLACK, "{total}: too small to show a copy");

    for (precision, weights) in [(Precision::F32, total), (Precision::F16, total / 2)] {
        let files = ModelFiles::open(folder.path()).unwrap();
        let (config, tower) = LlavaConfig::read(&files).unwrap();
        let checkpoint = Checkpoint::open(&files, tower.as_ref()).unwrap();
        // Resets the peak to what is resident now.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS");
        let model =
            pollster::block_on(Llava::load(config, &checkpoint, precision, &ComputeDevice::cpu().burn, &mut |_| {}))
                .unwrap();
        let peak = status("VmHWM").saturating_sub(before);
        let bound = weights + largest * 3 / 2 + SLACK;
        eprintln!("{precision}: weights {weights}, largest tensor {largest}, peak {peak}, bound {bound}");
        assert!(peak <= bound, "{precision}: {peak} bytes at the peak, at most {bound}");
        assert!(peak >= weights / 2, "{precision}: {peak} bytes: the measurement itself is broken");
        drop(model);
    }
}
