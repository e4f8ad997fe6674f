//! What a `tokenizer.json` must not be.
//!
//! The tokenizers library trusts its file: it recurses as deep as the file nests, gives added tokens the next free id
//! whatever the file says, and panics on parts that do not fit together. Everything it would trip over is refused
//! here, before it sees the file. The kinds let through are those of Llama and GPT tokenizers.

use serde::Deserialize;
use serde_json::Value;

use super::tokenizer::refuse;
use crate::error::Result;

/// Largest file that is read; the largest in use is half of that.
const MAX_BYTES: usize = 64 << 20;

/// Deepest nesting that is read; real files stay below ten. A page has a stack of one megabyte.
const MAX_NESTING: usize = 32;

/// Decoders that neither panic nor look across more than one space, so that text can be shown as it comes.
const DECODERS: [&str; 6] = ["Replace", "ByteFallback", "Fuse", "Strip", "ByteLevel", "Metaspace"];

/// The parts of the file that are looked at.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

/// A token beside the vocabulary, and the id it must get.
#[derive(Deserialize)]
pub(super) struct AddedToken {
    /// As the file says; the library numbers them by itself.
    pub id: u32,
    /// The text it stands for.
    pub content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
}

/// Checks the bytes and returns the added tokens, whose ids are known only after loading.
pub(super) fn check(json: &[u8]) -> Result<Vec<AddedToken>> {
    if json.len() > MAX_BYTES {
        return Err(refuse(format!("is {} MB, at most {} MB are read", json.len() >> 20, MAX_BYTES >> 20)));
    }
    if nesting(json) > MAX_NESTING {
        return Err(refuse(format!("nests deeper than {MAX_NESTING} levels: it is no tokenizer in use")));
    }
    let file: File = serde_json::from_slice(json).map_err(|error| refuse(error.to_string()))?;
    if file.model.kind != "BPE" {
        let kind = file.model.kind;
        return Err(refuse(format!("model.type is {kind:?}; \"BPE\" is read, which Llama and Vicuna use")));
    }
    if file.model.continuing_subword_prefix.is_some_and(|prefix| !prefix.is_empty()) {
        return Err(refuse("model.continuing_subword_prefix is not read".to_owned()));
    }
    for part in flat(&file.normalizer, "normalizers").into_iter().chain(flat(&file.pre_tokenizer, "pretokenizers")) {
        // Maps that cannot be read, lengths of zero, patterns that match nothing: the library does not expect them.
        let text = |pointer| part.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let refused = match kind(part) {
            "Precompiled" | "FixedLength" => true,
            "Prepend" => text("/prepend").is_empty(),
            "Replace" => text("/pattern/String").is_empty(),
            _ => false,
        };
        if refused {
            return Err(refuse(format!("the part {} is not read; Llama and GPT tokenizers have none", short(part))));
        }
    }
    for part in flat(&file.decoder, "decoders") {
        let cuts = |side: &str| part.get(side).and_then(Value::as_u64).unwrap_or(0);
        let by_pattern = kind(part) == "Replace" && part.pointer("/pattern/String").is_none_or(|text| text == "");
        if !DECODERS.contains(&kind(part)) || cuts("start") > 1 || cuts("stop") > 0 || by_pattern {
            return Err(refuse(format!("the decoder {} is not read", short(part))));
        }
    }
    for part in flat(&file.post_processor, "processors") {
        if kind(part) == "TemplateProcessing" {
            check_template(part)?;
        }
    }
    Ok(file.added_tokens)
}

/// A template for one text may name only that text and tokens it defines.
fn check_template(template: &Value) -> Result<()> {
    let pieces = template.get("single").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for piece in pieces {
        let known = match (piece.pointer("/Sequence/id"), piece.pointer("/SpecialToken/id").and_then(Value::as_str)) {
            (Some(sequence), _) => sequence == "A",
            (None, Some(token)) => template.get("special_tokens").and_then(|tokens| tokens.get(token)).is_some(),
            (None, None) => false,
        };
        if !known {
            return Err(refuse(format!("post_processor.single has {piece}, which it does not define")));
        }
    }
    Ok(())
}

