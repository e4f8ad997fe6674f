//! `devices`, and the machine without a GPU or with too little memory.
//!
//! A Vulkan loader that finds no driver is a machine without a GPU, on Linux.

use crate::fixture::model;
use crate::program::{ask, program};

/// Whether there is a GPU, software or not; said on stderr if not.
///
/// # Panics
/// If there is none and `MOLE_REQUIRE_GPU=1`.
pub fn gpu_is_there() -> bool {
    let listed = program(["devices", "--json"]).json();
    let there = listed["devices"].as_array().expect("a list").iter().any(|device| device["kind"] != "cpu");
    let required = std::env::var("MOLE_REQUIRE_GPU").is_ok_and(|value| value == "1");
    assert!(there || !required, "MOLE_REQUIRE_GPU is set, but there is no GPU: {listed}");
    if !there {
        eprintln!("SKIPPED, no GPU: {listed}");
    }
    there
}

#[test]
fn exactly_one_device_is_used_and_the_reason_given() {
    for choice in ["auto", "cpu"] {
        let listed = program(["devices", "--json", "--device", choice]).json();
        let devices = listed["devices"].as_array().expect("a list");
        let used: Vec<_> = devices.iter().filter(|device| device["used"] == true).collect();
        assert_eq!(used.len(), 1, "{listed}");
        assert_eq!(used[0]["id"], listed["used"], "{listed}");
        assert!(!listed["reason"].as_str().expect("words").is_empty());
        assert_eq!(devices.last().expect("the CPU at least")["id"], "cpu");
        assert!(devices.iter().all(|device| device["name"].is_string() && device["backend"].is_string()), "{listed}");
    }
    assert_eq!(program(["devices", "--json", "--device", "cpu"]).json()["used"], "cpu");
}

#[test]
fn the_list_for_people_marks_the_used_one() {
    let listed = program(["devices"]).succeed().stdout;
    let marked: Vec<&str> = listed.lines().filter(|line| line.starts_with("* ")).collect();
    // The device, and the line that says why.
    let [device, reason] = marked[..] else { panic!("{listed}") };
    let id = device.split_whitespace().nth(1).expect("an id");
    assert!(reason.starts_with(&format!("* {id}: ")), "{listed}");
    assert!(listed.lines().any(|line| line.contains("CPU")), "{listed}");
}

#[test]
fn the_program_runs_on_the_device_that_devices_says() {
    let listed = program(["devices", "--json"]).json();
    let used = listed["devices"].as_array().expect("a list").iter().find(|device| device["used"] == true);
    let (name, backend) = (&used.expect("one")["name"], &used.expect("one")["backend"]);
    let asked = program(["ask", "--model"]).arg(model("no_image")).args(["hi", "--max-new-tokens", "2"]).succeed();
    let line = format!("on {} ({})", name.as_str().expect("words"), backend.as_str().expect("words"));
    assert!(asked.stderr.contains(&line), "{line:?} is not in {asked:#?}");
}

#[test]
fn the_largest_number_of_a_gpu_is_refused() {
    let asked = program(["ask", "--device", "gpu:99", "--model"]).arg(model("no_image")).arg("hi");
    asked.refuse(&["gpu:99", "GPU(s) found", "llava-mole devices", "--device cpu"]);
    program(["devices", "--device", "gpu:99"]).refuse(&["gpu:99", "--device cpu"]);
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_a_gpu_is_refused_in_words() {
    for choice in ["gpu", "gpu:0"] {
        let asked = program(["ask", "--device", choice, "--model"]).arg(model("no_image")).arg("hi").without_gpu();
        asked.refuse(&["GPU", "found", "--device cpu"]);
    }
    program(["devices", "--device", "gpu"]).without_gpu().refuse(&["no GPU", "0 GPU(s)", "--device cpu"]);
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_the_cpu_runs_and_is_named() {
    let on_cpu = ask(model("no_image"), "hi").tokens(8).succeed().stdout;
    let asked = program(["ask", "--model"]).arg(model("no_image")).args(["hi", "--max-new-tokens", "8"]);
    let asked = asked.without_gpu().succeed();
    assert_eq!(asked.stdout, on_cpu);
    assert!(asked.stderr.contains("on CPU (flex)"), "{asked:#?}");

    let listed = program(["devices", "--json"]).without_gpu().json();
    assert_eq!(listed["used"], "cpu");
    assert_eq!(listed["devices"].as_array().expect("a list").len(), 1);
    assert!(listed["reason"].as_str().expect("words").contains("no GPU"), "{listed}");
}

#[test]
fn a_model_larger_than_the_device_is_refused_with_figures() {
    for device in ["cpu", "auto"] {
        let asked = program(["ask", "--device", device, "--model"]).arg(model("no_image")).arg("hi");
        let error = asked.env("MOLE_MEMORY_LIMIT", "1000000").refuse(&["needs 4 MB", "offers 1 MB", "weights 170 kB"]);
        assert!(error.contains("smaller model"), "{error}");
    }
    ask(model("no_image"), "hi").tokens(2).env("MOLE_MEMORY_LIMIT", "100000000").succeed();
}

/// Between the two sizes, the flag that fits is named; and without the flag the model takes it by itself.
#[test]
fn a_model_that_fits_in_f16_is_told_so() {
    let listed = program(["inspect", "--json"]).arg(model("mha")).json();
    let total = |precision: &str| listed["memory"][precision]["total"].as_u64().expect("a number");
    assert!(total("f16") < total("f32"));
    let limit = ((total("f16") + total("f32")) / 2).to_string();
    let asked = || ask(model("mha"), "hi").tokens(2).env("MOLE_MEMORY_LIMIT", &limit);
    asked().args(["--weights", "f32"]).refuse(&["--weights f16", "and fits"]);
    let smaller = asked().args(["--weights", "f16"]).succeed();
    assert!(smaller.stderr.contains("weights in f16"), "{smaller:#?}");
}
