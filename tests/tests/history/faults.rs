//! Disks and folders that do not let themselves be written: the app goes on, says so once, and loses nothing.

use std::fs;
#[cfg(target_os = "linux")]
use std::path::Path;

use llava_mole::chat::Record;
use llava_mole::language::Language;
use llava_mole::state::{Preferences, Severity, Theme};

#[cfg(target_os = "linux")]
use crate::windows::Child;
use crate::{Window, names, outline, temporary};

#[test]
fn what_cannot_be_kept_is_kept_later() {
    let (guard, _) = temporary();
    let file = guard.path().join("file");
    fs::write(&file, "in the way").expect("writes");
    let folder = file.join("data");
    let mut window = Window::open(&folder);
    assert!(window.chats.is_empty());
    window.store.record(Record::Begin { chat: 5, created_ms: 1000 });
    window.say(5, 0);
    window.store.remember(Preferences { theme: Theme::Dark, ..Preferences::default() });
    window.wait_for_notices(1);
    window.say(5, 1);
    std::thread::sleep(std::time::Duration::from_millis(200));
    window.take_notices();
    let [notice] = window.notices.as_slice() else { panic!("{:?}", window.notices) };
    assert_eq!(notice.severity, Severity::Error);
    for words in [folder.to_str().expect("UTF-8"), "MOLE_DATA_DIR"] {
        assert!(notice.text.contains(words), "{}", notice.text);
    }

    fs::remove_file(&file).expect("removes");
    window.say(5, 2);
    window.wait_for_notices(2);
    let (kept, notices) = window.close();
    assert!(kept);
    assert_eq!((notices.len(), notices[1].severity), (2, Severity::Info), "{notices:?}");
    assert_eq!(outline(&folder), ["5 : window0 window1 window2"]);
    let window = Window::open(&folder);
    assert_eq!(window.preferences.theme, Theme::Dark);
    window.close_quietly();
}

#[test]
fn a_user_without_a_folder_is_told() {
    let mut window = Window::open_in(None, Language::Chinese);
    window.wait_for_notices(1);
    window.say(5, 0);
    window.store.remember(Preferences::default());
    let (kept, notices) = window.close();
    assert!(!kept);
    assert!(notices.len() == 1 && notices[0].text.contains("MOLE_DATA_DIR"), "{notices:?}");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_keeps_what_it_has() {
    use std::os::unix::fs::PermissionsExt;
    let (_guard, folder) = temporary();
    let window = Window::open(&folder);
    window.say(5, 0);
    window.close_quietly();
    let files = ["history.jsonl", "pictures", "history.lock", "."];
    let allow = |write: u32| {
        for name in files {
            let path = folder.join(name);
            let mode = if path.is_dir() { 0o555 } else { 0o444 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | write)).expect("ours");
        }
    };
    allow(0);
    if fs::write(folder.join("probe"), "").is_ok() {
        allow(0o200);
        eprintln!("SKIPPED: this user may write anywhere");
        return;
    }
    let mut window = Window::open(&folder);
    assert_eq!(window.chats.len(), 1);
    window.say(5, 1);
    window.wait_for_notices(1);
    window.say(5, 2);
    let (kept, notices) = window.close();
    assert!(!kept);
    assert!(notices.len() == 1 && notices[0].text.contains("could not be saved"), "{notices:?}");
    allow(0o200);
    assert_eq!(outline(&folder), ["5 : window0"]);
}

#[test]
fn any_name_of_a_folder() {
    let (guard, _) = temporary();
    for name in ["数据 и данные", "it's \"quoted\"", "-dash", "e\u{301}\u{202e}", "🦙"] {
        let folder = guard.path().join(name);
        // Not every file system takes every name.
        if fs::create_dir(&folder).is_err() {
            continue;
        }
        let window = Window::open(&folder);
        window.say(5, 0);
        window.close_quietly();
        assert_eq!(outline(&folder), ["5 : window0"]);
    }
    assert!(names(guard.path()).len() > 2, "hardly any name was tried");
}

#[test]
fn very_long_paths() {
    let (guard, _) = temporary();
    // Longer than Windows' 260 characters, and within what macOS takes.
    let mut long = guard.path().join("长");
    (0..5).for_each(|_| long.push("long".repeat(15)));
    let window = Window::open(&long);
    window.say(5, 0);
    window.close_quietly();
    assert_eq!(outline(&long), ["5 : window0"]);
    // Longer than anything takes.
    (0..700).for_each(|_| long.push("long".repeat(15)));
    let window = Window::open(&long);
    window.say(5, 0);
    let (kept, notices) = window.close();
    assert!(!kept);
    assert_eq!((notices.len(), notices[0].severity), (1, Severity::Error), "{notices:?}");
}

/// A window whose files may have 20 KiB: that stands for a full disk. A line is written in part, and then no more.
#[cfg(target_os = "linux")]
fn limited(folder: &Path, name: &str) -> Child {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 40; exec \"$@\"", "sh"]);
    Child::start(command, folder, 5, name)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let (_guard, folder) = temporary();
    let window = Window::open(&folder);
    (0..2).for_each(|id| window.say(4, id));
    window.close_quietly();

    let mut child = limited(&folder, "first");
    child.order("say 60");
    assert!(child.line().starts_with("notice The conversation could not be saved"));
    child.order("say 4");
    // It is over: what was said meanwhile is written too, in order.
    let id = child.id().to_string();
    let made_room = std::process::Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status();
    assert!(made_room.expect("prlimit, of util-linux").success());
    assert!(child.line().starts_with("notice Saving works again"));
    assert_eq!(child.close(), ["kept true"]);
    let turns = |name: &str, count: u64| (0..count).map(|id| format!("{name}{id}")).collect::<Vec<_>>().join(" ");
    let first = format!("5 : {}", turns("first", 64));
    assert_eq!(outline(&folder), ["4 : window0 window1".to_string(), first.clone()]);

    // And one that stays full: what was there is there.
    let mut child = limited(&folder, "second");
    child.order("say 60");
    assert!(child.line().starts_with("notice The conversation could not be saved"));
    child.order("say 4");
    assert_eq!(child.close(), ["kept false"]);
    let shown = outline(&folder);
    assert!(shown[1].starts_with(&first), "{shown:?}");
}

/// No room to shorten the journal: it stays as it was.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_at_the_start() {
    let (_guard, folder) = temporary();
    let window = Window::open(&folder);
    (0..60).for_each(|id| window.say(4, id));
    window.say(6, 0);
    window.store.record(Record::Delete { chat: 6 });
    window.close_quietly();
    let history = || fs::read(folder.join("history.jsonl")).expect("is there");
    let before = history();
    assert_eq!(limited(&folder, "any").close(), ["kept true"]);
    assert!(history() == before, "{} and {} bytes", before.len(), history().len());
    // With room it is done.
    let turns: String = (0..60).map(|id| format!(" window{id}")).collect();
    assert_eq!(outline(&folder), [format!("4 :{turns}")]);
    assert!(history().len() < before.len());
}
