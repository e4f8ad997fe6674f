//! Several windows at once: nothing that was said in either is lost.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use llava_mole::chat::Record;
use llava_mole::desktop::store::FOLDER_VARIABLE;

use crate::{Window, outline, temporary};

/// A window in a process of its own, which does what it is told.
pub struct Child {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts one, by another command where there is one, and waits until it has read the history.
    pub fn start(command: Command, folder: &Path, chat: u64, name: &str) -> Self {
        let mut child = Self::begin(command, folder, chat, name);
        assert_eq!(child.line(), "history");
        child
    }

    fn begin(mut command: Command, folder: &Path, chat: u64, name: &str) -> Self {
        if command.get_program() != env!("CARGO_BIN_EXE_history_writer") {
            command.arg(env!("CARGO_BIN_EXE_history_writer"));
        }
        command.args(["obey", &chat.to_string(), name]).env(FOLDER_VARIABLE, folder);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { orders: process.stdin.take(), lines, process }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().expect("not closed"), "{order}").expect("it listens");
    }

    pub fn line(&mut self) -> String {
        self.lines.next().expect("it says more").expect("text")
    }

    /// Closes it; what it says to that.
    pub fn close(mut self) -> Vec<String> {
        self.order("close");
        let last = self.lines.by_ref().map(|line| line.expect("text")).collect();
        assert!(self.process.wait().expect("it ends").success());
        last
    }
}

impl Drop for Child {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn window(folder: &Path, chat: u64, name: &str) -> Child {
    Child::start(Command::new(env!("CARGO_BIN_EXE_history_writer")), folder, chat, name)
}

fn turns(name: &str, ids: std::ops::Range<u64>) -> String {
    ids.map(|id| format!(" {name}{id}")).collect()
}

#[test]
fn two_windows_write_at_once() {
    let (_guard, folder) = temporary();
    let first = Window::open(&folder);
    first.store.record(Record::Begin { chat: 9, created_ms: 1 });
    (0..2).for_each(|id| first.say(9, id));
    first.close_quietly();

    // Two conversations of their own, and one that both go on with.
    let mut windows =
        [(10, "one"), (11, "two"), (9, "three"), (9, "four")].map(|(chat, name)| window(&folder, chat, name));
    for _ in 0..10 {
        windows.iter_mut().for_each(|window| window.order("say 6"));
    }
    for window in windows {
        assert_eq!(window.close(), ["kept true"]);
    }
    let shown = outline(&folder);
    assert_eq!(shown.len(), 4, "{shown:?}");
    let count = |end: String| shown.iter().filter(|chat| chat.ends_with(&end)).count();
    for name in ["one", "two"] {
        assert_eq!(count(format!(":{}", turns(name, 0..60))), 1, "{shown:?}");
    }
    for name in ["three", "four"] {
        assert_eq!(count(format!(":{}{}", turns("window", 0..2), turns(name, 2..62))), 1, "{shown:?}");
    }
}

/// The journal is shortened only where nobody else could lose by it, and windows that start together agree who does it.
#[test]
fn windows_that_start_together() {
    let (_guard, folder) = temporary();
    for round in 0..6 {
        let long = Window::open(&folder);
        long.store.record(Record::Begin { chat: 100 + round, created_ms: 1 });
        (0..200).for_each(|_| long.say(100 + round, 0));
        long.store.record(Record::Delete { chat: 100 + round });
        long.close_quietly();
        let command = || Command::new(env!("CARGO_BIN_EXE_history_writer"));
        let mut windows = [(2 * round, "left"), (2 * round + 1, "right")]
            .map(|(chat, name)| Child::begin(command(), &folder, chat, name));
        for window in &mut windows {
            window.order("say 5");
        }
        for window in windows {
            assert_eq!(window.close(), ["history", "kept true"]);
        }
    }
    let mut shown = outline(&folder);
    shown.sort_by_key(|chat| chat.split(' ').next().and_then(|id| id.parse::<u64>().ok()));
    let expected: Vec<String> =
        (0..12).map(|chat| format!("{chat} :{}", turns(["left", "right"][chat % 2], 0..5))).collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_second_window_leaves_the_journal_long() {
    let (_guard, folder) = temporary();
    let first = Window::open(&folder);
    first.say(5, 0);
    first.store.record(Record::Delete { chat: 5 });
    first.close_quietly();
    let first = window(&folder, 6, "first");
    let long = || std::fs::read_to_string(folder.join("history.jsonl")).expect("is there");
    // The first window was alone, and has tidied up.
    assert_eq!(long(), "");
    let other = Window::open(&folder);
    other.say(7, 0);
    other.store.record(Record::Delete { chat: 7 });
    other.close_quietly();
    Window::open(&folder).close_quietly();
    assert!(long().contains("\"delete\""));
    assert_eq!(first.close(), ["kept true"]);
    Window::open(&folder).close_quietly();
    assert_eq!(long(), "");
}
