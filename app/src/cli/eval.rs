//! `eval`: the questions of datasets answered and scored.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use mole_runtime::data::{DataSource, Dataset, Sample};
use mole_runtime::engine::{Command, Event, Message, Picture, ReplyPrompt, ReplyRequest};
use mole_runtime::eval::{Metric, Table, score};
use mole_runtime::ops::SampleParams;
use serde_json::json;

use super::args::{EvalArgs, MetricArg, Shared};
use super::session::Session;
use super::{UsageError, dump, interrupt};

/// Asks every question greedily and prints the scores.
pub fn run(shared: &Shared, args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let datasets = open(args)?;
    let count = |data: &Dataset| if args.limit == 0 { data.len() } else { args.limit.min(data.len()) };
    for data in &datasets {
        (0..count(data)).try_for_each(|index| check(data, index))?;
    }
    if let Some(file) = &args.predictions {
        dump::check_writable(file)?;
    }
    let session = Session::open(shared)?;
    let mut predictions = args.predictions.as_deref().map(Predictions::create).transpose()?;
    interrupt::work_begins();
    let bar = ProgressBar::new(datasets.iter().map(|data| count(data) as u64).sum()).with_style(
        ProgressStyle::with_template("{pos}/{len} {bar:30} {msg}, {eta} left").expect("a template of ours"),
    );
    let mut table = Table::default();
    let (mut stopped, mut failed) = (false, None);
    'all: for data in &datasets {
        bar.set_message(data.name().to_string());
        for index in 0..count(data) {
            let sample = data.sample(index)?;
            let prediction = match answer(&session, data, &sample, args.max_new_tokens) {
                Ok(prediction) => prediction,
                // The answers so far are kept.
                Err(error) => {
                    failed = Some(sample.error(error));
                    break 'all;
                }
            };
            stopped = interrupt::work_ended();
            if stopped {
                break 'all;
            }
            interrupt::work_begins();
            let metric = match args.metric {
                MetricArg::Auto => Metric::auto(&sample.answers),
                MetricArg::Fixed(metric) => metric,
            };
            table.add(data.name(), &score(metric, &prediction, &sample.answers));
            if let Some(predictions) = &mut predictions {
                predictions.write(data, &sample, &prediction)?;
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if let Some(predictions) = predictions {
        predictions.finish()?;
    }
    if let Some(error) = failed {
        if table.all.questions > 0 {
            eprintln!("the scores of the {} questions before the error:\n{table}", table.all.questions);
        }
        return Err(error.into());
    }
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&table)?)?,
        false => writeln!(out, "{table}")?,
    }
    if stopped {
        eprintln!("stopped; the scores are those of the {} questions answered", table.all.questions);
    }
    Ok(ExitCode::from(u8::from(stopped)))
}

fn open(args: &EvalArgs) -> anyhow::Result<Vec<Dataset>> {
    if args.images.len() > 1 && args.images.len() != args.data.len() {
        return Err(anyhow!(UsageError(format!(
            "{} --images for {} --data; give one for all, or one for each",
            args.images.len(),
            args.data.len()
        ))));
    }
    let mut datasets: Vec<Dataset> = Vec::new();
    for (index, path) in args.data.iter().enumerate() {
        let stem = path.file_stem().map_or("data".into(), |stem| stem.to_string_lossy().into_owned());
        let taken = datasets.iter().any(|data| data.name() == stem);
        let name = if taken { path.display().to_string() } else { stem };
        let images = args.images.get(index).or(args.images.first()).cloned();
        datasets.push(Dataset::open(DataSource { name, path: path.clone(), images, weight: 1.0 })?);
    }
    Ok(datasets)
}

/// Looks at a sample before the first question is asked, so that no evaluation ends over it in the middle.
fn check(data: &Dataset, index: usize) -> anyhow::Result<()> {
    let sample = data.sample(index)?;
    if sample.answers.is_empty() {
        return Err(sample.error("has no answer to compare with; eval needs \"answer\" or a gpt turn").into());
    }
    for name in sample.images.iter().filter(|name| !data.images().join(name).is_file()) {
        data.picture(name).map_err(|error| sample.error(format!("the picture {error}")))?;
    }
    Ok(())
}

/// The model's answer to a sample's last question, after the turns before it.
pub fn answer(session: &Session, data: &Dataset, sample: &Sample, max_new_tokens: usize) -> anyhow::Result<String> {
    let mut names = sample.images.iter();
    let mut messages = Vec::new();
    for turn in sample.question() {
        let placed = turn.text.matches("<image>").count();
        let pictures = names
            .by_ref()
            .take(placed)
            .map(|name| Ok(Picture { name: name.clone(), bytes: Arc::from(data.picture(name)?) }))
            .collect::<anyhow::Result<_>>()?;
        messages.push(Message { role: turn.role, text: turn.text.clone(), pictures });
    }
    let request = ReplyRequest {
        prompt: ReplyPrompt::Chat(messages),
        max_new_tokens,
        sample: SampleParams::default(),
        seed: 0,
        routing: false,
    };
    let replied = |event| if let Event::Replied(reply) = event { Some(reply) } else { None };
    Ok(session.request(Command::Reply(request), replied)?.text.trim().to_string())
}

/// The answers as they come; the file gets its name when all are there, and goes where it never got one.
struct Predictions<'a> {
    path: &'a Path,
    aside: std::path::PathBuf,
    file: BufWriter<File>,
}

impl Drop for Predictions<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.aside);
    }
}

impl<'a> Predictions<'a> {
    fn create(path: &'a Path) -> anyhow::Result<Self> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".part");
        let aside = std::path::PathBuf::from(aside);
        let file = File::create(&aside).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, aside, file: BufWriter::new(file) })
    }

    fn write(&mut self, data: &Dataset, sample: &Sample, prediction: &str) -> anyhow::Result<()> {
        let question = sample.question().last().map_or("", |turn| turn.text.as_str());
        let line = json!({
            "id": sample.id,
            "question": question.replace("<image>", "").trim(),
            "answer": sample.answers.first(),
            "prediction": prediction,
            "dataset": data.name(),
        });
        writeln!(self.file, "{line}").with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let write = || format!("cannot write {}", self.path.display());
        self.file.flush().with_context(write)?;
        std::fs::rename(&self.aside, self.path).with_context(write)
    }
}
