//! The command line. Results go to stdout, everything else to stderr; exit 2 for a usage error, 1 for any other.

pub mod args;
mod ask;
mod bench;
mod chat;
mod convert;
mod devices;
pub mod dump;
pub mod eval;
mod experiment;
mod inspect;
pub mod interrupt;
pub mod session;
mod synth;
pub mod train;
#[cfg(feature = "window")]
mod window;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Subcommand};

/// An error in how the program was called, beyond what the parser sees.
#[derive(Debug)]
struct UsageError(String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    cli.shared.kernels.choose();
    let result = match cli.command {
        None => start(&cli.shared),
        Some(Subcommand::Chat(args)) => chat::run(&cli.shared, &args),
        Some(Subcommand::Ask(args)) => ask::run(&cli.shared, &args),
        Some(Subcommand::Dump(args)) => dump::run(&cli.shared, &args),
        Some(Subcommand::Inspect(args)) => inspect::run(&cli.shared, &args),
        Some(Subcommand::Train(args)) => train::run(&cli.shared, &args),
        Some(Subcommand::Eval(args)) => eval::run(&cli.shared, &args),
        Some(Subcommand::Synth(args)) => synth::run(&args),
        Some(Subcommand::Experiment(args)) => experiment::run(&cli.shared, &args),
        Some(Subcommand::Convert(args)) => convert::run(&cli.shared, &args),
        Some(Subcommand::Devices(args)) => devices::run(&cli.shared, &args),
        Some(Subcommand::Bench(args)) => bench::measure(&cli.shared, &args),
    };
    match result {
        Ok(code) => code,
        // Whoever read our output has seen enough (`llava-mole inspect | head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing to be done if stderr is gone too.
            let _ = writeln!(std::io::stderr(), "error: {}", told(&error));
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}

/// The window; without a display, or in a build without windows, the terminal chat.
fn start(shared: &args::Shared) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "window")]
    if llava_mole::desktop::has_display() {
        return window::run(shared);
    }
    chat::run(shared, &args::ChatArgs::default())
}

/// An error and its causes in one line. Errors of the runtime tell their cause themselves: it is not said twice.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
