//! Configurations that cannot be run: refused in a line that names the field, before anything is written.

use crate::fixture::{Checkpoint, adapter, model};
use crate::program::program;
use crate::runs::{Run, refused};

/// The configuration is refused with these words; there is no folder.
fn refuses(run: &Run, words: &[&str]) {
    run.train().refuse(words);
    assert!(!run.file("out").exists(), "nothing is written");
}

#[test]
fn fields_that_are_unknown_or_missing() {
    refuses(&Run::new().set("train", "learning_rate", 0.1), &["run.toml", "line ", "learning_rate", "lr"]);
    refuses(&Run::new().set("", "modell", "'x'"), &["run.toml", "line ", "modell"]);
    refuses(&Run::new().set("lora", "bias", 1), &["line ", "bias", "rank"]);
    refuses(&Run::new().unset("train", "lr"), &["run.toml", "missing field `lr`"]);
    refuses(&Run::new().unset("", "model"), &["missing field `model`"]);
    refuses(&Run::new().unset("mole", "experts"), &["missing field `experts`"]);
    refuses(&Run::new().without("train"), &["missing field `train`"]);
    refuses(&Run::new().unset("train", "steps"), &["train.steps is missing (or train.epochs)"]);
    refuses(&Run::new().set("train", "epochs", 1), &["train.steps and train.epochs are both there"]);
}

#[test]
fn values_out_of_range() {
    for (section, field, value, words) in [
        ("train", "lr", "-0.1", "train.lr is -0.1"),
        ("train", "lr", "nan", "train.lr is NaN"),
        ("train", "lr", "'high'", "line "),
        ("train", "steps", "0", "train.steps is 0; 1 or more is accepted"),
        ("train", "steps", "-1", "line "),
        ("train", "micro_batch", "0", "train.micro_batch is 0; 1 to"),
        ("train", "accumulation", "0", "train.accumulation is 0; 1 to"),
        ("train", "keep_checkpoints", "0", "train.keep_checkpoints is 0; 1 to"),
        ("train", "warmup_ratio", "1.5", "train.warmup_ratio is 1.5; 0 to 1"),
        ("train", "schedule", "'steps'", "`cosine`"),
        ("mole", "experts", "0", "mole.experts is 0; 1 to 64"),
        ("mole", "experts", "65", "mole.experts is 65; 1 to 64"),
        ("mole", "gating", "'soft'", "unknown variant `soft`, expected one of `hard`, `gated`, `dense`"),
        ("mole", "rank", "0", "mole.rank is 0; 1 to 4096"),
        ("mole", "alpha", "0", "mole.alpha is 0; a number above 0"),
        ("mole", "balance_scope", "'token'", "`pooled`"),
        ("mole", "balance_weight", "-1", "mole.balance_weight is -1"),
        ("lora", "rank", "0", "lora.rank is 0; 1 to 4096"),
        ("lora", "dropout", "1", "lora.dropout is 1"),
        ("lora", "targets", "['q_proj', 'fc1']", "`fc1`"),
        ("", "stage", "'half'", "`projector`"),
        ("", "seed", "-1", "line "),
    ] {
        refuses(&Run::new().set(section, field, value), &["run.toml", words]);
    }
    let run = Run::new().unset("train", "steps").set("train", "epochs", 0.0);
    refuses(&run, &["train.epochs is 0; a number above 0"]);
}

#[test]
fn datasets() {
    for weight in ["0", "-1", "nan"] {
        refuses(
            &Run::new().data("third", "general.jsonl", weight),
            &["run.toml", "weight of [[data]] \"third\" is ", "above 0"],
        );
    }
    refuses(&Run::new().data("general", "general.jsonl", 1), &["two [[data]] are called \"general\""]);
    let run = Run::new();
    let toml = run.toml();
    let without = toml.split("[[data]]").next().expect("a text");
    run.write("none.toml", without);
    program(["train", "--device", "cpu"]).arg(run.file("none.toml")).refuse(&["none.toml", "missing field `data`"]);
    run.write("none.toml", format!("data = []\n{without}"));
    program(["train", "--device", "cpu"]).arg(run.file("none.toml")).refuse(&["there is no [[data]]"]);
}

#[test]
fn stages() {
    refuses(&Run::new().without("lora").without("mole"), &["stage \"finetune\" needs [lora], [mole] or both"]);
    for stage in ["full", "projector"] {
        let error = Run::new().set("", "stage", format!("'{stage}'")).train().refuse(&["take [lora] and [mole] out"]);
        assert!(error.contains(&format!("stage {stage:?}")), "{error}");
    }
    refuses(&Run::new().stage("full").set("", "init_adapter", "'x'"), &["stage \"full\"", "take init_adapter out"]);
    let run = Run::new().stage("full");
    run.train().args(["--weights", "f16"]).refuse(&["stage \"full\" trains every weight", "leave --weights f16 out"]);
}

#[test]
fn files_that_are_not_there() {
    program(["train", "--device", "cpu", "nowhere.toml"]).refuse(&["nowhere.toml"]);
    let run = Run::new();
    run.write("text.toml", "not TOML\n");
    program(["train", "--device", "cpu"]).arg(run.file("text.toml")).refuse(&["text.toml", "line 1"]);
    program(["train", "--device", "cpu"]).arg(run.file("red.png")).refuse(&["red.png"]);
    refuses(&Run::new().set("", "model", "'nowhere'"), &["nowhere", "there is no such folder"]);
    refuses(&Run::new().set("", "model", format!("'{}'", adapter("mole").display())), &["is an adapter, not a model"]);
    let broken = Checkpoint::of("two_images");
    broken.bytes("model.safetensors", |bytes| bytes.truncate(1000));
    refuses(
        &Run::new().set("", "model", format!("'{}'", broken.path().display())),
        &["model.safetensors", "cut short"],
    );
}

#[test]
fn a_file_in_the_way_of_the_output() {
    let run = Run::new();
    run.write("out", "kept");
    run.train().refuse(&["out: "]);
    assert_eq!(std::fs::read(run.file("out")).expect("it is there"), b"kept");
    let run = Run::new().set("", "output", "'file/deeper'");
    run.write("file", "kept");
    run.train().refuse(&["file/deeper: "]);
}

#[cfg(unix)]
#[test]
fn a_read_only_output() {
    use std::os::unix::fs::PermissionsExt;
    let run = Run::new();
    std::fs::create_dir(run.file("out")).expect("makes");
    let allow = |mode| {
        std::fs::set_permissions(run.file("out"), std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    allow(0o555);
    if std::fs::write(run.out("probe"), "").is_ok() {
        allow(0o755);
        eprintln!("SKIPPED: this user may write anywhere");
        return;
    }
    refused(run.train(), &["out", "ermission denied"]);
    allow(0o755);
}

/// `--model` and the flags of other commands.
#[test]
fn flags() {
    let run = Run::new().set("", "model", "'nowhere'");
    run.train().arg("--model").arg(model("two_images")).succeed();
    let usage = Run::new().train().arg("--adapter").arg(adapter("mole")).run();
    assert_eq!(usage.code, Some(2), "{usage:#?}");
    assert!(usage.stderr.contains("init_adapter"), "{usage:#?}");
    assert_eq!(Run::new().train().args(["--skip-bad", "-1"]).run().code, Some(2));
    assert_eq!(program(["train"]).run().code, Some(2));
}
