//! The layers, kept: which crate may depend on which, which module of the runtime may use which, who may name the GPU.
//!
//! The tables below are the rules; ARCHITECTURE.md says why. The test reads sources and manifests as text, so it also
//! sees what another platform compiles. A new crate or module needs a row, and so a decision.

mod code;
mod manifest;
mod rust;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Every crate of the workspace and the crates of the workspace it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("mole-shaders", &[]),
    ("mole-runtime", &["mole-shaders"]),
    ("mole-synth", &[]),
    ("llava-mole", &["mole-runtime", "mole-synth"]),
    ("mole-web", &["mole-runtime", "llava-mole"]),
    ("mole-tests", &["mole-shaders", "mole-runtime", "mole-synth", "llava-mole"]),
];

/// Every module of the runtime and the modules it may use: `ops <- nn <- model <- {generate, train, eval} <- engine`.
///
/// `weights`, `image` and `text` stand beside `ops` and know no tensor of a device. Nobody may use `engine`.
const MODULES: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("device", &["error"]),
    ("packed", &[]),
    ("weights", &["error", "packed"]),
    ("image", &["error"]),
    ("text", &["error"]),
    ("data", &["error", "image", "text"]),
    ("ops", &["error", "device", "packed"]),
    ("nn", &["error", "device", "ops"]),
    ("model", &["error", "device", "packed", "weights", "image", "text", "ops", "nn"]),
    ("generate", &["error", "device", "weights", "image", "text", "ops", "nn", "model"]),
    ("train", &["error", "device", "weights", "image", "text", "data", "ops", "nn", "model"]),
    ("eval", &["error", "device", "weights", "image", "text", "data", "ops", "nn", "model"]),
    ("bench", &["error", "device", "weights", "text", "data", "ops", "nn", "model", "generate", "train"]),
    (
        "engine",
        &[
            "error", "device", "packed", "weights", "image", "text", "data", "ops", "nn", "model", "generate", "train",
            "eval",
        ],
    ),
];

/// Names that may stand only in some places.
struct Reserved {
    names: &'static [&'static str],
    /// Where the rule holds; empty is everywhere.
    within: &'static str,
    /// Where the names may stand all the same.
    except: &'static [&'static str],
    rule: &'static str,
}

const OPS_AND_DEVICE: &[&str] = &["runtime/src/ops/", "runtime/src/device/"];

const RESERVED: &[Reserved] = &[
    Reserved {
        names: &["wgpu", "cubecl", "burn", "burn_cubecl"],
        within: "shaders/",
        except: &[],
        rule: "shaders knows no GPU API and no tensor library",
    },
    Reserved {
        names: &["naga"],
        within: "shaders/",
        except: &["shaders/build.rs"],
        rule: "naga belongs to the build script of shaders",
    },
    Reserved {
        names: &["wgpu", "cubecl", "burn_cubecl", "mole_shaders"],
        within: "runtime/",
        except: OPS_AND_DEVICE,
        rule: "only ops and device name the GPU or a kernel",
    },
    Reserved { names: &["egui", "eframe"], within: "runtime/", except: &[], rule: "the runtime knows no window" },
    Reserved {
        names: &["cubecl", "burn_cubecl", "mole_shaders"],
        within: "app/",
        except: &[],
        rule: "the app knows no kernel",
    },
    Reserved { names: &["unsafe"], within: "", except: OPS_AND_DEVICE, rule: "unsafe only in ops and device" },
];

/// The most lines of a source file.
const MAX_LINES: usize = 500;

#[derive(Debug, PartialEq)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

#[test]
fn the_layers_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let (mut violations, mut scanned) = (Vec::new(), Vec::new());
    for file in files(root) {
        let path = file.strip_prefix(root).expect("found below it").to_str().expect("UTF-8").replace('\\', "/");
        let text = || fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "rs" => violations.extend(rust::scan(&path, &text())),
            "wgsl" => violations.extend(rust::length(&path, &text())),
            "toml" if path.ends_with("/Cargo.toml") => violations.extend(manifest::scan(&path, &text())),
            _ => continue,
        }
        scanned.push(path);
    }
    for known in ["runtime/src/ops/mod.rs", "shaders/kernels/attention.wgsl", "app/Cargo.toml", "shaders/build.rs"] {
        assert!(scanned.iter().any(|path| path == known), "{known} was not scanned: {scanned:?}");
    }
    let list: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(list.is_empty(), "{} broken:\n{}", list.len(), list.join("\n"));
}

/// Every file below `folder` but what is hidden or built.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("readable");
        let (name, kind) = (entry.file_name(), entry.file_type().expect("readable"));
        if name.as_encoded_bytes().starts_with(b".") || name == "target" || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// `line: rule` of every violation.
fn found(violations: Vec<Violation>) -> Vec<String> {
    violations.iter().map(|violation| format!("{}: {}", violation.line, violation.rule)).collect()
}

