//! A window without a window, for the tests of the history: one that can be killed, or run beside another.
//!
//! The folder is the app's, so `MOLE_DATA_DIR` names it. `history_writer grow CHAT` opens the store, lets a few turns grow,
//! closes it, says how many turns are kept, and does so again until it is killed. `history_writer obey CHAT NAME` says
//! what arrives (`history`, `notice ..`), and does what it reads: `say N` more turns, `close`, upon which it says `kept
//! true` or `kept false`.

use async_channel::Receiver;
use llava_mole::chat::{ChatId, Conversation, Record};
use llava_mole::desktop::store::{Store, data_folder};
use llava_mole::language::Language;
use llava_mole::state::Arrival;
use mole_tests::history::{STEPS, turn};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, chat, rest @ ..] = arguments.as_slice() else { panic!("MODE CHAT [NAME]") };
    let chat: ChatId = chat.parse().expect("a number");
    match (mode.as_str(), rest) {
        ("grow", []) => grow(chat),
        ("obey", [name]) => obey(chat, name),
        other => panic!("unknown: {other:?}"),
    }
}

fn open() -> (Store, Receiver<Arrival>) {
    let (sender, arrivals) = async_channel::unbounded();
    (Store::open(data_folder(), Language::English, sender, || {}), arrivals)
}

fn grow(chat: ChatId) {
    for round in 0.. {
        let (store, _) = open();
        if round == 0 {
            store.record(Record::Begin { chat, created_ms: chat });
        }
        for id in round * 4..round * 4 + 4 {
            for step in 0..STEPS {
                store.record(Record::Say { chat, turn: turn(&chat.to_string(), id, step) });
            }
        }
        if store.close() {
            println!("{}", round * 4 + 4);
        }
    }
}

fn obey(chat: ChatId, name: &str) {
    let (store, arrivals) = open();
    let mut next = loop {
        if let Arrival::History(chats) = arrivals.recv_blocking().expect("it comes") {
            break chats.iter().find(|found| found.id == chat).map_or(0, Conversation::next_turn_id);
        }
    };
    println!("history");
    std::thread::spawn(move || {
        while let Ok(arrival) = arrivals.recv_blocking() {
            if let Arrival::Notice(notice) = arrival {
                println!("notice {}", notice.text);
            }
        }
    });
    for command in std::io::stdin().lines() {
        match command.expect("text").split_once(' ') {
            Some(("say", count)) => {
                for _ in 0..count.parse().expect("a number") {
                    store.record(Record::Say { chat, turn: turn(name, next, STEPS - 1) });
                    next += 1;
                }
            }
            _ => break,
        }
    }
    println!("kept {}", store.close());
}
