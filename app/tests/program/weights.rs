//! Damaged, hostile and foreign weights: refused before the device is touched, by name, in one line.

use safetensors::Dtype;
use serde_json::json;

use crate::fixture::Checkpoint;
use crate::program::{ask, program};

const NORM: &str = "language_model.model.norm.weight";
const INDEX: &str = "model.safetensors.index.json";

/// The model with its file changed is refused with these words.
fn refused_bytes(change: impl FnOnce(&mut Vec<u8>), words: &[&str]) {
    let copy = Checkpoint::of("mha");
    copy.bytes("model.safetensors", change);
    ask(&copy, "hi").refuse(words);
    program(["inspect"]).arg(&copy).refuse(words);
}

fn with_header_length(length: u64) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[..8].copy_from_slice(&length.to_le_bytes())
}

#[test]
fn truncated_file() {
    refused_bytes(|bytes| bytes.truncate(bytes.len() - 1000), &["model.safetensors", "tensor", "cut short"]);
    refused_bytes(|bytes| bytes.truncate(100), &["model.safetensors", "cut short"]);
    refused_bytes(|bytes| bytes.truncate(7), &["model.safetensors", "7 bytes"]);
    refused_bytes(Vec::clear, &["model.safetensors", "0 bytes"]);
}

#[test]
fn header_of_length_zero_of_100_mb_and_of_the_largest_number() {
    for length in [0, 100_000_001, u64::MAX] {
        refused_bytes(with_header_length(length), &["model.safetensors", &length.to_string(), "1 to 100000000"]);
    }
    refused_bytes(with_header_length(99_999_999), &["model.safetensors", "99999999", "cut short"]);
}

/// A file of one header and this many bytes of data.
fn handmade(header: &str, data: usize) -> impl FnOnce(&mut Vec<u8>) {
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat();
    move |bytes| *bytes = file
}

#[test]
fn header_with_overlaps_gaps_duplicates_and_overflow() {
    let tensor = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let file = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
    let (a, b) = (tensor("a", "[2]", 0, 8), tensor("b", "[2]", 4, 12));
    refused_bytes(handmade(&file(&[a.clone(), b]), 12), &["tensor b overlaps a"]);
    refused_bytes(handmade(&file(&[a.clone(), tensor("b", "[1]", 12, 16)]), 16), &["bytes 8..12", "tensor b"]);
    refused_bytes(handmade(&file(&[a.clone(), a.clone()]), 8), &["two tensors are called a"]);
    refused_bytes(handmade(&file(&[a]), 16), &["8 bytes follow the last tensor, a"]);
    let huge = tensor("c", "[9223372036854775807,9223372036854775807]", 0, 4);
    refused_bytes(handmade(&file(&[huge]), 4), &["tensor c", "9223372036854775807"]);
    refused_bytes(handmade("not json", 0), &["model.safetensors", "header does not parse"]);
}

/// What the index names is not opened outside of the model's folder, whatever lies there.
#[test]
fn index_that_leads_out_of_the_folder() {
    let outside = Checkpoint::of("mha");
    let absolute = outside.file("model.safetensors").display().to_string();
    for name in ["../x", "../../etc/passwd", "a/../../x", absolute.as_str(), "/etc/passwd"] {
        let copy = Checkpoint::of("sharded_bf16");
        copy.json(INDEX, |index| {
            let map = index["weight_map"].as_object_mut().expect("an object");
            map.insert("language_model.lm_head.weight".to_owned(), json!(name));
        });
        ask(&copy, "hi").refuse(&[name, "leads out of the model's folder"]);
    }
}

#[cfg(unix)]
#[test]
fn link_that_leads_out_of_the_folder() {
    let (copy, outside) = (Checkpoint::of("mha"), Checkpoint::of("mha"));
    copy.remove("model.safetensors");
    std::os::unix::fs::symlink(outside.file("model.safetensors"), copy.file("model.safetensors")).expect("links");
    ask(&copy, "hi").refuse(&["model.safetensors", "leads out of the model's folder", "put the file itself there"]);
}

#[test]
fn missing_shard() {
    let copy = Checkpoint::of("sharded_bf16");
    copy.remove("model-00002-of-00003.safetensors");
    ask(&copy, "hi").refuse(&[INDEX, "model-00002-of-00003.safetensors", "is not there"]);
    copy.remove(INDEX);
    ask(&copy, "hi").refuse(&["one of 3 shards, of which 2 are there"]);
}