#[test]
fn a_module_that_looks_up_is_found() {
    let scan = |path: &str, code: &str| found(rust::scan(path, code));
    let llava = "runtime/src/model/llava.rs";
    assert_eq!(scan(llava, "\nuse crate::engine::Engine;"), ["2: model must not use engine"]);
    assert_eq!(
        scan(llava, "use crate::{nn::{Linear, x::generate},\n    generate::{Prompt, ops}, Result};"),
        ["2: model must not use generate"]
    );
    assert_eq!(
        scan(llava, "fn f() { let e = super::super::engine::Engine::spawn(); }"),
        ["1: model must not use engine"]
    );
    assert_eq!(scan("runtime/src/ops/mod.rs", "use super::weights::Checkpoint;"), ["1: ops must not use weights"]);
    assert_eq!(scan("runtime/src/nn.rs", "pub(crate) type M = crate::model::Llama;"), ["1: nn must not use model"]);
    assert_eq!(
        scan("runtime/src/device/a/b.rs", "use crate::Error;\nuse crate::ops::x;"),
        ["2: device must not use ops"]
    );
    assert_eq!(scan("runtime/src/dreams.rs", ""), ["1: the module dreams has no row in MODULES"]);
    assert!(scan(llava, "use super::{ClipVision, engine};\nuse crate::{error::Error, model::x, weights};").is_empty());
    assert!(scan("runtime/src/lib.rs", "pub mod engine; use crate::engine::Engine;").is_empty());
}

#[test]
fn a_reserved_name_is_found() {
    let scan = |path: &str, code: &str| found(rust::scan(path, code));
    let gpu = |token: &str| format!("1: names {token}: only ops and device name the GPU or a kernel");
    for token in ["wgpu", "cubecl", "burn_cubecl", "mole_shaders"] {
        assert_eq!(scan("runtime/src/nn/x.rs", &format!("let x = {token}::f();")), [gpu(token)]);
        assert!(scan("runtime/src/ops/x.rs", &format!("use {token}::f;")).is_empty());
        assert!(scan("runtime/src/nn/x.rs", &format!("let x = my_{token}::f();")).is_empty());
    }
    assert_eq!(scan("runtime/src/image/x.rs", "use burn::tensor::wgpu::X;"), [gpu("wgpu")]);
    assert_eq!(scan("shaders/src/lib.rs", "use naga::Module;").len(), 1);
    assert!(scan("shaders/build.rs", "use naga::Module;").is_empty());
    assert_eq!(
        scan("shaders/build.rs", "\n\nuse wgpu::X;"),
        ["3: names wgpu: shaders knows no GPU API and no tensor library"]
    );
    assert_eq!(scan("runtime/src/engine/mod.rs", "use egui::Ui;"), ["1: names egui: the runtime knows no window"]);
    assert_eq!(scan("app/src/main.rs", "unsafe { f() }"), ["1: names unsafe: unsafe only in ops and device"]);
    assert!(scan("runtime/src/device/memory.rs", "unsafe { f() }").is_empty());
}

#[test]
fn comments_and_strings_are_no_code() {
    let quiet = r###"
        //! unsafe, wgpu, crate::engine
        /* unsafe /* wgpu */ crate::engine
        */ const A: &str = "unsafe \" wgpu";
        const B: &str = r#"unsafe " wgpu
            crate::engine"#; const C: &[u8] = b"unsafe"; const D: [char; 3] = ['"', '\'', '/'];
        fn f<'a>(x: &'a str) -> &'a str { x } // unsafe
        #![deny(unsafe_op_in_unsafe_fn)]
    "###;
    assert_eq!(found(rust::scan("runtime/src/model/x.rs", quiet)), [""; 0]);
    let after = format!("{quiet}\n unsafe {{}}");
    assert_eq!(
        found(rust::scan("runtime/src/model/x.rs", &after)),
        ["10: names unsafe: unsafe only in ops and device"]
    );
}

#[test]
fn a_dependency_against_the_direction_is_found() {
    let scan = |path: &str, name: &str, rest: &str| {
        found(manifest::scan(path, &format!("[package]\nname = \"{name}\"\n{rest}")))
    };
    let (shaders, runtime) = ("shaders/Cargo.toml", "runtime/Cargo.toml");
    assert_eq!(
        scan(runtime, "mole-runtime", "[dependencies]\nburn = \"1\"\nllava-mole.workspace = true"),
        ["5: mole-runtime must not depend on llava-mole"]
    );
    assert_eq!(
        scan(runtime, "mole-runtime", "[dev-dependencies]\nt = { package = \"mole-tests\", path = \"../t\" }"),
        ["4: mole-runtime must not depend on mole-tests"]
    );
    assert_eq!(
        scan(runtime, "mole-runtime", "[target.'cfg(unix)'.dependencies.egui]\nversion = \"1\""),
        ["3: depends on egui: the runtime knows no window"]
    );
    assert_eq!(scan(shaders, "mole-shaders", "[dependencies]\nburn-cubecl = \"1\"\nnaga = \"30\"").len(), 2);
    assert!(scan(shaders, "mole-shaders", "[build-dependencies]\nnaga = { workspace = true }").is_empty());
    assert_eq!(scan("new/Cargo.toml", "mole-new", ""), ["2: the crate mole-new has no row in CRATES"]);
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(rust::length("a.wgsl", &"x\n".repeat(MAX_LINES)), None);
    assert_eq!(rust::length("a.wgsl", &"x\n".repeat(MAX_LINES + 1)).expect("too long").line, 501);
}
