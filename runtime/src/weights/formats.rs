//! What is said of checkpoint formats that are not read, and how to get from them to one that is.
//!
//! `.bin`, `.pt` and the like are Python pickles: opening one can run any code its author put in. They are recognised
//! by name and never opened.

use std::path::Path;

const PICKLES: [&str; 6] = ["bin", "pt", "pth", "ckpt", "pkl", "pickle"];
const LLAMA_CPP: [&str; 2] = ["gguf", "ggml"];
const OTHERS: [&str; 6] = ["h5", "msgpack", "npz", "onnx", "tflite", "pb"];

/// Why a file of this name is not read and how to convert it; `None` for names of no known model format.
pub(super) fn advice(name: &str) -> Option<String> {
    let extension = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    let extension = extension.as_str();
    if PICKLES.contains(&extension) {
        Some(format!(
            "{name} is a Python pickle, which can run code when opened and is never opened here; a folder with \
             config.json and safetensors is read. Convert it where you trust it: python -c \"from transformers import \
             LlavaForConditionalGeneration as M; M.from_pretrained('IN').save_pretrained('OUT', \
             safe_serialization=True)\" (CLIPVisionModel for a vision tower alone)"
        ))
    } else if LLAMA_CPP.contains(&extension) {
        Some(format!(
            "{name} is made for llama.cpp and its weights are already quantised; a folder with config.json and \
             safetensors is read. Take the checkpoint it was made from, e.g. llava-hf/llava-1.5-7b-hf; --weights f16 \
             keeps its weights small"
        ))
    } else if OTHERS.contains(&extension) {
        Some(format!(
            "{name} is in a format that is not read; a folder with config.json and safetensors is. Load it with the \
             library that wrote it and save it with transformers' save_pretrained(..., safe_serialization=True)"
        ))
    } else {
        None
    }
}

/// The advice for a folder with these names, where it holds a foreign format and no safetensors.
pub(super) fn folder_advice(names: &[String]) -> Option<String> {
    if names.iter().any(|name| name.ends_with(".safetensors")) {
        return None;
    }
    names.iter().find_map(|name| advice(name))
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn every_foreign_format_is_told_how_to_convert() {
        for name in ["pytorch_model.bin", "a.pt", "a.pth", "a.CKPT", "x.pkl", "flax_model.msgpack", "tf_model.h5"] {
            let text = advice(name).unwrap_or_else(|| panic!("{name}"));
            assert!(text.contains(name) && text.contains("safe_serialization=True"), "{text}");
        }
        assert!(advice("m.gguf").expect("known").contains("llama.cpp"));
    }

    #[test]
    fn our_own_and_unrelated_names_are_no_foreign_format() {
        for name in ["model.safetensors", "config.json", "README.md", "noextension", ".bin.safetensors"] {
            assert_eq!(advice(name), None, "{name}");
        }
    }
}
