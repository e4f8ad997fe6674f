//! The stages, what a run starts from, how a window is cut, and the GPU.

use std::collections::BTreeMap;

use crate::devices::gpu_is_there;
use crate::fixture::{Tensors, model};
use crate::program::{ask, program};
use crate::runs::{Run, finite_adapter, refused, sample};

#[test]
fn the_projector_learns_captions_alone() {
    let run = Run::new().stage("projector").unset("train", "steps").set("train", "epochs", 8).set("train", "lr", 0.03);
    run.train().succeed();
    // 8 passes over 17 samples, 8 a step.
    let losses = run.losses();
    assert_eq!(losses.len(), 17);
    assert!(losses[16] < 0.9 * losses[0], "{losses:?}");
    let adapter = finite_adapter(&run.out("adapter"));
    assert_eq!(adapter.0.len(), 4, "{:?}", adapter.0.keys());
    assert!(adapter.0.keys().all(|name| name.starts_with("base_model.model.multi_modal_projector.linear_")));
    let asked = ask(model("two_images"), "What colour?").arg("--adapter").arg(run.out("adapter")).tokens(2);
    asked.images([run.file("red.png")]).succeed();
    // What the human says is left out: another question makes no other run.
    let other =
        Run::new().stage("projector").unset("train", "steps").set("train", "epochs", 8).set("train", "lr", 0.03);
    for name in ["general.jsonl", "document.jsonl"] {
        let text = std::fs::read_to_string(other.file(name)).expect("written");
        other.write(name, text.replace("What", "Whatever").replace("Which", "Whichever"));
    }
    other.train().succeed();
    assert_eq!(run.adapter_bytes(), other.adapter_bytes());
}

#[test]
fn finetuning_starts_from_a_projector() {
    let first = Run::new().stage("projector");
    first.train().succeed();
    let init = format!("'{}'", first.out("adapter").display());
    // Without a rate everything stays as it starts.
    let second = Run::new().set("", "init_adapter", &init).set("train", "steps", 1).set("train", "lr", 0.0);
    second.train().succeed();
    let (projector, adapter) = (first.adapter(), second.adapter());
    for (name, stored) in &projector.0 {
        assert_eq!(adapter.0[name].bytes, stored.bytes, "{name}");
    }
    let fresh = adapter.floats("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight");
    assert!(fresh.iter().all(|value| *value == 0.0), "the rest is fresh");

    // And from experts, with all that they know.
    let init = format!("'{}'", second.out("adapter").display());
    let third = Run::new().set("", "init_adapter", &init).set("train", "lr", 0.0).set("", "seed", 7);
    third.train().succeed();
    assert_eq!(third.adapter_bytes(), second.adapter_bytes());
    let other = Run::new().set("", "init_adapter", &init).set("lora", "rank", 2);
    refused(other.train(), &["out", "another kind of adapter", "r: was 4, is 2", "change [lora] and [mole]"]);
    let other = Run::new().set("", "init_adapter", &init).set("mole", "experts", 2);
    refused(other.train(), &["another kind of adapter", "mole.experts: was 3, is 2"]);
    refused(Run::new().set("", "init_adapter", "'nowhere'").train(), &["nowhere", "there is no such folder"]);
}

#[test]
fn every_weight_is_trained_into_a_model_of_its_own() {
    let run = Run::new().stage("full").set("train", "steps", 60).set("train", "lr", 0.003);
    let finished = run.train().succeed();
    assert_eq!(finished.stdout, format!("{}\n", run.out("model").display()));
    assert!(run.losses()[59] < 0.2 * run.losses()[0], "{:?}", run.losses());
    let (before, after) = (
        Tensors::read(&model("two_images").join("model.safetensors")),
        Tensors::read(&run.out("model/model.safetensors")),
    );
    // The base may hold what nothing uses.
    assert!(after.0.iter().all(|(name, stored)| before.shape(name) == stored.shape), "{:?}", after.0.keys());
    assert!(after.0.len() + 4 >= before.0.len(), "{:?}", after.0.keys());
    for colour in ["red", "green", "blue", "white"] {
        let asked = ask(run.out("model"), "What colour?").images([run.file(&format!("{colour}.png"))]).tokens(8);
        assert_eq!(asked.succeed().stdout.trim(), colour);
    }
    assert_eq!(program(["inspect", "--json"]).arg(run.out("model")).json()["complete"], true);
}

