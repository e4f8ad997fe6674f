//! Files that cannot be written, and paths of every kind: exit code 1, and what was there stays as it was.

use std::path::Path;

use crate::fixture::{Checkpoint, Tensors, model, picture};
use crate::program::{Program, ask, on_cpu, program};

fn dump(out: &Path) -> Program {
    on_cpu("dump", model("no_image")).args(["--prompt", "hi", "--out"]).arg(out)
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("readable");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn missing_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("missing/out.safetensors");
    dump(&out).refuse(&["cannot write", "missing/out.safetensors"]);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_or_a_file_in_the_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    dump(folder.path()).refuse(&["cannot write", &folder.path().display().to_string()]);
    let file = folder.path().join("file");
    std::fs::write(&file, "kept").expect("writes");
    dump(&file.join("out.safetensors")).refuse(&["cannot write", "out.safetensors"]);
    assert_eq!(std::fs::read(&file).expect("it is there"), b"kept");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn an_old_file_is_replaced_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.safetensors");
    std::fs::write(&out, vec![b'x'; 1 << 20]).expect("writes");
    dump(&out).succeed();
    assert_eq!(Tensors::read(&out).shape("logits")[1], 352);
    assert_eq!(names(folder.path()), ["out.safetensors"]);
}

/// A limit on the size of files stands for a disk that fills up in the middle.
#[cfg(unix)]
#[test]
fn full_disk_leaves_the_old_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.safetensors");
    std::fs::write(&out, "kept").expect("writes");
    let mut shell = std::process::Command::new("sh");
    // The signal is ignored, so that writing fails as it does on a full disk.
    shell.args(["-c", r#"trap '' XFSZ; ulimit -f 8; exec "$0" "$@""#, env!("CARGO_BIN_EXE_llava-mole")]);
    let dump = Program::of(shell).args(["dump", "--device", "cpu", "--prompt", "hi", "--model"]).arg(model("no_image"));
    dump.arg("--out").arg(&out).refuse(&["cannot write", "out.safetensors"]);
    assert_eq!(std::fs::read(&out).expect("it is there"), b"kept");
    assert_eq!(names(folder.path()), ["out.safetensors"]);
}

/// Through a link, so that a program that renames over what it should write to breaks the link and not the machine.
#[cfg(target_os = "linux")]
#[test]
fn full_device() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("full");
    std::os::unix::fs::symlink("/dev/full", &out).expect("links");
    dump(&out).refuse(&["cannot write", "No space left"]);
    assert!(out.is_symlink());
    assert_eq!(names(folder.path()), ["full"]);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (link, file) = (folder.path().join("link"), folder.path().join("file"));
    std::fs::write(&file, "old").expect("writes");
    std::os::unix::fs::symlink("file", &link).expect("links");
    dump(&link).succeed();
    assert!(link.is_symlink());
    assert_eq!(Tensors::read(&file).shape("logits")[1], 352);
    assert_eq!(names(folder.path()), ["file", "link"]);
}

#[cfg(unix)]
#[test]
fn read_only_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.safetensors");
    std::fs::write(&out, "kept").expect("writes");
    let allow = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).expect("ours");
    allow(0o555);
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        allow(0o755);
        eprintln!("SKIPPED: this user may write anywhere");
        return;
    }
    dump(&out).refuse(&["cannot write", "out.safetensors"]);
    allow(0o755);
    assert_eq!(std::fs::read(&out).expect("it is there"), b"kept");
    assert_eq!(names(folder.path()), ["out.safetensors"]);
}

#[test]
fn unicode_spaces_and_quotes_in_paths() {
    let copy = Checkpoint::of("mha");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["模型 и картинки", "it's \"quoted\"", "-dash", "e\u{301}\u{202e}", "🦙"] {
        // Not every file system takes every name.
        let Ok(()) = std::fs::create_dir(folder.path().join(name)) else { continue };
        let inside = folder.path().join(name);
        for file in names(copy.path()) {
            std::fs::copy(copy.file(&file), inside.join(&file)).expect("copies");
        }
        let image = inside.join(format!("{name}.png"));
        std::fs::copy(picture("gray.png"), &image).expect("copies");
        let out = inside.join(format!("{name}.safetensors.out"));
        ask(&inside, "hi").images([&image]).tokens(2).succeed();
        on_cpu("dump", &inside).images([&image]).args(["--prompt", "<image>", "--out"]).arg(&out).succeed();
        assert_eq!(Tensors::read(&out).shape("pixel_values"), [1, 3, 24, 24]);
        assert!(program(["inspect"]).arg(&inside).succeed().stdout.contains(name), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn paths_that_are_no_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join(std::ffi::OsStr::from_bytes(b"\xe9.png"));
    let Ok(_) = std::fs::copy(picture("gray.png"), &image) else {
        eprintln!("SKIPPED: this file system takes Unicode names only");
        return;
    };
    ask(model("mha"), "hi").images([&image]).tokens(2).succeed();
}

#[test]
fn very_long_paths() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The longest name there can be.
    let name = "n".repeat(255);
    let image = folder.path().join(format!("{}.png", &name[..251]));
    std::fs::copy(picture("gray.png"), &image).expect("copies");
    ask(model("mha"), "hi").images([&image]).tokens(2).succeed();
    let out = folder.path().join(&name);
    dump(&out).succeed();
    assert_eq!(Tensors::read(&out).shape("logits")[1], 352);

    // Longer than there can be, by name and as a whole.
    for long in ["n".repeat(300), vec!["n".repeat(200); 30].join("/")] {
        let long = folder.path().join(long);
        ask(&long, "hi").refuse(&["nnnn"]);
        ask(model("mha"), "hi").images([&long]).refuse(&["cannot read the picture", "nnnn"]);
        dump(&long).refuse(&["cannot write", "nnnn"]);
    }
    assert_eq!(names(folder.path()).len(), 2);
}
