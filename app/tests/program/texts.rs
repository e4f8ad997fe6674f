//! Tokenizers and chat templates that must not be believed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::Checkpoint;
use crate::program::ask;

/// The model with this tokenizer.json is refused with these words.
fn refused_tokenizer(bytes: impl AsRef<[u8]>, words: &[&str]) {
    let copy = Checkpoint::of("mha");
    copy.write("tokenizer.json", bytes);
    ask(&copy, "hi").refuse(&[&["tokenizer.json"], words].concat());
}

#[test]
fn missing_tokenizer() {
    let copy = Checkpoint::of("mha");
    copy.remove("tokenizer.json");
    ask(&copy, "hi").refuse(&["tokenizer.json", "is missing", "save_pretrained"]);
}

#[test]
fn tokenizer_that_is_no_json() {
    refused_tokenizer("", &["EOF"]);
    refused_tokenizer("{", &["EOF"]);
    refused_tokenizer("{}", &["model"]);
    refused_tokenizer([0xff, 0x00, 0x9f], &[]);
}

#[test]
fn tokenizer_nested_without_end() {
    let levels = 100_000;
    refused_tokenizer("[".repeat(levels), &["nests deeper"]);
    let open = r#"{"type":"Sequence","normalizers":["#.repeat(levels);
    let deep = format!(r#"{{"model":{{"type":"BPE"}},"normalizer":{open}null{}}}"#, "]}".repeat(levels));
    refused_tokenizer(deep, &["nests deeper"]);
}

#[test]
fn tokenizer_of_another_kind() {
    let copy = Checkpoint::of("mha");
    copy.json("tokenizer.json", |tokenizer| tokenizer["model"]["type"] = json!("Unigram"));
    ask(&copy, "hi").refuse(&["tokenizer.json", "Unigram", "BPE"]);
}

#[test]
fn token_ids_beyond_the_embedding() {
    // 352 rows of embedding; ids 343 and 344 are added tokens.
    let copy = Checkpoint::of("mha");
    copy.json("tokenizer.json", |tokenizer| {
        let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
        for id in 345..400 {
            let mut token = added[0].clone();
            (token["id"], token["content"]) = (json!(id), json!(format!("<added {id}>")));
            added.push(token);
        }
    });
    ask(&copy, "hi").refuse(&["tokenizer.json", "352"]);

    let copy = Checkpoint::of("mha");
    copy.json("tokenizer.json", |tokenizer| {
        let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
        let mut token = added[0].clone();
        (token["id"], token["content"]) = (json!(90_000), json!("<far>"));
        added.push(token);
    });
    ask(&copy, "hi").refuse(&["tokenizer.json", "<far>", "90000"]);
}

/// `ask` with this chat template.
fn with_template(template: &str) -> Checkpoint {
    let copy = Checkpoint::of("mha");
    copy.json("tokenizer_config.json", |config| config["chat_template"] = json!(template));
    copy
}

#[test]
fn template_without_end() {
    let loops = "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}";
    let calls = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}";
    for template in [loops, calls] {
        let start = Instant::now();
        ask(&with_template(template), "hi").refuse(&["chat template of tokenizer_config.json"]);
        assert!(start.elapsed() < Duration::from_secs(20), "{template}");
    }
    ask(&with_template(loops), "hi").refuse(&["runs without end"]);
}

#[test]
fn template_that_does_not_parse_or_is_none() {
    for template in ["{{ messages", "{% for %}", "{% endfor %}", "hello"] {
        ask(&with_template(template), "hi").refuse(&["chat template of tokenizer_config.json"]);
    }
    let copy = with_template("x");
    copy.json("tokenizer_config.json", |config| *config = Value::Null);
    copy.write("chat_template.jinja", "{{ nothing.at.all }}");
    ask(&copy, "hi").refuse(&["chat template of chat_template.jinja"]);
}

/// A template may refuse a conversation; its words reach the user.
#[test]
fn template_that_raises() {
    let always = "{{ raise_exception('no pictures, please') }}";
    ask(&with_template(always), "hi").refuse(&["chat template of tokenizer_config.json", "no pictures, please"]);

    let sometimes = "{% if 'forbidden' in messages[0].content %}{{ raise_exception('not that word') }}{% endif %}\
                     {{ messages[0].content }}";
    let copy = with_template(sometimes);
    ask(&copy, "a forbidden word").refuse(&["chat template of tokenizer_config.json", "not that word"]);
    ask(&copy, "a word").tokens(2).succeed();
    // The prompt as it is needs no template.
    ask(&copy, "a forbidden word").arg("--raw").tokens(2).succeed();
}
