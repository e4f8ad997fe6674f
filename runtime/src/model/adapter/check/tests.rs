use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Adapter, AdapterConfig};
use super::adapter_shapes;
use crate::model::LlavaConfig;
use crate::weights::{MemoryFiles, ModelFiles};

fn model() -> LlavaConfig {
    let config = json!({
        "model_type": "llava",
        "image_token_index": 60,
        "text_config": { "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "vocab_size": 64, "max_position_embeddings": 64 },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "patch_size": 8 },
    });
    LlavaConfig::from_json(&config, None, None).expect("a sound config")
}

/// An adapter's files before they are written: what a test breaks.
struct Files {
    config: Value,
    /// Dtype and shape, by the name in the file.
    tensors: BTreeMap<String, (&'static str, Vec<usize>)>,
}

impl Files {
    /// Three experts of rank 4, plain LoRA of rank 2.
    fn sound() -> Self {
        let config = json!({
            "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"],
            "base_model_name_or_path": "some/base",
            "mole": { "experts": 3, "rank": 4, "alpha": 8, "gating": "hard" },
        });
        let parsed = AdapterConfig::from_json(&config, "adapter".as_ref()).expect("sound");
        let named = |(name, shape): (String, Vec<usize>)| (format!("base_model.model.{name}"), ("F32", shape));
        Self { config, tensors: adapter_shapes(&parsed, &model()).into_iter().map(named).collect() }
    }

    fn open(&self) -> crate::Result<Adapter> {
        let (mut entries, mut end) = (Vec::new(), 0);
        for (name, (dtype, shape)) in &self.tensors {
            let bytes = 4 * shape.iter().product::<usize>();
            let (from, to) = (end, end + bytes);
            entries.push(format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}}"#));
            end += bytes;
        }
        let header = format!("{{{}}}", entries.join(","));
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; end]].concat();
        let files: [(&str, Vec<u8>); 2] =
            [("adapter_config.json", self.config.to_string().into_bytes()), ("adapter_model.safetensors", file)];
        let files: MemoryFiles = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect();
        Adapter::open(&ModelFiles::from_memory("adapter", files), &model())
    }

    /// Changes shapes by the name in the file.
    fn reshape(&mut self, change: impl Fn(&str, &mut Vec<usize>)) {
        self.tensors.iter_mut().for_each(|(name, (_, shape))| change(name, shape));
    }

    /// Changes names.
    fn rename(&mut self, change: impl Fn(&str) -> String) {
        self.tensors = std::mem::take(&mut self.tensors).into_iter().map(|(name, is)| (change(&name), is)).collect();
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let message = self.open().expect_err("this must be refused").to_string();
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
        assert!(message.starts_with("adapter: ") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_sound_adapter_is_opened_and_measured() {
    let adapter = Files::sound().open().expect("sound");
    assert_eq!((adapter.experts(), adapter.has_projector), (3, false));
    let (plain, router) = (2 * (16 * 2 + 2 * 16), 3 * 16 + 3);
    let experts = 3 * (2 * (16 * 4 + 4 * 24) + 24 * 4 + 4 * 16);
    assert_eq!(adapter.parameters(), 2 * (plain + router + experts));
    let size = adapter.size();
    assert_eq!((size.total, size.largest_tensor), (4 * adapter.parameters(), 4 * 3 * 4 * 24));
}

#[test]
fn a_pattern_leaves_the_targets_to_the_tensors() {
    let mut files = Files::sound();
    files.config["target_modules"] = json!(".*(q_proj|v_proj)");
    let names: Vec<_> = files.open().expect("sound").config.lora.targets.iter().map(|target| target.name()).collect();
    assert_eq!(names, ["q_proj", "v_proj"]);
}

#[test]
fn a_rank_that_is_not_the_tensors_is_named_with_its_field() {
    let mut files = Files::sound();
    files.config["r"] = json!(8);
    files.refused(&["self_attn.q_proj.lora_A.weight is 2 x 16, expected 8 x 16", "have rank 2, but r in", "is 8"]);
    let mut files = Files::sound();
    files.config["mole"]["rank"] = json!(2);
    files.refused(&["moe_down.0.lora_A is 4 x 24, expected 2 x 24", "have rank 4, but mole.rank in", "is 2"]);
}

#[test]
fn another_base_is_told_from_another_rank() {
    let mut files = Files::sound();
    files.reshape(|_, shape| shape.iter_mut().filter(|dim| **dim == 16).for_each(|dim| *dim = 32));
    files.refused(&["is 32 x 4, expected 16 x 4", "another base model, some/base"]);

    let mut files = Files::sound();
    files.tensors.retain(|name, _| !name.contains(".layers.1."));
    files.refused(&["is on 1 layers, the model has 2", "another base model, some/base"]);

    let mut files = Files::sound();
    files.config["base_model_name_or_path"] = Value::Null;
    files.rename(|name| name.replace(".layers.1.", ".layers.39."));
    files.refused(&["is on 40 layers, the model has 2", "another base model"]);
}

#[test]
fn experts_are_as_many_as_the_config_says() {
    for experts in [2, 4] {
        let mut files = Files::sound();
        files.config["mole"]["experts"] = json!(experts);
        files.refused(&["has tensors of 3 expert(s)", &format!("mole.experts in adapter_config.json is {experts}")]);
    }
    let mut files = Files::sound();
    files.config.as_object_mut().expect("an object").remove("mole");
    files.refused(&["has tensors of 3 expert(s)", "has no \"mole\" object"]);
    let mut files = Files::sound();
    files.tensors.retain(|name, _| !name.contains(".mlp."));
    files.refused(&["lacks 40 tensor(s)", "layers.0.mlp.moe_down.0.lora_A"]);
}

#[test]
fn names_that_are_missing_or_mean_nothing_are_counted() {
    let mut files = Files::sound();
    files.tensors.retain(|name, _| !name.contains("layers.0.self_attn.v_proj"));
    files.refused(&["lacks 2 tensor(s)", "layers.0.self_attn.v_proj.lora_A.weight", "cut short"]);

    let mut files = Files::sound();
    let tower = "base_model.model.vision_tower.vision_model.encoder.layers.7.self_attn.q_proj.lora_A.weight";
    files.tensors.insert(tower.to_string(), ("F32", vec![2, 8]));
    files.refused(&["holds 1 tensor(s)", tower, "language model's projections, experts and the projector are read"]);

    let mut files = Files::sound();
    files.rename(|name| name.replace("base_model.model.", "transformer."));
    files.refused(&["holds 48 tensor(s)", "transformer.", "lacks 48", "names begin with base_model.model."]);
}

#[test]
fn integers_are_no_weights() {
    let mut files = Files::sound();
    files.tensors.iter_mut().nth(5).expect("many").1.0 = "I32";
    files.refused(&["is I32; F32, F16 and BF16 are read"]);
}

#[test]
fn what_changes_the_computation_is_refused_by_name() {
    for (field, value) in [
        ("use_dora", json!(true)),
        ("use_rslora", json!(true)),
        ("bias", json!("all")),
        ("rank_pattern", json!({ "q_proj": 4 })),
        ("layers_to_transform", json!([0])),
    ] {
        let mut files = Files::sound();
        files.config[field] = value.clone();
        files.refused(&[field, &value.to_string(), "is understood", "merge_and_unload"]);
    }
    for (field, value, words) in [
        ("peft_type", json!("IA3"), ["peft_type is \"IA3\"", "LORA is read"]),
        ("target_modules", json!(["q_proj", "fc1"]), ["names \"fc1\"", "down_proj"]),
        ("r", json!(0), ["rank is 0", "1 to 4096"]),
        ("r", json!(null), ["no r", "PEFT"]),
        ("lora_alpha", json!(-1), ["alpha is -1", "above 0"]),
    ] {
        let mut files = Files::sound();
        files.config[field] = value;
        files.refused(&words);
    }
    let mut files = Files::sound();
    files.config["mole"]["gating"] = json!("soft");
    files.refused(&["\"mole\" in adapter_config.json", "soft", "hard"]);
    let mut files = Files::sound();
    files.config["mole"]["experts"] = json!(1_000_000);
    files.refused(&["mole.experts is 1000000", "1 to 64"]);
}
