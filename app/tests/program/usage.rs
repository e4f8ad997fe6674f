//! Errors in how the program is called: exit code 2, nothing on stdout, words on stderr.

use crate::fixture::model;
use crate::program::{Program, ask, on_cpu, program};

/// stderr of a call that is refused as a usage error.
fn misused(program: Program, words: &[&str]) {
    let finished = program.run();
    assert_eq!(finished.code, Some(2), "{finished:#?}");
    assert_eq!(finished.stdout, "", "{finished:#?}");
    assert!(finished.stderr.starts_with("error: "), "{finished:#?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not in {finished:#?}");
    }
}

#[test]
fn what_the_parser_refuses() {
    misused(program(["ask", "--bogus", "hi"]), &["--bogus"]);
    misused(program(["frobnicate"]), &["frobnicate"]);
    misused(program(["ask"]), &["PROMPT"]);
    misused(program(["dump", "--prompt", "hi"]), &["--out"]);
    misused(program(["inspect"]), &["PATH"]);
    misused(ask(model("mha"), "one").arg("two"), &["two"]);
}

#[test]
fn values_out_of_range_are_named_with_their_range() {
    let hi = || ask(model("mha"), "hi");
    for (flag, value, words) in [
        ("--temperature", "-1", "between 0.01 and 100, nor 0"),
        ("--temperature", "NaN", "between 0.01 and 100"),
        ("--temperature", "1e-40", "between 0.01 and 100"),
        ("--temperature", "1e9", "between 0.01 and 100"),
        ("--temperature", "warm", "not a number"),
        ("--top-p", "1.5", "between 0 and 1"),
        ("--top-p", "-0.1", "between 0 and 1"),
        ("--top-k", "-1", "--top-k"),
        ("--repetition-penalty", "0", "between 0.01 and 100"),
        ("--repetition-penalty", "inf", "between 0.01 and 100"),
        ("--max-new-tokens", "-1", "--max-new-tokens"),
        ("--max-new-tokens", "many", "--max-new-tokens"),
        ("--seed", "4294967296", "--seed"),
        ("--weights", "f8", "f32, f16, q8 or q4"),
        ("--image-aspect-ratio", "stretch", "pad"),
    ] {
        misused(hi().arg(format!("{flag}={value}")), &[flag, words]);
    }
}

#[test]
fn a_device_is_auto_cpu_gpu_or_a_number() {
    for device in ["GPU", "gpu:", "gpu:x", "gpu:-1", "cuda", ""] {
        let called = program(["ask", "--model"]).arg(model("mha")).arg(format!("--device={device}")).arg("hi");
        misused(called, &["--device", "auto, cpu, gpu or gpu:N"]);
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let missing = model("mha").join("no-such-folder");
    for program in [ask(&missing, "hi"), on_cpu("chat", &missing)] {
        program.refuse(&["no-such-folder", "there is no such folder", "hf download"]);
    }
    program(["inspect"]).arg(&missing).refuse(&["no-such-folder"]);
}
