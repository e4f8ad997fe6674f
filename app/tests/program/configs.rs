//! Absurd config files: a range error by name, nothing allocated.

use serde_json::{Value, json};

use crate::fixture::Checkpoint;
use crate::program::{ask, program};

/// The model with one value of config.json changed is refused with these words, and needs no gigabyte to say so.
fn refused(part: &str, field: &str, value: Value, words: &[&str]) {
    let copy = Checkpoint::of("mha");
    copy.json("config.json", |config| config[part][field] = value);
    for refused in [ask(&copy, "hi"), program(["inspect"]).arg(&copy)] {
        refused.refuse(&[&["config.json", part], words].concat());
    }
}

#[test]
fn counts_beyond_any_model() {
    refused("text_config", "num_hidden_layers", json!(1_000_000_000), &["num_hidden_layers is 1000000000", "1 to 512"]);
    refused("text_config", "num_hidden_layers", json!(0), &["num_hidden_layers is 0"]);
    refused("text_config", "num_hidden_layers", json!(-1), &["num_hidden_layers is -1"]);
    refused("text_config", "vocab_size", json!(u64::MAX), &["vocab_size is 18446744073709551615"]);
    refused("text_config", "hidden_size", json!(1e300), &["hidden_size is 1e+300"]);
    refused("text_config", "intermediate_size", json!("many"), &["intermediate_size is \"many\""]);
    refused("text_config", "max_position_embeddings", json!(1_000_000_000), &["max_position_embeddings is 1000000000"]);
    refused("vision_config", "num_hidden_layers", json!(1_000_000_000), &["num_hidden_layers is 1000000000"]);
    refused("vision_config", "image_size", json!(1_000_000), &["image_size is 1000000"]);
}

#[test]
fn heads_that_are_none_or_do_not_divide() {
    refused("text_config", "num_attention_heads", json!(0), &["num_attention_heads is 0", "1 to"]);
    refused(
        "text_config",
        "num_attention_heads",
        json!(5),
        &["hidden_size 48 is no multiple of num_attention_heads 5"],
    );
    refused("text_config", "num_key_value_heads", json!(3), &["num_key_value_heads"]);
    refused("text_config", "head_dim", json!(7), &["head_dim"]);
    refused(
        "vision_config",
        "num_attention_heads",
        json!(7),
        &["hidden_size 32 is no multiple of num_attention_heads 7"],
    );
}

#[test]
fn epsilons_that_are_no_numbers() {
    for value in [json!("NaN"), json!(-1), json!(0), json!(1e10), json!([1e-5])] {
        refused("text_config", "rms_norm_eps", value.clone(), &["rms_norm_eps is", "above 0"]);
        refused("vision_config", "layer_norm_eps", value, &["layer_norm_eps is", "above 0"]);
    }
    // As Python writes them.
    for written in ["NaN", "Infinity", "-Infinity"] {
        let copy = Checkpoint::of("mha");
        copy.json("config.json", |config| config["text_config"]["rms_norm_eps"] = json!("here"));
        copy.bytes("config.json", |bytes| {
            *bytes = String::from_utf8(bytes.clone()).expect("text").replace("\"here\"", written).into_bytes();
        });
        ask(&copy, "hi").refuse(&["config.json", "not valid JSON", "Python writes NaN"]);
    }
}

#[test]
fn what_is_no_json_or_another_model() {
    for (text, words) in [
        ("", "not valid JSON"),
        ("{\"model_type\": \"llava\"", "not valid JSON"),
        ("hello", "not valid JSON"),
        ("[]", "a JSON object is expected"),
        ("{}", "model_type is missing"),
        ("{\"model_type\": \"bert\"}", "model_type is \"bert\""),
        ("{\"model_type\": \"llava\", \"text_config\": 7}", "text_config is 7"),
    ] {
        let copy = Checkpoint::of("mha");
        copy.write("config.json", text);
        ask(&copy, "hi").refuse(&["config.json", words]);
    }
    let copy = Checkpoint::of("mha");
    copy.write("config.json", "[".repeat(100_000));
    ask(&copy, "hi").refuse(&["config.json", "recursion"]);
    copy.write("config.json", [0xff, 0xfe, 0x00]);
    ask(&copy, "hi").refuse(&["config.json", "not UTF-8"]);
}

#[test]
fn pictures_of_another_size_than_the_towers() {
    let copy = Checkpoint::of("mha");
    copy.json("preprocessor_config.json", |config| config["crop_size"] = json!({ "height": 32, "width": 32 }));
    ask(&copy, "hi").refuse(&["preprocessor_config.json", "32 x 32", "24 x 24"]);
    copy.json("preprocessor_config.json", |config| config["crop_size"] = json!({ "height": 1e12, "width": 24 }));
    ask(&copy, "hi").refuse(&["preprocessor_config.json"]);
    copy.json("preprocessor_config.json", |config| {
        config["crop_size"] = json!({ "height": 24, "width": 24 });
        config["image_std"] = json!([0, 0, 0]);
    });
    ask(&copy, "hi").refuse(&["preprocessor_config.json", "image_std"]);
}
