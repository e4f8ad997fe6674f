//! `experiment`: the demo model made anew, and the comparison of LoRA and experts.

use std::process::ExitCode;

use anyhow::anyhow;

use super::UsageError;
use super::args::{ExperimentArgs, ExperimentName, Shared};
use crate::experiment::{Scale, Stopped, make_demo, run_conflict};

/// Runs an experiment, or goes on with it.
pub fn run(shared: &Shared, args: &ExperimentArgs) -> anyhow::Result<ExitCode> {
    if shared.adapter.is_some() {
        return Err(anyhow!(UsageError("an experiment makes its own adapters; leave --adapter out".to_string())));
    }
    let done = match args.name {
        ExperimentName::Demo if shared.model.is_some() => {
            return Err(anyhow!(UsageError("this experiment makes its own model; leave --model out".to_string())));
        }
        ExperimentName::Demo => make_demo(shared, &args.out),
        ExperimentName::Conflict => {
            let (samples, questions, seeds) = (args.samples, args.questions, args.seeds);
            if samples == 0 || questions == 0 || seeds == 0 {
                return Err(anyhow!(UsageError("--samples, --questions and --seeds are at least 1".to_string())));
            }
            run_conflict(shared, &args.out, Scale { samples, questions, seeds })
        }
    };
    match done {
        Err(error) if error.is::<Stopped>() => {
            eprintln!("{error}");
            Ok(ExitCode::from(130))
        }
        done => done.map(|()| ExitCode::SUCCESS),
    }
}
