//! What the desktop keeps, on real disks: conversations and preferences over restarts, kills, full disks, several windows.

mod damage;
mod faults;
mod kills;
mod windows;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_channel::Receiver;
use llava_mole::chat::{ChatId, Conversation, Record, TurnId};
use llava_mole::desktop::store::{Store, kept_preferences};
use llava_mole::language::Language;
use llava_mole::state::{Arrival, Notice, Preferences, Theme};
use mole_tests::history::{STEPS, step_of, turn};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The store of one window, and what it has told.
struct Window {
    store: Store,
    arrivals: Receiver<Arrival>,
    preferences: Preferences,
    chats: Vec<Conversation>,
    notices: Vec<Notice>,
}

impl Window {
    fn open(folder: impl AsRef<Path>) -> Self {
        Self::open_in(Some(folder.as_ref()), Language::English)
    }

    fn open_in(folder: Option<&Path>, language: Language) -> Self {
        let (sender, arrivals) = async_channel::unbounded();
        let store = Store::open(folder.map(Path::to_path_buf), language, sender, || {});
        let Ok(Arrival::Preferences(preferences)) = arrivals.try_recv() else { panic!("no preferences at once") };
        let mut notices = Vec::new();
        let chats = loop {
            match arrivals.recv_blocking().expect("the history comes") {
                Arrival::History(chats) => break chats,
                Arrival::Notice(notice) => notices.push(notice),
                other => panic!("{other:?}"),
            }
        };
        Self { store, arrivals, preferences, chats, notices }
    }

    fn say(&self, chat: ChatId, id: TurnId) {
        self.store.record(Record::Say { chat, turn: turn("window", id, STEPS - 1) });
    }

    /// Waits until so many notices have come.
    fn wait_for_notices(&mut self, count: usize) {
        let start = Instant::now();
        while self.notices.len() < count {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.notices);
            std::thread::sleep(Duration::from_millis(5));
            self.take_notices();
        }
    }

    fn take_notices(&mut self) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            let Arrival::Notice(notice) = arrival else { panic!("{arrival:?}") };
            self.notices.push(notice);
        }
    }

    /// Closes it: whether all is kept, and all it told.
    fn close(self) -> (bool, Vec<Notice>) {
        let Self { store, arrivals, mut notices, .. } = self;
        let kept = store.close();
        let rest = std::iter::from_fn(|| arrivals.try_recv().ok()).map(|arrival| match arrival {
            Arrival::Notice(notice) => notice,
            other => panic!("{other:?}"),
        });
        notices.extend(rest);
        (kept, notices)
    }

    /// Closes it, with everything kept and nothing told.
    fn close_quietly(self) {
        let (kept, notices) = self.close();
        assert!(kept);
        assert_eq!(notices, []);
    }
}

/// What a window that opens now shows: `id title: first word of each turn`, all of them whole.
fn outline(folder: &Path) -> Vec<String> {
    let window = Window::open(folder);
    let line = |chat: &Conversation| {
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_string();
        let turns: Vec<String> = chat.turns.iter().map(|turn| format!("{}{}", first(&turn.text), turn.id)).collect();
        for turn in &chat.turns {
            assert_eq!(step_of(&first(&turn.text), turn), Some(STEPS - 1), "{turn:?}");
        }
        format!("{} {}: {}", chat.id, chat.title, turns.join(" "))
    };
    let lines = window.chats.iter().map(line).collect();
    window.close_quietly();
    lines
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data");
    (folder, path)
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn conversations_and_preferences_outlive_the_window() {
    let (_guard, folder) = temporary();
    assert_eq!(kept_preferences(Some(&folder)), Preferences::default());
    let window = Window::open(&folder);
    assert!(window.chats.is_empty());
    assert_eq!(window.preferences, Preferences::default());
    window.store.record(Record::Begin { chat: 5, created_ms: 1000 });
    for id in 0..4 {
        window.say(5, id);
    }
    // The same pictures again.
    window.store.record(Record::Begin { chat: 6, created_ms: 2000 });
    window.say(6, 0);
    window.store.record(Record::Rename { chat: 6, title: "标题".into() });
    let preferences = Preferences { theme: Theme::Dark, language: Some(Language::Chinese), ..Preferences::default() };
    window.store.remember(Preferences::default());
    window.store.remember(preferences.clone());
    window.close_quietly();

    assert_eq!(outline(&folder), ["5 : window0 window1 window2 window3", "6 标题: window0"]);
    assert_eq!(kept_preferences(Some(&folder)), preferences);
    let window = Window::open(&folder);
    assert_eq!(window.preferences, preferences);
    assert_eq!(window.chats[1].created_ms, 2000);
    // Dropping it is enough.
    window.say(6, 1);
    drop(window);
    assert_eq!(outline(&folder)[1], "6 标题: window0 window1");
    assert_eq!(names(&folder), ["history.jsonl", "history.lock", "pictures", "preferences.json"]);
    assert_eq!(names(&folder.join("pictures")).len(), 2, "turns 0 and 3 have one each");
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_a_conversation() {
    use std::os::unix::fs::PermissionsExt;
    let (_guard, folder) = temporary();
    Window::open(&folder).close_quietly();
    assert_eq!(std::fs::metadata(&folder).expect("made").permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_window_without_anything_to_say_writes_no_history() {
    let (_guard, folder) = temporary();
    Window::open(&folder).close_quietly();
    assert_eq!(names(&folder), ["history.lock"]);
}
