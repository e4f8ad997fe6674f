//! `train` with experts: what it prints and writes, and that it learns.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fixture::{model, picture};
use crate::program::{ask, on_cpu, program};
use crate::runs::{Run, finite_adapter, sample};

/// What DESIGN promises of a line of `metrics.jsonl`, and the projector's own rate.
const FIELDS: [&str; 12] = [
    "balance_loss",
    "by_data",
    "expert_load",
    "grad_norm",
    "lm_loss",
    "loss",
    "lr",
    "projector_lr",
    "step",
    "supervised_tokens",
    "tokens",
    "tokens_per_second",
];

fn check_line(line: &Value, step: usize) {
    let fields: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, FIELDS, "step {step}");
    assert_eq!(line["step"], step);
    let number = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("step {step}: {field} is no number"));
    for field in ["loss", "lm_loss", "balance_loss", "lr", "projector_lr", "grad_norm", "tokens_per_second"] {
        assert!(number(field) > 0.0, "step {step}: {field} {}", number(field));
    }
    assert!((number("lm_loss") + 0.01 * number("balance_loss") - number("loss")).abs() < 1e-9, "{line}");
    assert!(number("supervised_tokens") < number("tokens"), "{line}");
    let by_data: Vec<&String> = line["by_data"].as_object().expect("an object").keys().collect();
    assert_eq!(by_data, ["document", "general"], "step {step}");
    let layers = line["expert_load"].as_array().expect("a list");
    assert_eq!(layers.len(), 2);
    for layer in layers {
        let load: Vec<f64> = layer.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect();
        assert!(load.len() == 3 && (load.iter().sum::<f64>() - 1.0).abs() < 1e-5, "step {step}: {load:?}");
    }
}

#[test]
fn a_run_learns_and_leaves_what_it_promises() {
    let run =
        Run::new().set("train", "steps", 60).set("train", "keep_checkpoints", 2).set("train", "checkpoint_every", 20);
    run.write("held_out.jsonl", sample("h", &["green.png"], &["What colour?", "green"]));
    let run = run.eval("held_out", "held_out.jsonl", 30);
    let finished = run.train().succeed();
    assert_eq!(finished.stdout, format!("{}\n", run.out("adapter").display()));
    for words in [
        "17 samples (1 without a picture",
        "7 pictures",
        "M trained parameters, 60 steps",
        "step 30: held-out loss",
        "saved ",
    ] {
        assert!(finished.stderr.contains(words), "{words:?} is not in {finished:#?}");
    }
    let steps = run.steps();
    assert_eq!(steps.len(), 60);
    steps.iter().enumerate().for_each(|(at, line)| check_line(line, at + 1));
    let losses = run.losses();
    let late = losses[50..].iter().sum::<f64>() / 10.0;
    assert!(late < 0.3 * losses[0], "{losses:?}");

    let evaluations = run.evaluations();
    assert_eq!(evaluations.iter().map(|line| line["step"].as_u64().expect("a step")).collect::<Vec<_>>(), [30, 60]);
    for line in &evaluations {
        assert_eq!(line["eval_loss"], line["eval_by_data"]["held_out"]);
        assert_eq!(line.as_object().expect("an object").len(), 4, "{line}");
    }
    assert_eq!(evaluations[0]["best"], true);
    assert!(evaluations[1]["eval_loss"].as_f64() < Some(losses[0]));

    let files =
        ["adapter", "checkpoint-40", "checkpoint-60", "loss.svg", "metrics.jsonl", "routing.json", "routing.svg"];
    assert_eq!(run.names(), files);
    for name in ["loss.svg", "routing.svg"] {
        let text = std::fs::read_to_string(run.out(name)).expect("it was drawn");
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{name}");
    }
    let routing: Value =
        serde_json::from_slice(&std::fs::read(run.out("routing.json")).expect("written")).expect("JSON");
    assert_eq!(routing.as_object().expect("an object").keys().collect::<Vec<_>>(), ["document", "general"]);
}