/// From a folder without weights: the seed says which they are.
#[test]
fn a_model_is_trained_from_nothing() {
    let begun = |seed: u64| {
        let run = Run::new().stage("full").set("train", "steps", 80).set("train", "lr", 0.003);
        std::fs::create_dir(run.file("blank")).expect("writes");
        for file in std::fs::read_dir(model("two_images")).expect("the fixture") {
            let file = file.expect("an entry");
            if file.path().extension().is_none_or(|extension| extension != "safetensors") {
                std::fs::copy(file.path(), run.file("blank").join(file.file_name())).expect("copies");
            }
        }
        run.set("", "model", "'blank'").set("", "from_scratch", true).set("", "seed", seed)
    };
    let (run, again, other) = (begun(1), begun(1), begun(2));
    for run in [&run, &again, &other] {
        run.train().succeed();
    }
    assert!(run.losses()[79] < 0.2 * run.losses()[0], "{:?}", run.losses());
    let weights = |run: &Run| std::fs::read(run.out("model/model.safetensors")).expect("written");
    assert_eq!(weights(&run), weights(&again));
    assert_ne!(run.losses()[0], other.losses()[0]);
    assert_eq!(program(["inspect", "--json"]).arg(run.out("model")).json()["complete"], true);

    begun(1).set("", "from_scratch", false).train().refuse(&["blank", "safetensors"]);
    refused(Run::new().set("", "from_scratch", true).train(), &["from_scratch", "stage = \"full\""]);
}

#[test]
fn without_shuffling_one_dataset_is_the_file() {
    let lines: String = (1..=5).map(|at| sample(at, &[], &["Say a.", &"a".repeat(3 * at)])).collect();
    let run = Run::new().stage("full").one_by_one().only(lines).set("train", "steps", 10);
    run.train().succeed();
    let tokens: Vec<u64> = run.steps().iter().map(|line| line["tokens"].as_u64().expect("a count")).collect();
    assert!(tokens[..5].windows(2).all(|pair| pair[0] < pair[1]) && tokens[..5] == tokens[5..], "{tokens:?}");
    // Shuffled, every sample still comes once in each pass.
    let shuffled = run.set("train", "shuffle", true).set("", "output", "'shuffled'");
    shuffled.train().succeed();
    let text = std::fs::read_to_string(shuffled.file("shuffled/metrics.jsonl")).expect("written");
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let drawn: Vec<u64> = lines.map(|line| line["tokens"].as_u64().expect("a count")).collect();
    assert_ne!(drawn, tokens);
    for pass in drawn.chunks(5) {
        let mut sorted = pass.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, tokens[..5]);
    }
}

/// The largest error of the gradients (AdamW's first moments after one step), each relative to its tensor's largest.
fn worst_gradient(a: &Tensors, b: &Tensors) -> f32 {
    assert_eq!(a.0.keys().collect::<Vec<_>>(), b.0.keys().collect::<Vec<_>>());
    let gradients = a.0.keys().filter(|name| name.starts_with("first."));
    let errors: BTreeMap<&String, f32> = gradients
        .map(|name| {
            let (a, b) = (a.floats(name), b.floats(name));
            let scale = a.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            (name, a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs() / scale)))
        })
        .collect();
    assert!(errors.len() > 20);
    errors.values().copied().fold(0.0, f32::max)
}

#[test]
fn a_window_gives_the_same_step_however_it_is_cut() {
    let runs = [(1, 8), (8, 1), (3, 3)].map(|(micro_batch, accumulation)| {
        let run = Run::new().set("train", "micro_batch", micro_batch).set("train", "accumulation", accumulation);
        let run = run.set("train", "steps", 1);
        run.train().succeed();
        run
    });
    let moments = runs.each_ref().map(|run| Tensors::read(&run.out("checkpoint-1/optimizer.safetensors")));
    let error = worst_gradient(&moments[0], &moments[1]);
    assert!(error <= 1e-5, "{error:e}");
    assert!(worst_gradient(&moments[0], &moments[2]) > 1e-3, "nine samples are another window");
    // AdamW's first step is nearly the sign of a gradient: where that is rounding alone, it may go either way.
    let [a, b, _] = runs.each_ref().map(Run::adapter);
    let pairs = a.0.keys().flat_map(|name| a.floats(name).into_iter().zip(b.floats(name)));
    let differences: Vec<f32> = pairs.map(|(a, b)| (a - b).abs()).collect();
    let same = differences.iter().filter(|difference| **difference <= 1e-5 * 0.01).count();
    assert!(same as f64 >= 0.995 * differences.len() as f64, "{same} of {}", differences.len());
}

#[test]
fn the_gpu_trains_as_the_cpu_does() {
    if !gpu_is_there() {
        return;
    }
    let [cpu, gpu] = ["cpu", "gpu"].map(|device| {
        let run = Run::new().set("train", "steps", 3);
        let finished = run.train_on(device).succeed();
        assert_eq!(finished.stderr.contains("training on CPU"), device == "cpu", "{finished:#?}");
        run.losses()
    });
    assert_eq!(gpu.len(), 3);
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert!((cpu - gpu).abs() <= 1e-2, "{cpu} on the CPU, {gpu} on the GPU");
    }
}
