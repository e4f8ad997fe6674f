//! The engine's thread: takes commands, runs them, reports.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use async_channel::{Receiver, Sender};

#[cfg(not(target_arch = "wasm32"))]
use super::command::TrainCommand;
use super::command::{Command, LoadRequest, ReplyRequest};
use super::event::{Event, ModelInfo};
use super::load::Prepared;
use super::loaded::Loaded;
#[cfg(not(target_arch = "wasm32"))]
use super::train::PreparedRun;
use crate::device::{self, AdapterKind, ComputeDevice, DeviceChoice};
use crate::error::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use crate::train::TrainEvent;

pub(super) struct Worker {
    inbox: Receiver<Command>,
    outbox: Sender<Event>,
    /// Commands that arrived while a reply ran.
    backlog: VecDeque<Command>,
    loaded: Option<Loaded>,
    /// Kept open from model to model: opening it again would not give the first one's memory back.
    device: Option<(DeviceChoice, ComputeDevice)>,
}

impl Worker {
    pub(super) fn new(inbox: Receiver<Command>, outbox: Sender<Event>) -> Self {
        Self { inbox, outbox, backlog: VecDeque::new(), loaded: None, device: None }
    }

    /// Until every sender of commands is gone.
    pub(super) async fn run(mut self) {
        loop {
            let command = match self.backlog.pop_front() {
                Some(command) => command,
                None => match self.inbox.recv().await {
                    Ok(command) => command,
                    Err(_) => return,
                },
            };
            if let Err(error) = guarded(self.handle(command)).await {
                if matches!(error, Error::Device(_)) {
                    // What the cache was said to hold may never have been computed.
                    self.device = None;
                    if let Some(loaded) = &mut self.loaded {
                        loaded.session.clear();
                    }
                }
                self.tell(Event::Failed(error));
            }
        }
    }

    async fn handle(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Load(request) => {
                let prepared = Prepared::check(&request)?;
                let device = self.open(request.device).await?;
                let outbox = self.outbox.clone();
                let mut on_progress = |progress| {
                    let _ = outbox.try_send(Event::Loading(progress));
                };
                let (loaded, info) = prepared.upload(device, &mut on_progress).await?;
                self.loaded = Some(loaded);
                self.tell(Event::Loaded(Box::new(info)));
            }
            Command::Estimate(request) => {
                let info = self.estimate(&request).await?;
                self.tell(Event::Estimated(Box::new(info)));
            }
            Command::Trace(messages) => {
                let Self { inbox, outbox, backlog, loaded, .. } = self;
                let loaded = loaded.as_mut().ok_or_else(no_model)?;
                loaded.trace(messages, &mut listener(inbox, outbox, backlog)).await?;
                self.tell(Event::Traced);
            }
            Command::Reply(request) => self.reply(request).await?,
            Command::Dump(request) => {
                let dump = self.loaded()?.dump(request).await?;
                self.tell(Event::Dumped(Box::new(dump)));
            }
            #[cfg(not(target_arch = "wasm32"))]
            Command::Train(command) => self.train(*command).await?,
            // Nothing is running.
            Command::Cancel => {}
        }
        Ok(())
    }

    /// The device for the next model, with the memory of the one before given back.
    async fn open(&mut self, choice: DeviceChoice) -> Result<ComputeDevice> {
        let mut device = match &self.device {
            Some((open, device)) if *open == choice => device.clone(),
            _ => ComputeDevice::open(choice).await?,
        };
        self.loaded = None;
        device.reclaim();
        self.device = Some((choice, device.clone()));
        Ok(device)
    }

    /// What loading a model would take. What is loaded now would have gone by then.
    async fn estimate(&self, request: &LoadRequest) -> Result<ModelInfo> {
        let prepared = Prepared::check(request)?;
        let mut device = device::report(request.device).await?;
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.device.report.name == device.name) {
            let shared = device.kind != AdapterKind::Discrete;
            device.memory_bytes = device
                .memory_bytes
                .filter(|_| shared)
                .map(|free| free + loaded.memory().total())
                .or(device.memory_bytes);
        }
        prepared.estimate(&device)
    }

    async fn reply(&mut self, request: ReplyRequest) -> Result<()> {
        let Self { inbox, outbox, backlog, loaded, .. } = self;
        let loaded = loaded.as_mut().ok_or_else(no_model)?;
        let reply = loaded.reply(request, &mut listener(inbox, outbox, backlog)).await?;
        self.tell(Event::Replied(reply));
        Ok(())
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn train(&mut self, command: TrainCommand) -> Result<()> {
        let choice = command.load.device;
        let (inbox, outbox) = (self.inbox.clone(), self.outbox.clone());
        let (mut backlog, mut stopped) = (VecDeque::new(), false);
        let mut on_event = |event: Option<TrainEvent>| {
            if let Some(event) = event {
                let _ = outbox.try_send(Event::Training(event));
            }
            while let Ok(command) = inbox.try_recv() {
                match command {
                    Command::Cancel => stopped = true,
                    other => backlog.push_back(other),
                }
            }
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let result = match PreparedRun::check(command, &mut on_event) {
            Ok(run) => match self.open(choice).await {
                Ok(device) => run.train(device, &self.outbox, &mut on_event).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.backlog.extend(backlog);
        result
    }

    fn loaded(&mut self) -> Result<&mut Loaded> {
        self.loaded.as_mut().ok_or_else(no_model)
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more: the program is closing.
        let _ = self.outbox.try_send(event);
    }
}

/// Passes events on, and looks for a `Cancel` each time; other commands wait.
fn listener(
    inbox: &Receiver<Command>,
    outbox: &Sender<Event>,
    backlog: &mut VecDeque<Command>,
) -> impl FnMut(Event) -> ControlFlow<()> {
    move |event| {
        if !matches!(&event, Event::Token(text) if text.is_empty()) {
            let _ = outbox.try_send(event);
        }
        while let Ok(command) = inbox.try_recv() {
            match command {
                Command::Cancel => return ControlFlow::Break(()),
                other => backlog.push_back(other),
            }
        }
        ControlFlow::Continue(())
    }
}

fn no_model() -> Error {
    Error::Prompt("came before a model was loaded; load one first".to_string())
}

/// Runs a command; a panic below (a driver that runs out of memory or dies in a way wgpu does not report) becomes an
/// error, so that the process and the conversation live on.
#[cfg(not(target_arch = "wasm32"))]
async fn guarded(command: impl Future<Output = Result<()>>) -> Result<()> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    // The caller clears the session, all that a command leaves half-made; a failed load leaves no model.
    match catch_unwind(AssertUnwindSafe(|| pollster::block_on(command))) {
        Ok(result) => result,
        Err(payload) => {
            let reason = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            let line = reason.lines().next().unwrap_or_default();
            Err(Error::Device(format!("the device failed ({line}); load the model again, or use --device cpu")))
        }
    }
}

/// In a page a panic ends the wasm instance; there is nothing to catch.
#[cfg(target_arch = "wasm32")]
async fn guarded(command: impl Future<Output = Result<()>>) -> Result<()> {
    command.await
}
