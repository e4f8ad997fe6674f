//! What the desktop keeps from start to start: conversations and preferences.
//!
//! In one folder, see [`data_folder`]:
//! - `history.jsonl`: the journal of records, a line each, appended to and synced, and shortened at a start
//! - `pictures/`: what was shown to the model, each once, named by the SHA-256 of its bytes
//! - `preferences.json`: replaced as a whole
//! - `damaged.jsonl`: lines of the journal that could not be read
//! - `history.lock`: every window holds a shared lock on it. Only a window that is alone, with an exclusive one, shortens
//!   or cuts the journal; several append whole lines to it side by side
//!
//! A thread writes, so that no frame waits for a disk. What cannot be written stays in its queue and is tried again; the
//! person is told once, and once more when it is kept.

mod files;
mod lock;
mod preferences;
mod start;
mod told;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use async_channel::Sender;

use self::files::{Journal, Trouble};
use self::lock::Lock;
use crate::chat::{Record, WriterId, keep};
use crate::language::Language;
use crate::state::{Arrival, Preferences};

/// The environment variable that names another folder.
pub const FOLDER_VARIABLE: &str = "MOLE_DATA_DIR";

/// What could not be kept is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// How long a window that closes waits for the last words to be on the disk.
const CLOSING: Duration = Duration::from_secs(3);

/// Where conversations and preferences are kept: what the variable `MOLE_DATA_DIR` says, or else the user's folder for
/// an application's data. On Linux `~/.local/share/llava-mole` (or below `XDG_DATA_HOME`), on macOS
/// `~/Library/Application Support/llava-mole`, on Windows `%LOCALAPPDATA%\llava-mole\data`. None where the user has no
/// home.
pub fn data_folder() -> Option<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(std::path::absolute(&folder).unwrap_or_else(|_| folder.into())),
        None => {
            directories::ProjectDirs::from("", "", "llava-mole").map(|folders| folders.data_local_dir().to_path_buf())
        }
    }
}

/// The preferences that were kept, at once: a window wants them before it opens. The defaults where there are none.
pub fn kept_preferences(folder: Option<&Path>) -> Preferences {
    folder.and_then(|folder| preferences::read(folder).ok()).unwrap_or_default()
}

/// Keeps conversations and preferences. Dropping it waits for the last words, though not for long.
pub struct Store {
    orders: Option<mpsc::Sender<Order>>,
    /// Told at the end of the thread whether everything is kept.
    ended: Receiver<bool>,
}

enum Order {
    Record(Record),
    Remember(Box<Preferences>),
}

impl Store {
    /// Opens the folder, or makes it. `Arrival::Preferences` is sent before this returns, `Arrival::History` as soon as
    /// the journal is read, `Arrival::Notice` where something is wrong; `wake` is called after each. Without a folder
    /// nothing is kept, which is said.
    pub fn open(
        folder: Option<PathBuf>,
        system_language: Language,
        arrivals: Sender<Arrival>,
        wake: impl Fn() + Send + 'static,
    ) -> Self {
        let (orders, inbox) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let (preferences, notice) = preferences::open(folder.as_deref(), system_language);
        let language = preferences.language.unwrap_or(system_language);
        let first = [Some(Arrival::Preferences(preferences)), notice.map(Arrival::Notice)];
        for arrival in first.into_iter().flatten() {
            let _ = arrivals.try_send(arrival);
        }
        wake();
        let mut keeper = Keeper {
            folder,
            language,
            system_language,
            arrivals: arrivals.clone(),
            wake: Box::new(wake),
            by: writer(),
            lock: None,
            records: VecDeque::new(),
            preferences: None,
            troubled: false,
        };
        let spawned = std::thread::Builder::new().name("history".to_string()).spawn(move || {
            keeper.start();
            // By now its lock is released: who waits for the end may start the next.
            let _ = end.send(keeper.run(&inbox));
        });
        if let Err(error) = spawned {
            let _ = arrivals.try_send(Arrival::History(Vec::new()));
            let _ = arrivals.try_send(Arrival::Notice(told::no_thread(language, &error)));
        }
        Self { orders: Some(orders), ended }
    }

    /// Keeps a record.
    pub fn record(&self, record: Record) {
        self.order(Order::Record(record));
    }

    /// Keeps the preferences.
    pub fn remember(&self, preferences: Preferences) {
        self.order(Order::Remember(Box::new(preferences)));
    }

