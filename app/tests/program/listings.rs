//! `inspect`, `--version` and `--help`.

use std::process::Command;

use crate::fixture::{Checkpoint, Tensors, cases, model};
use crate::program::{Program, program};

#[test]
fn inspect_counts_what_the_checkpoint_holds() {
    for case in cases() {
        let listed = program(["inspect", "--json"]).arg(&case.model).json();
        assert_eq!(listed["complete"], true, "{}", case.name);
        assert!(listed["parameters"].as_u64().expect("a number") > 10_000, "{}", case.name);
        assert_eq!(listed["text"]["vocab_size"], case.expected.shape("logits")[1], "{}", case.name);
        assert_eq!(listed["vision"]["image_size"], case.expected.shape("pixel_values")[2], "{}", case.name);
        assert_eq!(listed["vision"]["image_tokens"], case.expected.shape("image_features")[1], "{}", case.name);
        for precision in ["f32", "f16"] {
            let memory = &listed["memory"][precision];
            let part = |name: &str| memory[name].as_u64().expect("a number");
            assert_eq!(part("total"), part("weights") + part("kv_cache") + part("activations"));
        }
        let tensors = listed["tensors"].as_array().expect("a list");
        let counted: u64 = listed["by_dtype"]
            .as_object()
            .expect("an object")
            .values()
            .map(|row| row["tensors"].as_u64().expect("a number"))
            .sum();
        assert_eq!(tensors.len() as u64, counted, "{}", case.name);
    }
}

#[test]
fn inspect_lists_every_tensor_of_the_file() {
    let file = Tensors::read(&model("mha").join("model.safetensors"));
    let listed = program(["inspect", "--json"]).arg(model("mha")).json();
    let tensors = listed["tensors"].as_array().expect("a list");
    assert_eq!(tensors.len(), file.0.len());
    for tensor in tensors {
        let stored = &file.0[tensor["name_in_file"].as_str().expect("a name")];
        assert_eq!(tensor["shape"], serde_json::json!(stored.shape), "{tensor}");
        assert_eq!(tensor["bytes"], stored.bytes.len(), "{tensor}");
        assert_eq!(tensor["dtype"], "F32", "{tensor}");
    }
    let text = program(["inspect"]).arg(model("mha")).succeed().stdout;
    for words in ["2 layers, width 48", "4 heads", "9 tokens a picture", "--weights f16", "model.norm.weight F32 [48]"]
    {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn inspect_shows_an_incomplete_checkpoint_and_says_so() {
    let copy = Checkpoint::of("mha");
    copy.tensors(|tensors| drop(tensors.remove("language_model.model.norm.weight").expect("it is there")));
    let finished = program(["inspect", "--json"]).arg(&copy).run();
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.json()["complete"], false);
    finished.error(&["1 missing", "norm.weight"]);
}

/// `inspect | head` is no error.
#[cfg(unix)]
#[test]
fn a_reader_may_stop_reading() {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" inspect "$1" | head -n 1; "$0" ask --device cpu --model "$1" hi | true"#]);
    let finished = Program::of(shell).arg(env!("CARGO_BIN_EXE_llava-mole")).arg(model("mha")).succeed();
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:#?}");
    assert!(!finished.stderr.contains("error: "), "{finished:#?}");
}

#[test]
fn version_and_help_go_to_stdout() {
    let version = program(["--version"]).succeed();
    assert_eq!(version.stdout, format!("llava-mole {}\n", env!("CARGO_PKG_VERSION")));
    let help = program(["--help"]).succeed();
    for word in ["ask", "chat", "dump", "inspect", "devices", "--model", "--device"] {
        assert!(help.stdout.contains(word), "{word} is not in\n{}", help.stdout);
    }
    let help = program(["ask", "--help"]).succeed();
    for flag in ["--image", "--max-new-tokens", "--temperature", "--top-k", "--top-p", "--repetition-penalty", "--seed"]
    {
        assert!(help.stdout.contains(flag), "{flag} is not in\n{}", help.stdout);
    }
}
