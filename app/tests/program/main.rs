//! The program as a whole: what it prints, where, and with which exit code.

mod program;

#[test]
fn version() {
    assert!(program::program(["--version"]).succeed().stdout.starts_with("llava-mole "));
}
