//! `train`: a run with its progress, stopped and taken up again at will.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use mole_runtime::engine::{Command, Event, LoadRequest, ModelSource, TrainCommand};
use mole_runtime::train::{EvalMetrics, Finished, Start, StepMetrics, TrainConfig, TrainEvent, TrainRequest};

use super::args::{Shared, TrainArgs};
use super::session::{Session, stderr_is_terminal};
use super::{UsageError, interrupt};
use crate::figures;

/// How often a line is printed where there is no terminal to draw a bar on.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Trains, shows how it goes, and draws the pictures at the end.
pub fn run(shared: &Shared, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    if shared.adapter.is_some() {
        return Err(anyhow!(UsageError(
            "train takes no --adapter; name the adapter to start from as init_adapter in the configuration".to_string()
        )));
    }
    let mut config = TrainConfig::read(&args.config)?;
    if let Some(model) = &shared.model {
        config.model = model.clone();
    }
    let start = match (args.resume, args.force) {
        (false, _) => Start::Fresh,
        (true, false) => Start::Resume,
        (true, true) => Start::ForceResume,
    };
    let session = Session::start()?;
    match train(&session, shared, TrainRequest { config, start, skip_bad: args.skip_bad })? {
        Outcome::Result(result) => {
            println!("{}", result.display());
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped(None) => Ok(ExitCode::from(130)),
        Outcome::Stopped(Some(step)) => {
            eprintln!("stopped after step {step}; `llava-mole train {} --resume` goes on", args.config.display());
            Ok(ExitCode::from(if interrupt::work_ended() { 130 } else { 1 }))
        }
    }
}

/// How a run ended.
pub enum Outcome {
    /// The adapter's or the model's folder.
    Result(PathBuf),
    /// It was stopped after this step, or before the first.
    Stopped(Option<u64>),
}

/// Trains in the place of any model that is loaded.
pub fn train(session: &Session, shared: &Shared, request: TrainRequest) -> anyhow::Result<Outcome> {
    interrupt::work_begins();
    let load = LoadRequest {
        model: ModelSource::Folder(request.config.model.clone()),
        adapter: None,
        device: shared.device,
        precision: shared.weights,
        aspect_ratio: shared.image_aspect_ratio.map(Into::into),
    };
    session.send(Command::Train(Box::new(TrainCommand { load, request })));
    let (mut screen, mut started) = (Screen::new(), false);
    let finished = loop {
        match session.next()? {
            Event::Training(event) => {
                started |= matches!(event, TrainEvent::Started { .. });
                screen.show(event);
            }
            Event::Loading(progress) => screen.bar("loading", progress.done_bytes, progress.total_bytes),
            Event::Trained(finished) => break *finished,
            Event::Failed(error) => {
                screen.close();
                // Before the first step a run that is stopped has nothing to save, and so nothing to fail with.
                if !started && interrupt::work_ended() {
                    eprintln!("{error}");
                    return Ok(Outcome::Stopped(None));
                }
                return Err(error.into());
            }
            _ => {}
        }
    };
    screen.close();
    draw(&finished);
    let Finished { output, result, step, skipped, .. } = finished;
    if skipped > 0 {
        eprintln!("{skipped} step(s) were skipped because a number was not finite");
    }
    let Some(result) = result else { return Ok(Outcome::Stopped(Some(step))) };
    eprintln!("{step} steps; metrics and pictures are in {}", output.display());
    Ok(Outcome::Result(result))
}

/// The pictures of a run. A run does not fail because one cannot be drawn.
fn draw(finished: &Finished) {
    let told = |what: &str, drawn: anyhow::Result<()>| {
        if let Err(error) = drawn {
            eprintln!("no {what}: {error:#}");
        }
    };
    if finished.step == 0 {
        return;
    }
    let file = |name: &str| finished.output.join(name);
    told("loss.svg", figures::loss_curve(&file("metrics.jsonl"), &file("loss.svg")));
    if !finished.routing.is_empty() {
        told("routing.svg", routing(finished, &file("routing.json"), &file("routing.svg")));
    }
}

fn routing(finished: &Finished, json: &Path, svg: &Path) -> anyhow::Result<()> {
    std::fs::write(json, serde_json::to_vec(&finished.routing)?)?;
    figures::routing_picture(&finished.routing, svg)
}

/// What a person sees: a bar on a terminal, now and then a line elsewhere.
struct Screen {
    bar: ProgressBar,
    phase: &'static str,
    terminal: bool,
    last_line: Option<Instant>,
    steps: u64,
}

impl Screen {
    fn new() -> Self {
        let terminal = stderr_is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        Self { bar, phase: "", terminal, last_line: None, steps: 0 }
    }

    fn close(&self) {
        self.bar.finish_and_clear();
    }

    /// A line that stays.
    fn line(&self, text: &str) {
        match self.terminal {
            true => self.bar.println(text),
            false => eprintln!("{text}"),
        }
    }

    fn bar(&mut self, phase: &'static str, done: u64, of: u64) {
        if self.phase != phase {
            self.phase = phase;
            let template = match phase {
                "training" => "step {pos}/{len} {bar:24} {msg}, {eta} left",
                "loading" => "loading {bar:30} {bytes}/{total_bytes}, {eta} left",
                _ => "checking samples {bar:30} {pos}/{len}, {eta} left",
            };
            self.bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
            self.bar.reset();
        }
        self.bar.set_length(of);
        self.bar.set_position(done);
    }

    fn show(&mut self, event: TrainEvent) {
        match event {
            TrainEvent::Checking(progress) => self.bar("checking", progress.done as u64, progress.samples as u64),
            TrainEvent::Checked(report) => self.line(&report.to_string()),
            TrainEvent::Note(text) => self.line(&text),
            TrainEvent::Started { step, steps, trained_parameters } => {
                self.steps = steps;
                self.bar("training", step, steps);
                let millions = trained_parameters as f64 / 1e6;
                let from = if step > 0 { format!(", going on after step {step}") } else { String::new() };
                self.line(&format!("{millions:.2} M trained parameters, {steps} steps{from}"));
            }
            TrainEvent::Step(metrics) => self.step(&metrics),
            TrainEvent::Evaluated(measured) => self.line(&held_out(&measured)),
            TrainEvent::Saved(path) => self.line(&format!("saved {}", path.display())),
        }
    }

    fn step(&mut self, metrics: &StepMetrics) {
        let text = describe(metrics);
        self.bar.set_message(text.clone());
        self.bar("training", metrics.step, self.steps);
        if metrics.skipped {
            self.line(&format!("step {}: a number was not finite; the step was skipped", metrics.step));
        }
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) || metrics.step == self.steps;
        if !self.terminal && due {
            self.last_line = Some(Instant::now());
            eprintln!("step {}/{} {text}", metrics.step, self.steps);
        }
    }
}

/// Loss, speed and load in a few words.
fn describe(metrics: &StepMetrics) -> String {
    let mut text =
        format!("loss {:.4}, lr {:.2e}, {:.0} tokens/s", metrics.loss, metrics.lr, metrics.tokens_per_second);
    let layers = metrics.expert_load.len();
    if layers > 0 {
        let experts = metrics.expert_load[0].len();
        let share = |e: usize| metrics.expert_load.iter().map(|layer| layer[e]).sum::<f32>() / layers as f32;
        let shares: Vec<String> = (0..experts).map(|e| format!("{:.0}", 100.0 * share(e))).collect();
        text.push_str(&format!(", experts {} %", shares.join("/")));
    }
    text
}

fn held_out(measured: &EvalMetrics) -> String {
    let by_data: Vec<String> = measured.eval_by_data.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
    let best = if measured.best { ", the best so far" } else { "" };
    format!("step {}: held-out loss {:.4} ({}){best}", measured.step, measured.eval_loss, by_data.join(", "))
}
