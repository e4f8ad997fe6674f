//! Prompts that are empty, strange, too long, or do not go with their pictures.

use std::time::{Duration, Instant};

use crate::fixture::{model, picture};
use crate::program::ask;

/// A template has words of its own, and the model would answer what nobody asked.
#[test]
fn empty_and_white() {
    for prompt in ["", " ", "\n\n\t"] {
        ask(model("mha"), prompt).refuse(&["the prompt is empty"]);
        ask(model("mha"), "-").stdin(prompt).refuse(&["the prompt is empty"]);
        ask(model("mha"), prompt).images([picture("gray.png")]).refuse(&["the prompt is empty"]);
    }
    ask(model("mha"), "").arg("--raw").refuse(&["the prompt is empty"]);
    ask(model("mha"), " ").arg("--raw").tokens(2).succeed();
}

#[test]
fn nul() {
    ask(model("mha"), "-").stdin(*b"a\0b").refuse(&["NUL character"]);
    ask(model("mha"), "-").arg("--raw").stdin(*b"a\0b").refuse(&["NUL character at byte 1"]);
    ask(model("mha"), "-").stdin([0; 20]).refuse(&["NUL character"]);
}

#[test]
fn what_is_no_unicode() {
    // A lone surrogate as UTF-8 would write it, and a byte that never occurs.
    for bytes in [&b"a\xed\xa0\x80b"[..], b"\xff"] {
        ask(model("mha"), "-").stdin(bytes).refuse(&["standard input", "UTF-8"]);
    }
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let prompt = std::ffi::OsStr::from_bytes(b"a\xffb");
    let finished = crate::program::on_cpu("ask", model("mha")).arg(prompt).run();
    assert_eq!(finished.code, Some(2), "{finished:#?}");
    assert!(finished.stderr.starts_with("error: ") && finished.stderr.contains("UTF-8"), "{finished:#?}");
}

#[test]
fn beyond_the_context() {
    let long = "hello ".repeat(400);
    let words = ["the prompt takes", "context is 256", "shorten it"];
    ask(model("mha"), &long).refuse(&words);
    ask(model("mha"), &long).arg("--raw").refuse(&words);
    let pictures = vec![picture("gray.png"); 30];
    ask(model("mha"), "hi").images(pictures).refuse(&["the prompt takes", "270 of them for 30 picture(s)"]);
}

/// Ten megabytes pasted by mistake are refused before a device could be busy with them.
#[test]
fn ten_megabytes() {
    let paste = "lorem ipsum ".repeat(10 << 20 >> 3).into_bytes();
    assert!(paste.len() > 10_000_000);
    for flags in [&["--raw"][..], &[]] {
        let start = Instant::now();
        ask(model("mha"), "-").args(flags).stdin(paste.clone()).refuse(&["the prompt is", "MB long", "at most"]);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn more_placeholders_than_pictures() {
    let words = ["the prompt has", "<image>", "picture"];
    for (prompt, pictures) in [("<image> What?", 0), ("<image> and <image>?", 1), ("<image><image><image>", 2)] {
        let images = vec![picture("gray.png"); pictures];
        ask(model("mha"), prompt).images(&images).refuse(&words);
        ask(model("mha"), prompt).images(&images).arg("--raw").refuse(&words);
    }
}

/// By the template, pictures without a place go in front; a raw prompt says itself where.
#[test]
fn fewer_placeholders_than_pictures() {
    let images = [picture("gray.png"), picture("landscape.png")];
    let reply = ask(model("mha"), "<image> What?").images(&images).arg("--json").tokens(2).json();
    assert_eq!(reply["image_tokens"], 18);
    for prompt in ["What?", "<image> What?"] {
        let raw = ask(model("mha"), prompt).images(&images).arg("--raw");
        raw.refuse(&["the prompt has", "for 2 picture(s)", "one --image for each <image>"]);
    }
}
