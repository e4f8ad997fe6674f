//! Without a command: the chat window.

use std::process::ExitCode;

use anyhow::Context;
use llava_mole::desktop::{self, Launch};

use super::args::Shared;

/// Opens the window, and returns when it is closed.
pub fn run(shared: &Shared) -> anyhow::Result<ExitCode> {
    let launch = Launch {
        model: shared.model.clone(),
        adapter: shared.adapter.clone(),
        device: shared.device,
        weights: shared.weights,
        language: shared.lang,
    };
    desktop::run(&launch).context("the window cannot be opened; `llava-mole chat` talks in the terminal")?;
    Ok(ExitCode::SUCCESS)
}
