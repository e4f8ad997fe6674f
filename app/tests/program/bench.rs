//! `bench`: what it prints is whole and possible, and what cannot be measured is told.

use serde_json::Value;

use crate::devices::gpu_is_there;
use crate::program::{Program, program};

const PHASES: [&str; 5] = ["clip", "prefill", "decode", "train_lora", "train_mole"];

/// The demo's shape, with as little work as says something.
fn bench(device: &str) -> Program {
    program(["bench", "--shape", "demo", "--json", "--rounds", "1", "--prompt", "12", "--device", device])
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {value}"))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|entry| entry["name"].as_str().expect("a name")).collect()
}

/// A report whose every number is possible.
fn check(report: &Value, phases: &[&str]) {
    assert!(!report["device"]["name"].as_str().expect("a name").is_empty(), "{report}");
    for ceiling in ["copy_gb_s", "matmul_gflop_s"] {
        assert!(number(&report["ceilings"], ceiling) > 0.01, "{report}");
    }
    assert_eq!(names(&report["results"]), phases);
    let on_cpu = report["device"]["kind"] == "cpu";
    for phase in report["results"].as_array().expect("a list") {
        for name in ["seconds", "wall_seconds", "tokens_per_second", "bytes", "flops", "peak_memory_bytes"] {
            assert!(number(phase, name) > 0.0, "{name}: {phase}");
        }
        let share = number(phase, "share_of_ceiling");
        assert!(share > 0.0 && share <= 1.2, "{phase}");
        for name in ["dispatches_per_layer", "cpu_us_per_dispatch"] {
            assert_eq!(number(phase, name) > 0.0, !on_cpu, "{name}: {phase}");
        }
        // A kernel reads what it computes with.
        assert!(number(phase, "dispatches_per_layer") <= number(phase, "dispatches"), "{phase}");
    }
}

#[test]
fn every_phase_is_measured_on_the_cpu_and_compared() {
    let report = bench("cpu").arg("--compare").json();
    check(&report, &PHASES);
    let phase = |name: &str| {
        let found = report["results"].as_array().expect("a list").iter().find(|phase| phase["name"] == name);
        found.expect("checked above")
    };
    // The demo's language model has 4 layers of 200,704 weights and 262,144 in the output layer, in f32 here; a token
    // behind 12 others sees 13 keys of 128.
    let (layer, head) = (200_704.0, 262_144.0);
    assert_eq!(number(phase("decode"), "flops"), 4.0 * (2.0 * layer + 4.0 * 13.0 * 128.0) + 2.0 * head);
    let bytes = number(phase("decode"), "bytes") / (4.0 * (4.0 * layer + head));
    assert!(bytes > 1.0 && bytes < 1.1, "{bytes} of the weights");
    assert!(number(phase("train_lora"), "flops") > 2.5 * number(phase("prefill"), "flops"));

    let expected = [
        "clip",
        "prefill",
        "prefill_plain/prefill",
        "decode",
        "decode_plain/decode",
        "decode_mole/decode_lora",
        "decode_experts_16/decode_experts_2",
        "train_mole/train_lora",
        "experts_16/experts_2",
    ];
    assert_eq!(names(&report["compare"]), expected);
    for entry in report["compare"].as_array().expect("a list") {
        let ratio = number(entry, "ratio");
        assert!(ratio > 0.01 && ratio < 100.0, "{entry}");
    }
}

#[test]
fn kernels_are_listed_by_their_time() {
    if !gpu_is_there() {
        return;
    }
    let report = bench("gpu").args(["--only", "prefill,decode", "--kernel-times"]).json();
    check(&report, &["prefill", "decode"]);
    let of = |phase: usize| report["results"][phase]["kernel_times"].as_array().expect("a list").clone();
    let launches = |phase: usize| of(phase).iter().map(|time| number(time, "launches")).sum::<f64>();
    for phase in [0, 1] {
        assert_eq!(launches(phase), number(&report["results"][phase], "dispatches"));
        assert!(of(phase).is_sorted_by(|a, b| number(a, "seconds") >= number(b, "seconds")), "{report}");
    }
    let ours = |name: &str| of(1).iter().any(|time| time["kernel"].as_str().expect("a name").starts_with(name));
    assert!(ours("decode_attend") && ours("decode_in_w_f16"), "{report}");
    let printed = program(["bench", "--rounds", "1", "--prompt", "12", "--device", "gpu", "--only", "decode"]);
    let printed = printed.arg("--kernel-times").succeed().stdout;
    assert!(printed.contains("decode, kernel by kernel") && printed.contains("decode_out_w_f16"), "{printed}");
}

#[test]
fn a_gpu_says_what_it_launches() {
    if !gpu_is_there() {
        return;
    }
    let report = bench("gpu").args(["--weights", "q4", "--only", "decode,train_mole"]).json();
    check(&report, &["decode", "train_mole"]);
    assert_eq!(names(&report["compare"]), [""; 0]);
    let decode = &report["results"][0];
    assert!(number(decode, "dispatches") > 4.0 * number(decode, "dispatches_per_layer"), "{decode}");
}

#[test]
fn a_table_names_device_ceilings_and_phases() {
    let printed = program(["bench", "--rounds", "1", "--prompt", "12", "--device", "cpu", "--only", "decode"]);
    let printed = printed.succeed().stdout;
    for words in ["device    CPU", "demo, random weights", "ceilings  copy", "\ndecode ", "the wall clock"] {
        assert!(printed.contains(words), "{words:?} is not in: {printed}");
    }
    assert!(!printed.contains("prefill "), "{printed}");
}

#[test]
fn what_does_not_fit_is_refused_with_figures() {
    let large = || program(["bench", "--shape", "7b", "--device", "cpu", "--layers", "2"]);
    large().env("MOLE_MEMORY_LIMIT", "100000000").refuse(&["the model needs", "offers 100 MB"]);
    let long = program(["bench", "--device", "cpu", "--prompt", "1100"]);
    long.refuse(&["1100 tokens", "context is 1024", "--prompt"]);
    program(["bench", "--device", "cpu", "--prompt", "0"]).refuse(&["at least one token"]);
    program(["bench", "--device", "cpu", "--model", "/nonexistent"]).refuse(&["/nonexistent"]);
}

#[test]
fn training_that_does_not_fit_is_left_out_and_said() {
    // The demo takes 11 MB, and with the optimizer of three experts 23.
    let report = bench("cpu").args(["--only", "decode,train_mole"]).env("MOLE_MEMORY_LIMIT", "20000000").succeed();
    assert!(report.stderr.contains("train_mole is left out: training needs"), "{report:#?}");
    let report = report.json();
    check(&report, &["decode"]);
    assert_eq!(names(&report["refused"]), ["train_mole"]);
}

#[test]
fn calls_that_contradict_themselves_are_usage_errors() {
    for (flags, words) in [
        (&["--model", "m", "--shape", "demo"][..], "--model and --shape"),
        (&["--adapter", "a"], "--adapter"),
        (&["--layers", "0"], "--layers"),
        (&["--shape", "70b"], "70b"),
        (&["--only", "sleep"], "sleep"),
    ] {
        let finished = program(["bench", "--device", "cpu"]).args(flags).run();
        assert_eq!(finished.code, Some(2), "{finished:#?}");
        assert!(finished.stderr.contains(words), "{finished:#?}");
    }
}
