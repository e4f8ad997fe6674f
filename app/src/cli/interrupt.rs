//! Ctrl-C: the first stops the reply, the second the program.

use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use mole_runtime::engine::{Command, Engine};

/// Set by the first Ctrl-C of a reply.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Set while a reply runs; otherwise Ctrl-C leaves at once.
static REPLYING: AtomicBool = AtomicBool::new(false);

/// Installs the handler for this engine.
pub fn install(engine: &Engine) -> anyhow::Result<()> {
    let commands = Mutex::new(engine.commands());
    ctrlc::set_handler(move || {
        let first = !STOPPING.swap(true, Ordering::SeqCst);
        if REPLYING.load(Ordering::SeqCst) && first {
            if let Ok(commands) = commands.lock() {
                let _ = commands.try_send(Command::Cancel);
            }
            eprintln!("\nstopping; Ctrl-C again leaves the program");
            return;
        }
        // 128 + SIGINT, as a shell would say.
        process::exit(130);
    })
    .context("cannot handle Ctrl-C")
}

/// A reply begins: from now on Ctrl-C stops it.
pub fn reply_begins() {
    STOPPING.store(false, Ordering::SeqCst);
    REPLYING.store(true, Ordering::SeqCst);
}

/// The reply ended; returns whether Ctrl-C had a part in it.
pub fn reply_ended() -> bool {
    REPLYING.store(false, Ordering::SeqCst);
    STOPPING.swap(false, Ordering::SeqCst)
}
