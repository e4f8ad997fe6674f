//! Watching a run: a thread that reads its folder when it is asked to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::curves::Curves;
use super::landmarks::Landmarks;
use super::tail::{Found, Piece, Tail};

/// While a long file is read for the first time, what was read so far is shown this often.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// What is known of a run at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How reading goes.
    pub reading: Reading,
    /// What was read.
    pub curves: Curves,
    /// What else the folder tells.
    pub landmarks: Landmarks,
}

/// How reading goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The folder is not there, or is none.
    NoFolder,
    /// The folder is there, and no metrics are in it yet.
    NoMetrics,
    /// A part was read.
    Partly {
        /// Bytes so far.
        read: u64,
        /// Bytes in all.
        of: u64,
    },
    /// All was read that is there.
    UpToDate,
    /// The system says why not.
    Failed(String),
}

/// A run that is watched. When this goes, so does the thread, as soon as the system lets it.
#[derive(Debug)]
pub struct Watch {
    folder: PathBuf,
    requests: SyncSender<()>,
    news: Receiver<Arc<Snapshot>>,
}

impl Watch {
    /// Watches a run's folder. Nothing is read before [`Watch::ask`]; `wake` is called, on another thread, when there is
    /// news.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(folder: PathBuf, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (requests, asked) = sync_channel(1);
        // Nobody takes news for a panel that is closed; then the thread waits, here or for the next request.
        let (tell, news) = sync_channel(1);
        let mut reader = Reader::new(folder.clone());
        let run = move || {
            while let Ok(()) = asked.recv() {
                loop {
                    let snapshot = reader.advance();
                    let done = !matches!(snapshot.reading, Reading::Partly { .. });
                    if tell.send(Arc::new(snapshot)).is_err() {
                        return;
                    }
                    wake();
                    if done {
                        break;
                    }
                }
            }
        };
        std::thread::Builder::new().name("training run".to_owned()).spawn(run)?;
        Ok(Self { folder, requests, news })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Asks for what is new; without effect where that was asked already.
    pub fn ask(&self) {
        match self.requests.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => {}
            // It ended by a fault of ours, and said so on its way.
            Err(TrySendError::Disconnected(())) => log::error!("the thread that reads a training run is gone"),
        }
    }

    /// The newest of what came since the last time. Does not wait.
    pub fn news(&self) -> Option<Arc<Snapshot>> {
        self.news.try_iter().last()
    }
}

/// The thread's own.
struct Reader {
    folder: PathBuf,
    tail: Tail,
    curves: Curves,
    landmarks: Landmarks,
}

impl Reader {
    fn new(folder: PathBuf) -> Self {
        let tail = Tail::new(folder.join("metrics.jsonl"));
        Self { folder, tail, curves: Curves::default(), landmarks: Landmarks::default() }
    }

    /// Reads on, for half a second at most.
    fn advance(&mut self) -> Snapshot {
        let reading = self.read().unwrap_or_else(|error| Reading::Failed(error.to_string()));
        Snapshot { reading, curves: self.curves.clone(), landmarks: self.landmarks.clone() }
    }

    fn read(&mut self) -> io::Result<Reading> {
        let started = Instant::now();
        match self.landmarks.look(&self.folder) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // What was read stays: it may be a drive that comes back.
                return Ok(Reading::NoFolder);
            }
            Err(error) => return Err(error),
        }
        loop {
            let curves = &mut self.curves;
            let found = self.tail.advance(|piece| match piece {
                Piece::Line(line) => curves.add(line),
                Piece::TooLong => curves.add_bad_line(),
            })?;
            match found {
                Found::Missing => return Ok(Reading::NoMetrics),
                Found::Rewritten => self.curves = Curves::default(),
                Found::Read { more: false, .. } => return Ok(Reading::UpToDate),
                Found::Read { offset, len, more: true } if started.elapsed() >= SHOW_EVERY => {
                    return Ok(Reading::Partly { read: offset, of: len });
                }
                Found::Read { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc::RecvTimeoutError;

    /// Asks, and waits for the answer.
    fn next(watch: &Watch) -> Arc<Snapshot> {
        watch.ask();
        watch.news.recv_timeout(Duration::from_secs(60)).expect("an answer")
    }

    #[test]
    fn a_run_that_begins_grows_and_is_resumed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        let metrics = folder.join("metrics.jsonl");
        let (wake, woken) = sync_channel(16);
        let watch = Watch::start(folder.clone(), move || wake.send(()).expect("the test listens")).unwrap();
        assert!(watch.news().is_none(), "nothing is read unasked");
        assert_eq!(next(&watch).reading, Reading::NoFolder);
        fs::create_dir(&folder).unwrap();
        assert_eq!(next(&watch).reading, Reading::NoMetrics);
        fs::write(&metrics, "{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":1.0}\n{\"st").unwrap();
        let snapshot = next(&watch);
        assert_eq!((&snapshot.reading, snapshot.curves.step, snapshot.curves.bad_lines), (&Reading::UpToDate, 2, 0));
        // Resumed from step 1, and further than before when we look.
        fs::write(&metrics, "{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":9.0}\n{\"step\":3,\"loss\":8.0}\n")
            .unwrap();
        assert_eq!(next(&watch).curves.loss.points(), [(1, 2.0), (2, 9.0), (3, 8.0)]);
        fs::remove_dir_all(&folder).unwrap();
        let snapshot = next(&watch);
        assert_eq!((&snapshot.reading, snapshot.curves.step), (&Reading::NoFolder, 3));
        fs::create_dir(&folder).unwrap();
        let snapshot = next(&watch);
        assert_eq!((&snapshot.reading, snapshot.curves.step), (&Reading::NoMetrics, 0), "another run's folder");
        assert_eq!(woken.iter().take(6).count(), 6);
    }

    #[test]
    fn what_is_no_run_is_said() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(next(&Watch::start(file, || {}).unwrap()).reading, Reading::NoFolder);
        fs::create_dir(root.path().join("metrics.jsonl")).unwrap();
        let snapshot = next(&Watch::start(root.path().to_path_buf(), || {}).unwrap());
        assert!(matches!(snapshot.reading, Reading::Failed(_)), "{:?}", snapshot.reading);
    }

    #[test]
    fn the_thread_ends_with_its_watch() {
        let (alive, ended) = sync_channel::<()>(0);
        let watch = Watch::start(PathBuf::from("nowhere"), move || alive.try_send(()).unwrap_or(())).unwrap();
        drop(watch);
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }
}
