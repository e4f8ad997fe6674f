//! `chat` with its lines from a pipe: words to stdout, everything else to stderr.

use crate::fixture::{model, picture};
use crate::program::{Finished, Program, ask, on_cpu, program};

/// A conversation of these lines; eight tokens a reply.
fn chat(lines: &[&str]) -> Program {
    on_cpu("chat", model("mha")).tokens(8).stdin(lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// What `ask` answers, with its newline.
fn answer(question: &str, pictures: &[&str]) -> String {
    ask(model("mha"), question).images(pictures.iter().map(|name| picture(name))).tokens(8).succeed().stdout
}

/// What `ask` answers to a prompt as it is.
fn continued(prompt: &str, pictures: &[&str]) -> String {
    let asked = ask(model("mha"), "-").arg("--raw").tokens(8).stdin(prompt);
    asked.images(pictures.iter().map(|name| picture(name))).succeed().stdout.trim_start_matches(' ').to_owned()
}

fn says(finished: &Finished, words: &str) {
    assert!(finished.stderr.contains(words), "{words:?} is not in {finished:#?}");
}

#[test]
fn a_single_turn_is_what_ask_answers() {
    assert_eq!(chat(&["What is this?"]).succeed().stdout, answer("What is this?", &[]));
}

/// The second turn is answered with the first before it, as the template writes them.
#[test]
fn two_turns_are_one_conversation() {
    let first = answer("What is this?", &[]);
    let said = first.trim_end_matches('\n');
    let second = continued(&format!("USER: What is this? ASSISTANT: {said} USER: And that? ASSISTANT:"), &[]);
    let talked = chat(&["What is this?", "And that?"]).succeed();
    assert_eq!(talked.stdout, format!("{first}{second}"));
    assert_ne!(second, answer("And that?", &[]), "the first turn must matter");
}

#[test]
fn reset_forgets_the_conversation() {
    let talked = chat(&["What is this?", "/reset", "What is this?", "/reset", "And that?"]).succeed();
    let first = answer("What is this?", &[]);
    assert_eq!(talked.stdout, format!("{first}{first}{}", answer("And that?", &[])));
    says(&talked, "a new conversation");
}

#[test]
fn pictures_go_with_the_next_message_only() {
    let line = format!("/image {}", picture("landscape.png").display());
    let talked = chat(&[&line, "What is this?", "/reset", "What is this?"]).succeed();
    let seen = answer("What is this?", &["landscape.png"]);
    assert_eq!(talked.stdout, format!("{seen}{}", answer("What is this?", &[])));
    says(&talked, "landscape.png goes with the next message");
    // In quotes, as file managers paste; and by the flag.
    let quoted = format!("/image '{}'", picture("landscape.png").display());
    assert_eq!(chat(&[&quoted, "What is this?"]).succeed().stdout, seen);
    assert_eq!(chat(&["What is this?"]).images([picture("landscape.png")]).succeed().stdout, seen);
    // A conversation that is forgotten takes its waiting pictures along.
    assert_eq!(chat(&[&line, "/reset", "What is this?"]).succeed().stdout, answer("What is this?", &[]));
}

#[test]
fn the_picture_of_the_first_turn_stays_in_the_second() {
    let line = format!("/image {}", picture("landscape.png").display());
    let talked = chat(&[&line, "What is this?", "And that?"]).succeed();
    let first = answer("What is this?", &["landscape.png"]);
    let said = first.trim_end_matches('\n');
    let prompt = format!("USER: <image>\nWhat is this? ASSISTANT: {said} USER: And that? ASSISTANT:");
    assert_eq!(talked.stdout, format!("{first}{}", continued(&prompt, &["landscape.png"])));
}

#[test]
fn a_missing_picture_is_said_and_the_chat_goes_on() {
    let talked = chat(&["/image no-such.png", "/image", "What is this?"]).succeed();
    says(&talked, "error: cannot read the picture no-such.png");
    says(&talked, "name the picture: /image FILE");
    assert_eq!(talked.stdout, answer("What is this?", &[]));
}

/// A file that is no picture must not fail every message after it.
#[test]
fn a_picture_that_cannot_be_read_is_put_away() {
    let line = format!("/image {}", crate::fixture::model("mha").join("config.json").display());
    let talked = chat(&[&line, "What is this?", "What is this?"]).succeed();
    says(&talked, "the waiting pictures were put away");
    assert_eq!(talked.stdout, answer("What is this?", &[]));
}

/// A message that cannot be answered leaves the conversation as it was.
#[test]
fn a_refused_message_is_said_and_forgotten() {
    let long = "hello ".repeat(400);
    let talked = chat(&[&long, "<image> What?", "What is this?"]).succeed();
    says(&talked, "error: the prompt takes");
    says(&talked, "error: the prompt has 1 <image>");
    assert_eq!(talked.stdout, answer("What is this?", &[]));
}

#[test]
fn commands_are_answered_on_stderr() {
    let talked = chat(&["/help", "/bogus", "", "   "]).succeed();
    for words in ["/image FILE", "/reset", "/quit", "/bogus is not a command; /help lists them"] {
        says(&talked, words);
    }
    assert_eq!(talked.stdout, "");
}

#[test]
fn quit_and_the_end_of_input_leave() {
    for last in ["/quit", "/exit"] {
        let talked = chat(&["What is this?", last, "And that?"]).succeed();
        assert_eq!(talked.stdout, answer("What is this?", &[]));
    }
    assert_eq!(chat(&[]).succeed().stdout, "");
    // The last line may lack its newline.
    let cut = on_cpu("chat", model("mha")).tokens(8).stdin("What is this?").succeed();
    assert_eq!(cut.stdout, answer("What is this?", &[]));
}

#[test]
fn without_a_command_it_is_a_chat() {
    let plain = program(["--device", "cpu", "--model"]).arg(model("mha")).stdin("/help\n/quit\n").succeed();
    says(&plain, "/image FILE");
}

#[test]
fn a_bad_model_ends_it_before_a_word_is_read() {
    on_cpu("chat", picture("gray.png")).stdin("hi\n").refuse(&["gray.png is no checkpoint"]);
    chat(&["hi"]).images([picture("no-such.png")]).refuse(&["no-such.png"]);
}
