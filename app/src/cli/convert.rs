//! `convert`: a checkpoint anew, with smaller weights.

use std::io::Write;
use std::process::ExitCode;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use mole_runtime::model::{convert, gigabytes};
use mole_runtime::weights::ModelFiles;

use super::UsageError;
use super::args::{ConvertArgs, Shared};

/// Converts, and says what came of it.
pub fn run(shared: &Shared, args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let usage = |text: &str| anyhow!(UsageError(text.to_string()));
    let precision = shared.weights.ok_or_else(|| usage("convert wants --weights f16, q8 or q4 (or f32)"))?;
    let model = shared.model.as_ref().ok_or_else(|| usage("convert wants --model DIR, the checkpoint to convert"))?;
    let files = ModelFiles::open(model)?;
    let style = ProgressStyle::with_template("converting {bar:30} {bytes} of {total_bytes}, {eta} left")
        .expect("a template of ours");
    let bar = ProgressBar::new(0).with_style(style);
    let written = convert(&files, precision, &args.out, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    });
    bar.finish_and_clear();
    let bytes = written?;
    writeln!(std::io::stdout(), "{}: {} of weights in {precision}", args.out.display(), gigabytes(bytes))?;
    Ok(ExitCode::SUCCESS)
}
