//! `convert`: what it writes answers as the original does in the same precision.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::tempdir;

use crate::devices::gpu_is_there;
use crate::fixture::Checkpoint;
use crate::program::{Program, program};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo")
}

fn convert(model: &Path, weights: &str, out: &Path) -> Program {
    program(["convert", "--weights", weights, "--model"]).arg(model).arg(out)
}

/// The reply of the demo's adapter on this base.
fn asked(model: &Path, device: &str, weights: Option<&str>) -> Value {
    let sample = demo().join("../samples/general-1.png");
    let asked = program(["ask", "--json", "--max-new-tokens", "12", "--device", device, "--adapter"])
        .arg(demo().join("adapter"))
        .arg("--model")
        .arg(model)
        .images([sample])
        .args(weights.into_iter().flat_map(|weights| ["--weights", weights]));
    asked.arg("Describe the picture.").json()["token_ids"].clone()
}

#[test]
fn a_converted_model_answers_as_the_original_does_in_that_precision() {
    let folder = tempdir().expect("a folder");
    let model = demo().join("model");
    let mut sizes = vec![model.join("model.safetensors").metadata().expect("there").len()];
    for weights in ["f16", "q8", "q4"] {
        let out = folder.path().join(weights);
        let said = convert(&model, weights, &out).succeed();
        assert!(said.stdout.contains(weights), "{said:#?}");
        sizes.push(out.join("model.safetensors").metadata().expect("written").len());
        // Where it is converted while loading, and where it is stored so.
        assert_eq!(asked(&model, "cpu", Some(weights)), asked(&out, "cpu", Some(weights)), "{weights}");
        let inspected = program(["inspect", "--json"]).arg(&out).json();
        assert_eq!(inspected["parameters"], program(["inspect", "--json"]).arg(&model).json()["parameters"]);
        if weights != "f16" {
            // What is stored small stays small.
            assert_eq!(asked(&out, "cpu", None), asked(&out, "cpu", Some(weights)), "{weights}");
            assert!(inspected["tensors"].as_array().expect("a list").iter().any(|tensor| tensor["dtype"] == weights));
        }
        if weights == "q4" && gpu_is_there() {
            assert_eq!(asked(&out, "gpu", None), asked(&out, "cpu", None));
        }
    }
    assert!(sizes[0] >= sizes[1] && sizes[1] > sizes[2] && sizes[2] > sizes[3], "{sizes:?}");
}

#[test]
fn what_is_packed_can_be_unpacked() {
    let folder = tempdir().expect("a folder");
    let [packed, full] = ["q8", "f32"].map(|name| folder.path().join(name));
    convert(&demo().join("model"), "q8", &packed).succeed();
    convert(&packed, "f32", &full).succeed();
    assert_eq!(asked(&packed, "cpu", Some("f32")), asked(&full, "cpu", None));
    let bytes = std::fs::read(full.join("model.safetensors")).expect("written");
    let tensors = SafeTensors::deserialize(&bytes).expect("another library reads it");
    assert_eq!(tensors.tensor("language_model.lm_head.weight").expect("there").dtype(), safetensors::Dtype::F32);
}

#[test]
fn what_cannot_be_converted_is_said() {
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("out");
    let model = demo().join("model");
    let usage = program(["convert", "--model"]).arg(&model).arg(&out).run();
    assert_eq!(usage.code, Some(2), "{usage:#?}");
    assert!(usage.stderr.contains("--weights"), "{usage:#?}");
    let usage = program(["convert", "--weights", "q8"]).arg(&out).run();
    assert_eq!(usage.code, Some(2), "{usage:#?}");
    assert!(usage.stderr.contains("--model"), "{usage:#?}");

    std::fs::create_dir(&out).expect("made");
    std::fs::write(out.join("mine"), "precious").expect("written");
    convert(&model, "q8", &out).refuse(&["out", "not empty"]);
    assert_eq!(std::fs::read(out.join("mine")).expect("left alone"), b"precious");

    let original = Checkpoint::of("original");
    convert((&original).as_ref(), "q8", &folder.path().join("other")).refuse(&["original layout", "transformers"]);
    convert(&folder.path().join("nowhere"), "q8", &folder.path().join("other")).refuse(&["nowhere"]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [out], "nothing is left of what was refused");
}

#[test]
fn a_scale_that_is_no_number_is_refused() {
    let folder = tempdir().expect("a folder");
    let out = folder.path().join("q4");
    convert(&demo().join("model"), "q4", &out).succeed();
    let path = out.join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("written");
    let tensors = SafeTensors::deserialize(&bytes).expect("sound");
    let name = "language_model.model.layers.2.mlp.down_proj.weight";
    let data = tensors.tensor(name).expect("there").data();
    let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
    // The second block's scale: NaN.
    bytes[start + 18..start + 20].copy_from_slice(&0x7e00u16.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    program(["ask", "--device", "cpu", "--model"]).arg(&out).arg("hi").refuse(&[name, "damaged"]);
}
