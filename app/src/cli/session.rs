//! What every command that runs a model does: start the engine, load with a progress bar, pass a reply on.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use mole_runtime::engine::{Command, Engine, Event, LoadRequest, ModelInfo, ModelSource, Picture, Reply, ReplyRequest};

use super::args::Shared;
use super::interrupt;
use llava_mole::demo;

/// Pictures beyond this are no pictures a camera makes.
const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// An engine, and how a person sees it work.
pub struct Session {
    engine: Engine,
}

impl Session {
    /// Starts the engine, which Ctrl-C stops from now on. Once in a program.
    pub fn start() -> anyhow::Result<Self> {
        let engine = Engine::spawn();
        interrupt::install(&engine)?;
        Ok(Self { engine })
    }

    /// Starts the engine and loads the model that the flags name, or the demo model.
    pub fn open(shared: &Shared) -> anyhow::Result<Self> {
        let session = Self::start()?;
        let (model, adapter) = models(shared);
        let info = session.load(LoadRequest {
            model,
            adapter,
            device: shared.device,
            precision: shared.weights,
            aspect_ratio: shared.image_aspect_ratio.map(Into::into),
        })?;
        let device = &info.device;
        eprintln!("{} on {} ({}), weights in {}", info.name, device.name, device.backend, info.weights);
        if let Some(adapter) = &info.adapter {
            let experts = match adapter.experts {
                0 => "no experts".to_string(),
                experts => format!("{experts} experts a layer"),
            };
            let millions = adapter.parameters as f64 / 1e6;
            eprintln!("with the adapter {}: {millions:.2} M parameters, {experts}", adapter.name);
        }
        Ok(session)
    }

    /// Hands a command over; its events follow.
    pub fn send(&self, command: Command) {
        self.engine.send(command);
    }

    /// Waits for the next event.
    pub fn next(&self) -> anyhow::Result<Event> {
        self.engine.events().recv_blocking().context("the engine ended unexpectedly; see the message above")
    }

    /// Loads a model in the place of the one before.
    pub fn load(&self, request: LoadRequest) -> anyhow::Result<ModelInfo> {
        self.send(Command::Load(request));
        let bar = ProgressBar::new(0).with_style(
            ProgressStyle::with_template("loading {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left")
                .expect("a template of ours"),
        );
        loop {
            match self.next()? {
                Event::Loading(progress) => {
                    bar.set_length(progress.total_bytes);
                    bar.set_position(progress.done_bytes);
                }
                Event::Loaded(info) => {
                    bar.finish_and_clear();
                    return Ok(*info);
                }
                Event::Failed(error) => {
                    bar.finish_and_clear();
                    return Err(error.into());
                }
                _ => {}
            }
        }
    }

    /// Hands a command over and returns the first event that `take` wants.
    pub fn request<T>(&self, command: Command, take: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
        self.send(command);
        loop {
            match self.next()? {
                Event::Failed(error) => return Err(error.into()),
                event => {
                    if let Some(taken) = take(event) {
                        return Ok(taken);
                    }
                }
            }
        }
    }

    /// Has a prompt answered; `on_text` gets the words as they come. The second value says whether Ctrl-C stopped it.
    pub fn reply(
        &self,
        request: ReplyRequest,
        mut on_text: impl FnMut(&str) -> std::io::Result<()>,
    ) -> anyhow::Result<(Reply, bool)> {
        interrupt::work_begins();
        self.engine.send(Command::Reply(request));
        let mut failed = None;
        let reply = loop {
            match self.next() {
                Ok(Event::Token(text)) if failed.is_none() => {
                    if let Err(error) = on_text(&text) {
                        // Nobody reads on. What still comes belongs to this reply, not the next.
                        self.engine.send(Command::Cancel);
                        failed = Some(error);
                    }
                }
                Ok(Event::Replied(reply)) => break failed.map_or(Ok(reply), |error| Err(error.into())),
                Ok(Event::Failed(error)) => break Err(error.into()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let stopped = interrupt::work_ended();
        Ok((reply?, stopped))
    }
}

/// The model and the adapter that the flags name. The demo model comes with its experts, unless a folder of another
/// adapter to it is named.
fn models(shared: &Shared) -> (ModelSource, Option<ModelSource>) {
    let adapter = shared.adapter.clone().map(ModelSource::Folder);
    match &shared.model {
        Some(folder) => (ModelSource::Folder(folder.clone()), adapter),
        None => (demo::model(), Some(adapter.unwrap_or_else(demo::adapter))),
    }
}

/// Reads pictures whole; what they hold is the engine's to judge.
pub fn read_pictures(paths: &[PathBuf]) -> anyhow::Result<Vec<Picture>> {
    paths.iter().map(|path| read_picture(path)).collect()
}

/// Reads one picture.
pub fn read_picture(path: &Path) -> anyhow::Result<Picture> {
    let name = path.display().to_string();
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read the picture {name}"))?;
    if !metadata.is_file() {
        return Err(anyhow!("{name} is not a file; name a PNG, JPEG or WebP picture"));
    }
    if metadata.len() > MAX_PICTURE_BYTES {
        return Err(anyhow!("{name} has {} bytes; pictures up to {MAX_PICTURE_BYTES} are read", metadata.len()));
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the picture {name}"))?;
    Ok(Picture { name, bytes: Arc::from(bytes) })
}

/// Whether a person is reading stderr.
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
