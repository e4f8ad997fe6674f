//! `--adapter` and `--routing`: what an adapter changes, and which experts the tokens went to.

use std::path::Path;

use serde_json::Value;

use crate::fixture::{Tensors, adapter, case, model, picture};
use crate::program::{Program, ask, on_cpu, program};

/// The prompt of the adapter `mole`, on its model.
const PROMPT: &str = "<image>USER: Compare the first image with <image>\nWhich is tall? ASSISTANT:";

/// `command` on the model of the adapter `mole`, with it.
fn with_experts(command: &str) -> Program {
    on_cpu(command, model("two_images")).arg("--adapter").arg(adapter("mole"))
}

fn pictures() -> [std::path::PathBuf; 2] {
    ["landscape.png", "gray.png"].map(picture)
}

fn dump(program: Program, prompt: &str, out: &Path) -> Tensors {
    program.arg("--prompt").arg(prompt).arg("--out").arg(out).succeed();
    Tensors::read(out)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("it was written")).expect("JSON")
}

/// The largest difference over the largest magnitude expected.
fn error(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |max, value| max.max(value.abs()));
    let worst = actual.iter().zip(expected).fold(0.0f32, |max, (a, e)| match (a - e).abs() {
        error if error.is_nan() => f32::INFINITY,
        error => max.max(error),
    });
    worst / scale
}

#[test]
fn an_adapter_changes_the_answer_and_is_named() {
    let plain = ask(model("two_images"), "Which is tall?").tokens(8).succeed();
    assert!(!plain.stderr.contains("adapter"), "{plain:#?}");
    let adapted = with_experts("ask").arg("Which is tall?").tokens(8).succeed();
    assert_ne!(plain.stdout, adapted.stdout);
    let named = adapter("mole").display().to_string();
    for words in ["with the adapter", &named, "0.02 M parameters", "3 experts a layer"] {
        assert!(adapted.stderr.contains(words), "{words:?} is not in {adapted:#?}");
    }
    let peft = ask(model("gqa"), "hi").arg("--adapter").arg(adapter("peft_llava")).tokens(8).succeed();
    assert!(peft.stderr.contains("no experts"), "{peft:#?}");

    // Naming a file of the folder means the folder.
    let by_file = on_cpu("ask", model("two_images")).arg("--adapter").arg(adapter("mole").join("adapter_config.json"));
    assert_eq!(by_file.arg("Which is tall?").tokens(8).succeed().stdout, adapted.stdout);
}

#[test]
fn a_chat_answers_with_the_adapter() {
    let asked = with_experts("ask").arg("Which is tall?").tokens(8).succeed().stdout;
    assert_eq!(with_experts("chat").tokens(8).stdin("Which is tall?\n").succeed().stdout, asked);
}

#[test]
fn dump_is_the_reference_with_every_adapter() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, base) in [("peft_llava", "gqa"), ("peft_llama", "gqa"), ("mole", "two_images")] {
        let case_json = json(&adapter(name).join("case.json"));
        let expected = Tensors::read(&adapter(name).join("expected.safetensors"));
        let images = case_json["images"].as_array().expect("a list").iter();
        let images = images.map(|name| picture(name.as_str().expect("a name")));
        let program = on_cpu("dump", model(base)).arg("--adapter").arg(adapter(name)).images(images);
        let prompt = case_json["prompt"].as_str().expect("words");
        let dumped = dump(program, prompt, &folder.path().join(name));
        assert_eq!(dumped.0.keys().collect::<Vec<_>>(), expected.0.keys().collect::<Vec<_>>(), "{name}");
        for tensor in ["pixel_values", "image_features", "logits"] {
            let error = error(&dumped.floats(tensor), &expected.floats(tensor));
            assert!(error <= 2e-5, "{name}: {tensor} {error:e}");
        }
        if name == "mole" {
            assert_eq!(dumped.shape("expert_index"), expected.shape("expert_index"));
            assert_eq!(dumped.ints("expert_index"), expected.ints("expert_index"));
            assert_eq!(dumped.shape("router_probs"), expected.shape("router_probs"));
            assert!(error(&dumped.floats("router_probs"), &expected.floats("router_probs")) <= 1e-4);
        }
    }
}

