//! The lock that windows share, and that one alone may have to itself.

use std::fs::{File, OpenOptions};
use std::path::Path;

const LOCK: &str = "history.lock";

/// An open lock. Nothing is locked where the file system has no locks: then nobody ever believes to be alone.
pub(super) struct Lock(File);

impl Lock {
    /// Opens it, or makes it; none where that is not possible.
    pub fn open(folder: &Path) -> Option<Self> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(LOCK)).ok().map(Self)
    }

    /// Takes it alone, if nobody has it.
    pub fn try_alone(&self) -> bool {
        self.0.try_lock().is_ok()
    }

    /// Takes it with others, instead of alone. Waits while somebody has it alone: for as long as another window, which
    /// has just started too, puts the journal in order.
    pub fn share(&self) {
        let _ = self.0.unlock();
        let _ = self.0.lock_shared();
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a process that is being started holds a copy of it for a moment.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
