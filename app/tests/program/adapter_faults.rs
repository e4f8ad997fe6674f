//! Adapters that do not belong to the model, are damaged, or are none: refused in one line that says what was expected.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Value, json};

use crate::fixture::{Checkpoint, Stored, adapter, model, picture};
use crate::program::{on_cpu, program};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// This folder as an adapter to this model is refused with these words, by `ask` and by `inspect`.
fn refused(base: &str, folder: &Path, words: &[&str]) {
    let asked = on_cpu("ask", model(base)).arg("--adapter").arg(folder).arg("hi").refuse(words);
    let inspected = program(["inspect"]).arg(model(base)).arg("--adapter").arg(folder).refuse(words);
    assert_eq!(asked, inspected);
}

/// The adapter `mole` with its config changed.
fn refused_config(change: impl FnOnce(&mut Value), words: &[&str]) {
    let copy = Checkpoint::of_adapter("mole");
    copy.json(CONFIG, change);
    refused("two_images", copy.path(), words);
}

/// The adapter `mole` with its tensors changed.
fn refused_tensors(change: impl FnOnce(&mut BTreeMap<String, Stored>), words: &[&str]) {
    let copy = Checkpoint::of_adapter("mole");
    copy.tensors(change);
    refused("two_images", copy.path(), words);
}

#[test]
fn another_rank() {
    let words = ["q_proj.lora_A.weight is 4 x 48, expected 8 x 48", "have rank 4", "r in adapter_config.json is 8"];
    let copy = Checkpoint::of_adapter("peft_llama");
    copy.json(CONFIG, |config| config["r"] = json!(8));
    refused("gqa", copy.path(), &words);
    let words = ["lora_A is 4 x 104, expected 2 x 104", "have rank 4", "mole.rank in adapter_config.json is 2"];
    refused_config(|config| config["mole"]["rank"] = json!(2), &words);
}

#[test]
fn another_base() {
    // Three layers on two, two on three, and as many layers of another width.
    refused("mha", &adapter("peft_llama"), &["is on 3 layers, the model has 2", "another base model, gqa/model"]);
    refused("gqa", &adapter("mole"), &["is on 2 layers, the model has 3", "another base model, two_images/model"]);
    refused("mha", &adapter("mole"), &[" x 4, expected 48 x 4", "another base model, two_images/model"]);
}

#[test]
fn another_number_of_experts() {
    for experts in [2, 4] {
        let words = ["has tensors of 3 expert(s)", &format!("mole.experts in adapter_config.json is {experts}")];
        refused_config(|config| config["mole"]["experts"] = json!(experts), &words);
    }
    let words = ["has tensors of 3 expert(s)", "no \"mole\" object"];
    refused_config(|config| drop(config.as_object_mut().expect("an object").remove("mole")), &words);
    refused_config(|config| config["mole"]["experts"] = json!(0), &["mole.experts is 0", "1 to 64"]);
}

#[test]
fn foreign_names() {
    let prefixed = |tensors: &mut BTreeMap<String, Stored>| {
        let old = std::mem::take(tensors);
        tensors.extend(old.into_iter().map(|(name, stored)| (name.replace("base_model.model.", "lora_unet_"), stored)));
    };
    refused_tensors(prefixed, &["names that mean nothing here", "lora_unet_", "names begin with base_model.model."]);
    let one_more = |tensors: &mut BTreeMap<String, Stored>| {
        let stored = tensors.values().next().expect("many").clone();
        tensors.insert("base_model.model.lm_head.lora_A.weight".to_owned(), stored);
    };
    refused_tensors(one_more, &["holds 1 tensor(s)", "base_model.model.lm_head.lora_A.weight", "projections"]);
    let one_less = |tensors: &mut BTreeMap<String, Stored>| drop(tensors.pop_first().expect("many"));
    refused_tensors(one_less, &["lacks 1 tensor(s)", "layers.0.mlp.moe_down.0.lora_A"]);
    refused_tensors(BTreeMap::clear, &["lacks 56 tensor(s)", "cut short"]);
}

