//! `synth`: a set of drawn pictures with questions and answers.

use std::io::Write;
use std::process::ExitCode;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use mole_synth::{Error, Request, Summary};

use super::UsageError;
use super::args::SynthArgs;
use crate::figures::shortened;

/// Draws a set, and tells how far one gets in it without looking.
pub fn run(args: &SynthArgs) -> anyhow::Result<ExitCode> {
    if args.samples == 0 || args.turns == 0 {
        return Err(anyhow!(UsageError("--samples and --turns are at least 1".to_string())));
    }
    let request = Request {
        domain: args.domain,
        samples: args.samples,
        seed: args.seed,
        turns: args.turns,
        question_types: args.types.clone(),
        most_items: args.items,
    };
    let bar = ProgressBar::new(args.samples as u64).with_style(
        ProgressStyle::with_template("drawing {bar:30} {pos}/{len}, {eta} left").expect("a template of ours"),
    );
    let written = mole_synth::write(&request, &args.out, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let summary = written.map_err(|error| match error {
        Error::QuestionType { .. } | Error::NoPicture { .. } => anyhow!(UsageError(error.to_string())),
        error => error.into(),
    })?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&summary)?)?,
        false => write!(out, "{}", table(&summary))?,
    }
    eprintln!("wrote {}", args.out.join("data.jsonl").display());
    Ok(ExitCode::SUCCESS)
}

fn table(summary: &Summary) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut text =
        format!("{:<12}{:>10}{:>10}{:>10}  most frequent answer\n", "type", "questions", "answers", "baseline");
    for of in &summary.types {
        let baseline = percent(of.baseline);
        text += &format!(
            "{:<12}{:>10}{:>10}{:>10}  {}\n",
            of.question_type,
            of.questions,
            of.answers,
            baseline,
            shortened(&of.most_frequent, 60)
        );
    }
    let baseline = percent(summary.baseline);
    text + &format!("{:<12}{:>10}{:>10}{:>10}  of each type\n", "all", summary.questions, "", baseline)
}
