//! A Llama-style tokenizer small enough to write down, for the tests of this module and of those that use it.
//!
//! Ids: `<unk>` 0, `<s>` 1, `</s>` 2, the 256 bytes from 3, then the letters and words of [`WORDS`] from 259, then
//! `<image>` and `<pad>`.

use serde_json::{Value, json};

use super::Tokenizer;

/// Single characters first, then what the merges make of them.
pub(crate) const WORDS: [&str; 20] =
    ["▁", "a", "b", "h", "i", "e", "l", "o", "你", "▁h", "▁hi", "▁a", "lo", "el", "▁b", "ab", "▁▁", "▁▁▁▁", "hi", ":"];

const MERGES: [[&str; 2]; 10] = [
    ["▁", "h"],
    ["▁h", "i"],
    ["▁", "a"],
    ["l", "o"],
    ["e", "l"],
    ["▁", "b"],
    ["a", "b"],
    ["▁", "▁"],
    ["▁▁", "▁▁"],
    ["h", "i"],
];

/// The id of `<image>`.
pub(crate) const IMAGE_ID: u32 = 259 + WORDS.len() as u32;

/// The file as a value, so that a test can change it.
pub(crate) fn value() -> Value {
    let special = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let words = WORDS.map(str::to_owned);
    let vocab: serde_json::Map<String, Value> =
        special.into_iter().chain(bytes).chain(words).zip(0..).map(|(token, id)| (token, Value::from(id))).collect();
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"), added(IMAGE_ID, "<image>"),
                         added(IMAGE_ID + 1, "<pad>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab, "merges": MERGES}
    })
}

/// The file.
pub(crate) fn json() -> Vec<u8> {
    serde_json::to_vec(&value()).unwrap()
}

/// The tokenizer, loaded.
pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&json(), None).unwrap()
}