#[test]
fn damaged_tensors() {
    for (keep, words) in [(1000, ["cut short", TENSORS]), (7, ["7 bytes", TENSORS]), (0, ["0 bytes", TENSORS])] {
        let copy = Checkpoint::of_adapter("mole");
        copy.bytes(TENSORS, |bytes| bytes.truncate(keep));
        refused("two_images", copy.path(), &words);
    }
    let copy = Checkpoint::of_adapter("mole");
    copy.bytes(TENSORS, |bytes| bytes.truncate(bytes.len() - 10));
    refused("two_images", copy.path(), &["cut short", TENSORS]);
    let change = |tensors: &mut BTreeMap<String, Stored>| {
        tensors.values_mut().next().expect("many").dtype = Dtype::I32;
    };
    refused_tensors(change, &["is I32", "F32, F16 and BF16 are read"]);
}

/// Values are read when the model is loaded; `inspect` does not read them.
#[test]
fn values_that_are_not_finite() {
    let copy = Checkpoint::of_adapter("mole");
    copy.tensors(|tensors| {
        let router = tensors.iter_mut().find(|(name, _)| name.ends_with("layers.1.mlp.router.weight"));
        router.expect("it is there").1.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let asked = on_cpu("ask", model("two_images")).arg("--adapter").arg(copy.path()).arg("hi");
    asked.refuse(&["layers.1.mlp.router.weight", "holds NaN", "index 0"]);
}

#[test]
fn a_folder_that_is_no_adapter() {
    let name_one = "name the folder that `train` or PEFT wrote an adapter into";
    refused("mha", &adapter("nowhere"), &["nowhere", "there is no such folder", name_one]);
    refused("mha", &model("mha"), &["has no adapter_config.json", name_one]);
    refused("mha", &picture("gray.png"), &["gray.png"]);
    let copy = Checkpoint::of_adapter("mole");
    copy.remove(TENSORS);
    refused("two_images", copy.path(), &["holds no adapter_model.safetensors", name_one]);
    let copy = Checkpoint::of_adapter("mole");
    copy.remove(CONFIG);
    refused("two_images", copy.path(), &["has no adapter_config.json", name_one]);
    copy.write(CONFIG, "{");
    refused("two_images", copy.path(), &[CONFIG, "is not valid JSON"]);
    copy.write(CONFIG, "[]");
    refused("two_images", copy.path(), &["no r or no lora_alpha", "PEFT"]);
}

#[test]
fn a_pickle_is_not_opened() {
    let copy = Checkpoint::of_adapter("peft_llama");
    copy.remove(TENSORS);
    // Would create the file `opened` where it is unpickled.
    copy.write("adapter_model.bin", b"cos\nsystem\n(S'touch opened'\ntR.");
    let words = ["adapter_model.bin is a Python pickle", "never opened here", "weights_only=True", "save_file"];
    refused("gqa", copy.path(), &words);
    refused("gqa", &copy.file("adapter_model.bin"), &words);
    assert!(!copy.file("opened").exists());
}

#[test]
fn settings_that_change_the_computation() {
    refused_config(|config| config["use_dora"] = json!(true), &["use_dora is true", "only false", "merge_and_unload"]);
    refused_config(|config| config["use_rslora"] = json!(true), &["use_rslora is true"]);
    refused_config(|config| config["peft_type"] = json!("IA3"), &["peft_type is \"IA3\"", "LORA is read"]);
    let targets = json!(["q_proj", "fc1"]);
    refused_config(
        |config| config["target_modules"] = targets,
        &["target_modules names \"fc1\"", "q_proj", "down_proj"],
    );
    refused_config(|config| config["r"] = json!(1e9), &["rank is 1000000000", "1 to 4096"]);
    refused_config(|config| config["mole"]["gating"] = json!("soft"), &["mole", "`soft`", "`hard`"]);
}

#[test]
fn an_adapter_in_the_place_of_a_model() {
    let words = ["is an adapter, not a model", "--model", "llava-mole inspect MODEL --adapter"];
    on_cpu("ask", adapter("mole")).arg("hi").refuse(&words);
    program(["inspect"]).arg(adapter("mole")).refuse(&words);
}
