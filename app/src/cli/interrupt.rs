//! Ctrl-C and SIGTERM: the first stops the reply or the run, the second the program.

use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use mole_runtime::engine::{Command, Engine};

/// Set by the first signal of a reply or run.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Set while a reply or run goes on; otherwise a signal leaves at once.
static WORKING: AtomicBool = AtomicBool::new(false);

/// Signals closer together are one: `timeout` and shells send theirs to the program and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(200);

/// Installs the handler for this engine.
pub fn install(engine: &Engine) -> anyhow::Result<()> {
    let commands = Mutex::new(engine.commands());
    let mut last: Option<Instant> = None;
    ctrlc::set_handler(move || {
        let working = WORKING.load(Ordering::SeqCst);
        if working && last.is_some_and(|last| last.elapsed() < ONE_SIGNAL) {
            return;
        }
        last = Some(Instant::now());
        let first = !STOPPING.swap(true, Ordering::SeqCst);
        if working && first {
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

/// A reply or a run begins: from now on a signal stops it.
pub fn work_begins() {
    STOPPING.store(false, Ordering::SeqCst);
    WORKING.store(true, Ordering::SeqCst);
}

/// It ended; returns whether a signal had a part in it.
pub fn work_ended() -> bool {
    WORKING.store(false, Ordering::SeqCst);
    STOPPING.swap(false, Ordering::SeqCst)
}