    /// Waits until everything is on the disk, 3 seconds at most. Whether it is.
    pub fn close(mut self) -> bool {
        self.finish()
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Where the thread is gone, that was said.
            let _ = orders.send(order);
        }
    }

    fn finish(&mut self) -> bool {
        self.orders.take().is_some() && self.ended.recv_timeout(CLOSING).unwrap_or(false)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A name for this window among all that write to the journal.
fn writer() -> WriterId {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) & ((1 << 53) - 1)
}

/// The thread's side.
struct Keeper {
    folder: Option<PathBuf>,
    language: Language,
    system_language: Language,
    arrivals: Sender<Arrival>,
    wake: Box<dyn Fn() + Send>,
    by: WriterId,
    /// The shared lock, as long as the window is open.
    lock: Option<Lock>,
    /// Not kept yet, oldest first.
    records: VecDeque<Record>,
    preferences: Option<Box<Preferences>>,
    /// Something could not be read or kept, and was told.
    troubled: bool,
}

impl Keeper {
    /// Reads what is there.
    fn start(&mut self) {
        let started = self.folder.as_deref().ok_or(Trouble::Nowhere).and_then(|folder| start::start(folder, self.by));
        match started {
            Ok(start) => {
                self.lock = start.lock;
                self.send(Arrival::History(start.conversations));
                for notice in told::findings(self.language, self.folder.as_deref(), &start.found) {
                    self.send(Arrival::Notice(notice));
                }
            }
            Err(trouble) => {
                self.send(Arrival::History(Vec::new()));
                self.send(Arrival::Notice(told::unread(self.language, &trouble)));
                self.troubled = true;
            }
        }
    }

    /// Keeps what comes, until the window closes; whether everything is kept.
    fn run(mut self, orders: &Receiver<Order>) -> bool {
        loop {
            let next = match self.is_clean() {
                true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => orders.recv_timeout(RETRY),
            };
            let closing = matches!(next, Err(RecvTimeoutError::Disconnected));
            for order in next.into_iter().chain(orders.try_iter()) {
                match order {
                    Order::Record(record) => self.records.push_back(record),
                    Order::Remember(preferences) => {
                        self.language = preferences.language.unwrap_or(self.system_language);
                        self.preferences = Some(preferences);
                    }
                }
            }
            self.save();
            if closing {
                return self.is_clean();
            }
        }
    }

    fn is_clean(&self) -> bool {
        self.records.is_empty() && self.preferences.is_none()
    }

    fn save(&mut self) {
        if self.is_clean() {
            return;
        }
        // One may work where the other does not.
        let (records, preferences) = (self.save_records(), self.save_preferences());
        match records.and(preferences) {
            Err(trouble) if !self.troubled => {
                self.troubled = true;
                self.send(Arrival::Notice(told::unsaved(self.language, &trouble)));
            }
            Ok(()) if self.troubled => {
                self.troubled = false;
                self.send(Arrival::Notice(told::saved_again(self.language)));
            }
            _ => {}
        }
    }

    /// Appends the records, syncs once, and forgets those that are on the disk. A record that may have been written
    /// already is written again: twice the same amounts to the same.
    fn save_records(&mut self) -> Result<(), Trouble> {
        if self.records.is_empty() {
            return Ok(());
        }
        let folder = self.folder.as_deref().ok_or(Trouble::Nowhere)?;
        files::make_folder(folder)?;
        if self.lock.is_none() {
            self.lock = Lock::open(folder).inspect(Lock::share);
        }
        // Opened anew each time: the folder may have been moved away, or have come back.
        let mut journal = Journal::open(&folder.join(start::HISTORY))?;
        let mut written = 0;
        let mut append = || -> Result<(), Trouble> {
            for record in &self.records {
                let kept = keep(record, self.by);
                for (hash, bytes) in &kept.pictures {
                    files::write_once(&folder.join(start::PICTURES).join(hash.as_str()), bytes, self.by)?;
                }
                journal.append(kept.line.as_bytes())?;
                written += 1;
            }
            Ok(())
        };
        let appended = append();
        if written > 0 {
            journal.sync()?;
            self.records.drain(..written);
        }
        appended
    }

    fn save_preferences(&mut self) -> Result<(), Trouble> {
        if let Some(preferences) = &self.preferences {
            let folder = self.folder.as_deref().ok_or(Trouble::Nowhere)?;
            files::make_folder(folder)?;
            preferences::write(folder, preferences, self.by)?;
            self.preferences = None;
        }
        Ok(())
    }

    fn send(&self, arrival: Arrival) {
        // A window that is gone needs to know nothing.
        let _ = self.arrivals.send_blocking(arrival);
        (self.wake)();
    }
}
