//! `kill -9` at any moment: what is there is the beginning of what was written, and nothing that was kept is lost.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use llava_mole::chat::{Conversation, Replay};
use llava_mole::desktop::store::FOLDER_VARIABLE;
use mole_tests::history::{STEPS, step_of};

use crate::{Window, names, temporary};

const KILLS: u64 = 30;

/// How many turns of each conversation are there, by its id. Reads as the app does, and changes nothing.
fn turns(folder: &Path) -> Vec<(u64, u64)> {
    let bytes = fs::read(folder.join("history.jsonl")).unwrap_or_default();
    let (whole, end) = bytes.split_at(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    let mut replay = Replay::default();
    whole.split(|byte| *byte == b'\n').for_each(|line| replay.line(line));
    replay.end(end);
    assert_eq!(replay.damaged(), [b""; 0], "a line in the middle is damaged");
    let picture = |name: &str| fs::read(folder.join("pictures").join(name)).ok().map(Arc::from);
    let (chats, gone) = replay.conversations(|hash| picture(hash.as_str()));
    assert_eq!(gone, 0, "a line names a picture that was not written yet");
    let count = |chat: &Conversation| {
        for (turn, id) in chat.turns.iter().zip(0..) {
            assert_eq!(turn.id, id);
            let step = step_of(&chat.id.to_string(), turn).expect("as it was said");
            assert!(step == STEPS - 1 || id + 1 == chat.turns.len() as u64, "only the last turn may be growing");
        }
        assert_eq!(chat.created_ms, chat.id, "the beginning is there");
        (chat.id, chat.turns.len() as u64)
    };
    chats.iter().map(count).collect()
}

/// A file that was being written is there.
fn left_aside(folder: &Path) -> bool {
    let all = [folder.to_path_buf(), folder.join("pictures")].map(|folder| names(&folder));
    all.iter().flatten().any(|name| name.starts_with(".writing-"))
}

#[test]
fn killed_thirty_times() {
    let (_guard, folder) = temporary();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut before = Vec::new();
    let (mut in_a_line, mut in_a_file) = (0, 0);
    for chat in 1..=KILLS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_history_writer"));
        command.arg("grow").arg(chat.to_string()).env(FOLDER_VARIABLE, &folder).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut kept: u64 = 0;
        for _ in 0..1 + next(3) {
            kept = lines.next().expect("it is not killed yet").expect("text").parse().expect("a number");
        }
        // At any moment, or as soon as a file is being written aside.
        if chat % 2 == 0 {
            std::thread::sleep(Duration::from_micros(next(20_000)));
        } else {
            let mut tries = 0;
            while !left_aside(&folder) && tries < 1000 {
                tries += 1;
            }
        }
        process.kill().expect("it runs");
        process.wait().expect("it ends");
        // What it said before it died.
        let said = lines.last().map_or(kept, |line| line.expect("text").parse().expect("a number"));

        in_a_line += u64::from(fs::read(folder.join("history.jsonl")).expect("is there").last() != Some(&b'\n'));
        in_a_file += u64::from(left_aside(&folder));
        let now = turns(&folder);
        assert_eq!(now[..before.len()], before, "what was there before");
        let (id, count) = *now.last().expect("its own conversation");
        assert!(id == chat && count >= said && count <= said + 4, "{count} turns of {chat}, and {said} were kept");
        before = now;
        if chat % 5 == 0 {
            let window = Window::open(&folder);
            assert_eq!(window.chats.len(), before.len());
            window.close_quietly();
            assert_eq!(turns(&folder), before);
            assert!(!left_aside(&folder), "leftovers are swept away");
        }
    }
    eprintln!("{in_a_line} of {KILLS} kills fell into the writing of a line, {in_a_file} into that of a file");
}