/// The file's experts and probabilities are those that `dump` writes for the same tokens, and every token is named.
#[test]
fn the_routing_file_says_of_every_token_what_dump_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("routing.json");
    let asked = with_experts("ask").images(pictures()).args(["--raw", "--json", "--routing"]).arg(&file);
    let finished = asked.arg(PROMPT).tokens(5).succeed();
    let (reply, routing) = (finished.json(), json(&file));
    assert!(reply.get("routing").is_none(), "the object on stdout is as without the flag");
    assert!(finished.stderr.contains("the experts of 55 tokens in 2 layers"), "{finished:#?}");

    let dumped = dump(with_experts("dump").images(pictures()), PROMPT, &folder.path().join("dump"));
    let [layers, length, experts] = dumped.shape("router_probs") else { panic!("three dimensions") };
    let (layers, length, experts) = (*layers, *length, *experts);
    assert_eq!((&routing["experts"], &routing["layers"]), (&serde_json::json!(experts), &serde_json::json!([0, 1])));
    let tokens = routing["tokens"].as_array().expect("a list");
    // The reply's last token is not fed to the model.
    assert_eq!(tokens.len(), length + 5 - 1);
    let (index, probs) = (dumped.ints("expert_index"), dumped.floats("router_probs"));
    for (at, token) in tokens.iter().enumerate() {
        assert_eq!(token["reply"], at >= length, "{token}");
        assert_eq!(token["experts"].as_array().expect("a list").len(), layers);
        for layer in 0..layers {
            let row = token["probs"][layer].as_array().expect("a list");
            let row: Vec<f32> = row.iter().map(|p| p.as_f64().expect("a number") as f32).collect();
            assert!(row.len() == experts && (row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
            let expert = token["experts"][layer].as_u64().expect("a number") as usize;
            assert!(row.iter().all(|p| *p <= row[expert]), "{row:?}, {expert}");
            if at < length {
                assert_eq!(expert as i64, index[layer * length + at], "token {at}, layer {layer}");
                let dumped = &probs[(layer * length + at) * experts..][..experts];
                assert!(row.iter().zip(dumped).all(|(a, b)| (a - b).abs() <= 1e-6), "token {at}, layer {layer}");
            }
        }
    }
    names_are_right(&tokens[..length], &dumped.ints("input_ids"));
    let said: Vec<&Value> = tokens[length..].iter().map(|token| &token["id"]).collect();
    let ids = reply["token_ids"].as_array().expect("a list");
    assert_eq!(said, ids.iter().take(4).collect::<Vec<_>>());
}

/// Words have a text and an id, patches their picture and place; in the prompt's order.
fn names_are_right(tokens: &[Value], input_ids: &[i64]) {
    let patches: Vec<&Value> = tokens.iter().filter(|token| !token["image"].is_null()).collect();
    assert_eq!(patches.len(), 18);
    for (at, token) in patches.iter().enumerate() {
        let (image, index) = (at / 9, at % 9);
        let patch = serde_json::json!({ "index": index, "row": index / 3, "column": index % 3 });
        assert_eq!((&token["image"], &token["patch"]), (&serde_json::json!(image), &patch));
        assert_eq!((&token["text"], &token["id"]), (&serde_json::json!(""), &Value::Null));
    }
    let words: Vec<&Value> = tokens.iter().filter(|token| token["image"].is_null()).collect();
    assert!(words.iter().all(|token| token["patch"].is_null()));
    let image_token = input_ids[1];
    let ids = input_ids.iter().filter(|&&id| id != image_token);
    assert_eq!(
        words.iter().map(|token| token["id"].as_i64().expect("an id")).collect::<Vec<_>>(),
        ids.copied().collect::<Vec<_>>()
    );
    let text: String = words.iter().map(|token| token["text"].as_str().expect("words")).collect();
    // The tokenizer puts a space of its own before each piece of text, as it does before the first.
    assert_eq!(text.replace("  \n", " \n"), format!("<s> {}", PROMPT.replace("<image>", "")));
}

#[test]
fn the_routing_of_a_chat_prompt_covers_the_template() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("routing.json");
    let asked = |program: Program| program.arg("Which is tall?").arg("--json").tokens(6).json();
    let reply = asked(with_experts("ask").arg("--routing").arg(&file));
    assert_eq!(reply["token_ids"], asked(with_experts("ask"))["token_ids"], "recording changes nothing");
    let tokens = json(&file)["tokens"].as_array().expect("a list").len() as u64;
    assert_eq!(tokens, reply["prompt_tokens"].as_u64().expect("a number") + 6 - 1);
    // No token of reply: the prompt alone. The old file is replaced whole.
    with_experts("ask").arg("--routing").arg(&file).arg("hi").tokens(0).succeed();
    let routing = json(&file);
    assert!(routing["tokens"].as_array().expect("a list").iter().all(|token| token["reply"] == false));
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn routing_needs_experts_and_says_so_before_a_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("routing.json");
    let words = ["has no experts", "--adapter"];
    ask(model("mha"), "hi").arg("--routing").arg(&file).refuse(&words);
    let plain_lora = ask(model("gqa"), "hi").arg("--adapter").arg(adapter("peft_llava"));
    plain_lora.arg("--routing").arg(&file).refuse(&words);
    assert!(!file.exists());
}