#[test]
fn missing_and_extra_tensors() {
    let copy = Checkpoint::of("mha");
    copy.tensors(|tensors| {
        let norm = tensors.remove(NORM).expect("it is there");
        tensors.insert("language_model.model.layers.7.self_attn.q_proj.weight".to_owned(), norm);
    });
    ask(&copy, "hi").refuse(&["1 missing: ", NORM, "1 unused: ", "layers.7.self_attn.q_proj.weight"]);

    // A layer less than config.json says: all are counted, some are named.
    let copy = Checkpoint::of("mha");
    copy.json("config.json", |config| config["text_config"]["num_hidden_layers"] = json!(3));
    ask(&copy, "hi").refuse(&["9 missing", "layers.2.", "and 1 more"]);
}

#[test]
fn wrong_shape() {
    let copy = Checkpoint::of("mha");
    copy.tensors(|tensors| {
        let norm = tensors.get_mut(NORM).expect("it is there");
        (norm.shape, norm.bytes) = (vec![47], norm.bytes[..47 * 4].to_vec());
    });
    ask(&copy, "hi").refuse(&[NORM, "[47]", "[48]"]);

    let copy = Checkpoint::of("mha");
    copy.json("config.json", |config| config["vision_config"]["patch_size"] = json!(7));
    ask(&copy, "hi").refuse(&["patch_embedding.weight", "[32, 3, 8, 8]", "[32, 3, 7, 7]", "config.json"]);
}

#[test]
fn wrong_dtype() {
    let copy = Checkpoint::of("mha");
    copy.tensors(|tensors| tensors.get_mut(NORM).expect("it is there").dtype = Dtype::I32);
    ask(&copy, "hi").refuse(&[NORM, "I32", "F32, F16 and BF16 are read"]);
}

#[test]
fn weights_that_are_not_finite() {
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let copy = Checkpoint::of("mha");
        copy.tensors(|tensors| {
            let norm = tensors.get_mut(NORM).expect("it is there");
            norm.bytes[5 * 4..6 * 4].copy_from_slice(&value.to_le_bytes());
        });
        ask(&copy, "hi").refuse(&[NORM, &format!("holds {shown}"), "index 5", "damaged"]);
    }
}

#[test]
fn weights_beyond_f16() {
    let head = "language_model.lm_head.weight";
    let copy = Checkpoint::of("mha");
    copy.tensors(|tensors| {
        tensors.get_mut(head).expect("it is there").bytes[..4].copy_from_slice(&70_000f32.to_le_bytes());
    });
    ask(&copy, "hi").args(["--weights", "f16"]).refuse(&[head, "70000", "--weights f32"]);
    ask(&copy, "hi").args(["--weights", "f32"]).tokens(2).succeed();
}

#[test]
fn pickles_and_gguf_are_told_how_to_convert() {
    let pickle = ["Python pickle", "never opened", "safetensors is read", "safe_serialization=True"];
    let gguf = ["llama.cpp", "safetensors is read", "Take the checkpoint it was made from"];
    for (name, words) in [("pytorch_model.bin", &pickle[..]), ("model.pt", &pickle), ("model.gguf", &gguf)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(name);
        // Would create the file `opened` where it is unpickled.
        std::fs::write(&file, b"cos\nsystem\n(S'touch opened'\ntR.").expect("writes");
        for path in [file.as_path(), folder.path()] {
            assert!(ask(path, "hi").in_folder(folder.path()).refuse(words).contains(name));
        }
        std::fs::copy(Checkpoint::of("mha").file("config.json"), folder.path().join("config.json")).expect("copies");
        ask(folder.path(), "hi").in_folder(folder.path()).refuse(words);
        assert!(!folder.path().join("opened").exists());
    }
}

#[test]
fn a_folder_without_weights_or_config() {
    let copy = Checkpoint::of("mha");
    copy.remove("model.safetensors");
    ask(&copy, "hi").refuse(&["holds no checkpoint", "model.safetensors", INDEX]);
    copy.remove("config.json");
    ask(&copy, "hi").refuse(&["has no config.json"]);
    ask(copy.file("tokenizer.json"), "hi").refuse(&["tokenizer.json is no checkpoint"]);
}