/// The parts of a component that may be a sequence of others. Its depth is bounded by [`MAX_NESTING`].
fn flat<'a>(component: &'a Value, list: &str) -> Vec<&'a Value> {
    match component.get(list).and_then(Value::as_array) {
        Some(parts) => parts.iter().flat_map(|part| flat(part, list)).collect(),
        None if component.is_null() => Vec::new(),
        None => vec![component],
    }
}

/// Enough of a component to find it in the file.
fn short(component: &Value) -> String {
    component.to_string().chars().take(80).collect()
}

fn kind(component: &Value) -> &str {
    component.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// How deep brackets nest outside of strings.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::super::tiny;
    use super::*;

    fn refusal(json: &[u8]) -> String {
        let error = check(json).err().expect("refused").to_string();
        assert!(error.starts_with("tokenizer.json: ") && !error.contains('\n'), "{error}");
        error
    }

    /// The tiny tokenizer with one part replaced.
    fn with(pointer: &str, value: Value) -> Vec<u8> {
        let mut json: Value = serde_json::from_slice(&tiny::json()).unwrap();
        *json.pointer_mut(pointer).unwrap() = value;
        serde_json::to_vec(&json).unwrap()
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(nesting(br#"{"a": ["[[[", "\"[[", {"b": 1}], "c]": []}"#), 3);
    }

    /// Each would end the process: the first three by the stack, the rest by a panic of the library.
    #[test]
    fn files_that_would_bring_the_library_down_are_refused() {
        let deep = |open: &str, close: &str| {
            let mut json = String::from(r#"{"model": {"type": "BPE"}, "normalizer": "#);
            json.push_str(&open.repeat(1_000_000));
            json.push_str("null");
            json.push_str(&close.repeat(1_000_000));
            json + "}"
        };
        let sequences = deep(r#"{"type": "Sequence", "normalizers": ["#, "]}");
        let files = [sequences, deep("[", "]"), "[".repeat(1_000_000)];
        // A small stack, as a thread or a page has.
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || files.iter().for_each(|json| assert!(refusal(json.as_bytes()).contains("nests deeper"))))
            .unwrap()
            .join()
            .unwrap();

        let charsmap = serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
        let nested = serde_json::json!({"type": "Sequence", "normalizers": [charsmap]});
        assert!(refusal(&with("/normalizer", nested)).contains("Precompiled"));
        let matches_nothing = serde_json::json!({"type": "Replace", "pattern": {"Regex": "a*"}, "content": "b"});
        assert!(refusal(&with("/normalizer", matches_nothing)).contains("Replace"));
        assert!(refusal(&with("/normalizer/normalizers/0/prepend", "".into())).contains("Prepend"));
        let empty = serde_json::json!({"type": "FixedLength", "length": 0});
        let nested = serde_json::json!({"type": "Sequence", "pretokenizers": [empty]});
        assert!(refusal(&with("/pre_tokenizer", nested)).contains("FixedLength"));
        let strip = serde_json::json!({"type": "Strip", "content": " ", "start": 0, "stop": 1});
        assert!(refusal(&with("/decoder", strip)).contains("decoder"));
        assert!(
            refusal(&with("/decoder", serde_json::json!({"type": "BPEDecoder", "suffix": ""}))).contains("decoder")
        );
        let pattern = serde_json::json!({"type": "Replace", "pattern": {"Regex": "a+b"}, "content": ""});
        assert!(refusal(&with("/decoder", pattern)).contains("decoder"));
        let pair = serde_json::json!([{"Sequence": {"id": "B", "type_id": 0}}]);
        assert!(refusal(&with("/post_processor/single", pair)).contains("does not define"));
        assert!(refusal(&with("/post_processor/special_tokens", serde_json::json!({}))).contains("does not define"));
        assert!(refusal(&with("/model/continuing_subword_prefix", "##".into())).contains("continuing_subword_prefix"));
    }

    #[test]
    fn other_models_and_broken_files_are_refused() {
        assert!(refusal(&with("/model/type", "Unigram".into())).contains("model.type is \"Unigram\""));
        assert!(refusal(b"{}").contains("model"));
        assert!(refusal(b"").contains("EOF"));
        assert!(refusal(&tiny::json()[..500]).contains("EOF"));
        assert!(refusal(&vec![b' '; MAX_BYTES + 1]).contains("at most 64 MB"));
        assert!(check(&tiny::json()).is_ok());
    }
}