#[test]
fn a_routing_file_that_cannot_be_written_is_said_before_the_model_is_loaded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "kept").expect("writes");
    for file in [
        folder.path().join("missing/routing.json"),
        folder.path().to_owned(),
        in_the_way.join("routing.json"),
        folder.path().join("n".repeat(300)),
    ] {
        let finished = with_experts("ask").arg("hi").arg("--routing").arg(&file).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{finished:#?}");
        finished.error(&["cannot write"]);
        assert!(!finished.stderr.contains("weights in"), "the model was loaded: {finished:#?}");
    }
    assert_eq!(std::fs::read(&in_the_way).expect("it is there"), b"kept");
}

#[test]
fn inspect_lists_what_an_adapter_is() {
    let listed = |name: &str, base: &str| {
        program(["inspect", "--json"]).arg(model(base)).arg("--adapter").arg(adapter(name)).json()
    };
    let mole = listed("mole", "two_images");
    let part = |field: &str| mole["adapter"][field].clone();
    assert_eq!((part("rank"), part("alpha"), part("projector")), (4.into(), 8.0.into(), true.into()));
    assert_eq!(part("targets"), serde_json::json!(["q_proj", "k_proj", "v_proj", "o_proj"]));
    assert_eq!((&part("mole")["experts"], &part("mole")["gating"]), (&3.into(), &"hard".into()));
    assert_eq!(part("base_model"), "two_images/model");
    let file = Tensors::read(&adapter("mole").join("adapter_model.safetensors"));
    let values: usize = file.0.values().map(|stored| stored.shape.iter().product::<usize>()).sum();
    assert_eq!((part("parameters"), part("tensors")), (values.into(), file.0.len().into()));
    for precision in ["f32", "f16"] {
        let memory = &mole["memory"][precision];
        let bytes = |name: &str| memory[name].as_u64().expect("a number");
        assert_eq!(bytes("adapter"), 4 * values as u64);
        assert_eq!(bytes("total"), bytes("weights") + bytes("adapter") + bytes("kv_cache") + bytes("activations"));
    }
    let peft = listed("peft_llama", "gqa");
    assert_eq!((&peft["adapter"]["mole"], &peft["adapter"]["projector"]), (&Value::Null, &false.into()));
    assert_eq!(peft["adapter"]["targets"], serde_json::json!(["q_proj", "v_proj"]));
    let base = program(["inspect", "--json"]).arg(model("gqa")).json();
    assert!(base.get("adapter").is_none() && base["memory"]["f32"]["adapter"] == 0);

    let text = program(["inspect"]).arg(model("two_images")).arg("--adapter").arg(adapter("mole")).succeed().stdout;
    for words in [
        "rank 4, alpha 8 on q_proj, k_proj, v_proj, o_proj",
        "3 experts of rank 4, alpha 8 on the MLP, gating hard",
        "a projector of its own",
        "trained on two_images/model",
        "moe_gate.2.lora_A F32 [4, 40]",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn the_adapter_counts_in_the_memory_that_is_needed() {
    let asked = with_experts("ask").arg("hi").env("MOLE_MEMORY_LIMIT", "1000000");
    asked.refuse(&["weights", "adapter 63 kB", "offers 1 MB"]);
    let figures = program(["inspect", "--json"]).arg(model("two_images")).json();
    let alone = figures["memory"]["f16"]["total"].as_u64().expect("a number") + 50_000;
    let with = || with_experts("ask").arg("hi").args(["--weights", "f16"]).env("MOLE_MEMORY_LIMIT", &alone.to_string());
    with().refuse(&["adapter 63 kB"]);
    let case = case("two_images");
    ask(&case.model, "hi").args(["--weights", "f16"]).tokens(2).env("MOLE_MEMORY_LIMIT", &alone.to_string()).succeed();
}
