//! `chat`: a conversation in the terminal.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use mole_runtime::engine::{Message, Picture, ReplyPrompt, ReplyRequest};
use mole_runtime::text::Role;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::args::{ChatArgs, Shared};
use super::session::{Session, read_picture, read_pictures, stderr_is_terminal};
use super::told;

const HELP: &str = "/image FILE   attach a picture to the next message
/reset        forget the conversation
/help         this list
/quit         leave (as Ctrl-D does); Ctrl-C stops a reply";

/// What a line asks for.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Image(&'a str),
    Reset,
    Help,
    Quit,
    Unknown(&'a str),
    Empty,
    Say(&'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/') else {
            return if line.is_empty() { Self::Empty } else { Self::Say(line) };
        };
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match word {
            "image" => Self::Image(unquoted(rest.trim())),
            "reset" => Self::Reset,
            "help" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            _ => Self::Unknown(word),
        }
    }
}

/// A path as a file manager pastes it: possibly in quotes.
fn unquoted(path: &str) -> &str {
    ['"', '\''].iter().find_map(|&q| path.strip_prefix(q)?.strip_suffix(q)).unwrap_or(path)
}

/// Talks until the input ends.
pub fn run(shared: &Shared, args: &ChatArgs) -> anyhow::Result<ExitCode> {
    let mut pictures = read_pictures(&args.images)?;
    let session = Session::open(shared)?;
    let mut editor = DefaultEditor::new().context("cannot read from the terminal")?;
    let mut messages = Vec::new();
    if stderr_is_terminal() {
        eprintln!("{HELP}");
    }
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                eprintln!("(/quit or Ctrl-D leaves)");
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("cannot read from the terminal"),
        };
        let _ = editor.add_history_entry(&line);
        match Line::parse(&line) {
            Line::Empty => {}
            Line::Quit => break,
            Line::Help => eprintln!("{HELP}"),
            Line::Unknown(word) => eprintln!("/{word} is not a command; /help lists them"),
            Line::Reset => {
                messages.clear();
                pictures.clear();
                eprintln!("a new conversation");
            }
            Line::Image("") => eprintln!("name the picture: /image FILE"),
            Line::Image(path) => match read_picture(Path::new(path)) {
                Ok(picture) => {
                    eprintln!("{} goes with the next message", picture.name);
                    pictures.push(picture);
                }
                Err(error) => eprintln!("error: {}", told(&error)),
            },
            Line::Say(text) => say(&session, args, &mut messages, text, &mut pictures)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends one message and prints the reply. A failed message leaves the conversation as it was.
fn say(
    session: &Session,
    args: &ChatArgs,
    messages: &mut Vec<Message>,
    text: &str,
    pictures: &mut Vec<Picture>,
) -> anyhow::Result<()> {
    messages.push(Message { role: Role::User, text: text.to_string(), pictures: pictures.clone() });
    let request = ReplyRequest {
        prompt: ReplyPrompt::Chat(messages.clone()),
        max_new_tokens: args.sampling.max_new_tokens,
        sample: args.sampling.params(),
        seed: args.sampling.seed,
        routing: false,
    };
    let mut out = std::io::stdout().lock();
    let answer = session.reply(request, |text| {
        out.write_all(text.as_bytes())?;
        out.flush()
    });
    match answer {
        Ok((reply, stopped)) => {
            writeln!(out)?;
            if stopped {
                eprintln!("(stopped)");
            }
            pictures.clear();
            messages.push(Message { role: Role::Assistant, text: reply.text, pictures: Vec::new() });
        }
        Err(error) if super::is_broken_pipe(&error) => return Err(error),
        Err(error) => {
            messages.pop();
            eprintln!("error: {}", told(&error));
            // Kept, a picture that cannot be read would fail every message from now on.
            if matches!(error.downcast_ref(), Some(mole_runtime::Error::Image { .. })) {
                pictures.clear();
                eprintln!("the waiting pictures were put away; attach others with /image");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_words() {
        assert_eq!(Line::parse("  "), Line::Empty);
        assert_eq!(Line::parse(" What is 1/2? "), Line::Say("What is 1/2?"));
        assert_eq!(Line::parse("/image my photo.jpg "), Line::Image("my photo.jpg"));
        assert_eq!(Line::parse("/image 'my photo.jpg'"), Line::Image("my photo.jpg"));
        assert_eq!(Line::parse("/image"), Line::Image(""));
        assert_eq!(Line::parse("/reset"), Line::Reset);
        assert_eq!(Line::parse("/imagine"), Line::Unknown("imagine"));
    }
}
