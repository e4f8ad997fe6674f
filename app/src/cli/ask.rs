//! `ask`: one question, one answer.

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use mole_runtime::engine::{Message, ReplyPrompt, ReplyRequest};
use mole_runtime::text::Role;

use super::args::{AskArgs, Shared};
use super::dump;
use super::session::{Session, read_pictures};

/// A prompt from standard input beyond this is a slip.
const MAX_PROMPT_BYTES: u64 = 64 << 20;

/// Answers and prints.
pub fn run(shared: &Shared, args: &AskArgs) -> anyhow::Result<ExitCode> {
    let text = prompt(&args.prompt)?;
    let pictures = read_pictures(&args.images)?;
    if let Some(file) = &args.routing {
        dump::check_writable(file)?;
    }
    let session = Session::open(shared)?;
    let prompt = match args.raw {
        true => ReplyPrompt::Raw(text, pictures),
        false => ReplyPrompt::Chat(vec![Message { role: Role::User, text, pictures }]),
    };
    let request = ReplyRequest {
        prompt,
        max_new_tokens: args.sampling.max_new_tokens,
        sample: args.sampling.params(),
        seed: args.sampling.seed,
        routing: args.routing.is_some(),
    };
    let mut out = std::io::stdout().lock();
    let (mut reply, stopped) = session.reply(request, |text| {
        if args.json {
            return Ok(());
        }
        out.write_all(text.as_bytes())?;
        out.flush()
    })?;
    // To its own file, and not into the object on stdout as well.
    let routing = reply.routing.take();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&reply)?)?,
        false => writeln!(out)?,
    }
    if let (Some(file), Some(routing)) = (&args.routing, routing) {
        dump::write_file(file, &serde_json::to_vec(&routing)?)?;
        let (tokens, layers) = (routing.tokens.len(), routing.layers.len());
        eprintln!("{}: the experts of {tokens} tokens in {layers} layers", file.display());
    }
    Ok(ExitCode::from(u8::from(stopped)))
}

fn prompt(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_string());
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX_PROMPT_BYTES).read_to_end(&mut bytes).context("cannot read the prompt from stdin")?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("the prompt on standard input is not UTF-8"))?;
    // A shell's here-document ends in a newline that nobody meant.
    Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_string))
}
