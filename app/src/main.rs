//! `llava-mole`: talk about pictures, from the command line.

mod cli;
mod experiment;
mod figures;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
