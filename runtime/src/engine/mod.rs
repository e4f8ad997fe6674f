//! Commands in, events out: the one door to the runtime for the command line, the window and the page.
//!
//! The engine owns device, model and session on a thread of its own (a task in a page). A caller never blocks and holds
//! no lock: it sends a [`Command`] and draws what the [`Event`]s say. Commands run one at a time, in order; only
//! [`Command::Cancel`] overtakes, and takes effect at the next token. A failed command is an event, and the engine goes on.

mod command;
mod event;
mod load;
mod loaded;
mod routing;
#[cfg(not(target_arch = "wasm32"))]
mod train;
mod worker;

#[cfg(not(target_arch = "wasm32"))]
pub use command::TrainCommand;
pub use command::{Command, DumpRequest, LoadRequest, Message, ModelSource, Picture, ReplyPrompt, ReplyRequest};
pub use event::{AdapterInfo, Dump, Event, ModelInfo, Reply};
pub use routing::{PatchPlace, ReplyRouting, RoutedToken};

use async_channel::{Receiver, Sender, unbounded};

/// A running engine. Dropping it stops a running reply and ends the thread.
#[derive(Debug)]
pub struct Engine {
    commands: Sender<Command>,
    events: Receiver<Event>,
}

impl Engine {
    /// Starts the engine on a thread of its own.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn spawn() -> Self {
        let (engine, worker) = Self::pair();
        std::thread::Builder::new()
            .name("engine".to_string())
            // Deeply nested templates and tokenizers recurse on this stack.
            .stack_size(16 << 20)
            .spawn(move || pollster::block_on(worker.run()))
            .expect("the system can start a thread");
        engine
    }

    /// Starts the engine as a task of the page.
    #[cfg(target_arch = "wasm32")]
    pub fn spawn() -> Self {
        let (engine, worker) = Self::pair();
        wasm_bindgen_futures::spawn_local(worker.run());
        engine
    }

    fn pair() -> (Self, worker::Worker) {
        let (commands, inbox) = unbounded();
        let (outbox, events) = unbounded();
        (Self { commands, events }, worker::Worker::new(inbox, outbox))
    }

    /// Hands a command over.
    pub fn send(&self, command: Command) {
        // The worker lives as long as this sender; a send can only fail after it panicked, and then `events` ends.
        let _ = self.commands.try_send(command);
    }

    /// A sender of commands, for a handler of signals.
    pub fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// The events, in order. The channel closes only if the engine died.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.commands.try_send(Command::Cancel);
        // Others may hold senders (a handler of signals does).
        self.commands.close();
    }
}