#[test]
fn the_adapter_has_the_promised_form() {
    let run = Run::new().set("mole", "dropout", 0.05).set("lora", "targets", "['q_proj', 'v_proj']");
    run.train().succeed();
    let bytes = std::fs::read(run.out("adapter/adapter_config.json")).expect("written");
    let config: Value = serde_json::from_slice(&bytes).expect("JSON");
    for (field, value) in [
        ("peft_type", json!("LORA")),
        ("task_type", json!("CAUSAL_LM")),
        ("r", json!(4)),
        ("lora_alpha", json!(8)),
        ("lora_dropout", json!(0.0)),
        ("target_modules", json!(["q_proj", "v_proj"])),
        ("base_model_name_or_path", json!(model("two_images").display().to_string())),
        ("mole", json!({ "experts": 3, "rank": 4, "alpha": 8, "dropout": 0.05, "gating": "hard" })),
    ] {
        assert_eq!(config[field], value, "{field}");
    }
    let adapter = finite_adapter(&run.out("adapter"));
    let mut expected = BTreeSet::new();
    let mut expect = |name: String, shape: &[usize]| {
        let name = format!("base_model.model.{name}");
        assert_eq!(adapter.0.get(&name).map(|stored| stored.shape.as_slice()), Some(shape), "{name}");
        expected.insert(name);
    };
    for layer in 0..2 {
        let layer = format!("model.layers.{layer}");
        for (target, out) in [("q_proj", 40), ("v_proj", 20)] {
            expect(format!("{layer}.self_attn.{target}.lora_A.weight"), &[4, 40]);
            expect(format!("{layer}.self_attn.{target}.lora_B.weight"), &[out, 4]);
        }
        for (projection, input, out) in [("gate", 40, 104), ("up", 40, 104), ("down", 104, 40)] {
            for expert in 0..3 {
                expect(format!("{layer}.mlp.moe_{projection}.{expert}.lora_A"), &[4, input]);
                expect(format!("{layer}.mlp.moe_{projection}.{expert}.lora_B"), &[out, 4]);
            }
        }
        expect(format!("{layer}.mlp.router.weight"), &[3, 40]);
        expect(format!("{layer}.mlp.router.bias"), &[3]);
    }
    for (linear, input) in [("linear_1", 32), ("linear_2", 40)] {
        expect(format!("multi_modal_projector.{linear}.weight"), &[40, input]);
        expect(format!("multi_modal_projector.{linear}.bias"), &[40]);
    }
    assert_eq!(expected.len(), adapter.0.len(), "{:?}", adapter.0.keys());
}

#[test]
fn ask_and_inspect_take_the_adapter_and_every_checkpoint() {
    let run = Run::new().set("train", "checkpoint_every", 2);
    run.train().succeed();
    for name in ["adapter", "checkpoint-2", "checkpoint-4"] {
        let asked = ask(model("two_images"), "What colour?").arg("--adapter").arg(run.out(name));
        let asked = asked.images([picture("gray.png")]).tokens(4).succeed();
        assert!(asked.stderr.contains("3 experts a layer"), "{asked:#?}");
        let inspected = program(["inspect", "--json"]).arg(model("two_images")).arg("--adapter").arg(run.out(name));
        let adapter = inspected.json()["adapter"].take();
        assert_eq!((&adapter["rank"], &adapter["mole"]["experts"]), (&json!(4), &json!(3)), "{adapter}");
        assert_eq!((&adapter["projector"], &adapter["tensors"]), (&json!(true), &json!(60)), "{adapter}");
    }
}

#[test]
fn plain_lora_on_every_projection_has_no_mole() {
    let targets = "['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']";
    let run = Run::new().without("mole").set("lora", "targets", targets).set("train", "steps", 30);
    run.train().succeed();
    let losses = run.losses();
    assert!(losses[29] < 0.6 * losses[0], "{losses:?}");
    let last = run.steps().pop().expect("many");
    assert_eq!((&last["expert_load"], &last["balance_loss"]), (&json!([]), &json!(0.0)));
    let bytes = std::fs::read(run.out("adapter/adapter_config.json")).expect("written");
    let config: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert!(config.get("mole").is_none(), "{config}");
    assert_eq!(config["target_modules"].as_array().expect("a list").len(), 7);
    let adapter = finite_adapter(&run.out("adapter"));
    assert_eq!(adapter.0.len(), 2 * 7 * 2 + 4);
    for (projection, a, b) in [("gate", [4, 40], [104, 4]), ("up", [4, 40], [104, 4]), ("down", [4, 104], [40, 4])] {
        let name = format!("base_model.model.model.layers.1.mlp.{projection}_proj.lora_");
        assert_eq!(adapter.shape(&format!("{name}A.weight")), a);
        assert_eq!(adapter.shape(&format!("{name}B.weight")), b);
    }
    assert!(!run.names().contains(&"routing.svg".to_owned()), "there is no routing to show");
    let asked = on_cpu("ask", model("two_images")).arg("--adapter").arg(run.out("adapter")).arg("hi").tokens(2);
    assert!(asked.succeed().stderr.contains("no experts"));
}

/// Every way of gating runs, and the balance loss alone has a scope.
#[test]
fn gatings_and_scopes() {
    for (gating, scope) in [("hard", "pooled"), ("gated", "layer"), ("dense", "pooled")] {
        let run =
            Run::new().set("mole", "gating", format!("'{gating}'")).set("mole", "balance_scope", format!("'{scope}'"));
        run.train().succeed();
        assert!(run.losses()[3] < run.losses()[0], "{gating}");
        let bytes = std::fs::read(run.out("adapter/adapter_config.json")).expect("written");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON")["mole"]["gating"], gating);
    }
}
