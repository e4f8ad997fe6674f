//! Files that are whole, whatever happens while they are written: appended to by lines, or written aside and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::chat::WriterId;

/// What a file's name begins with while it is written.
const ASIDE: &str = ".writing-";

/// A line may be cut short by a full disk; how often it is begun again before that is believed.
const TRIES: usize = 3;

/// Why something was not read or written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The user has no folder.
    Nowhere,
    /// A file or folder does not let itself be read or written.
    Io { path: PathBuf, source: io::Error },
}

fn trouble(path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    let path = path.to_path_buf();
    |source| Trouble::Io { path, source }
}

/// Makes a folder and those above it. Conversations are nobody else's to read.
pub(super) fn make_folder(path: &Path) -> Result<(), Trouble> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(trouble(path))
}

/// A file's bytes; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Trouble> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(trouble(path)(error)),
    }
}

/// Writes a file aside, brings it to the disk, and only then gives it its name.
pub(super) fn write_whole(path: &Path, bytes: &[u8], by: WriterId) -> Result<(), Trouble> {
    let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default().to_string_lossy());
    // Two windows may write the same file.
    let aside = folder.join(format!("{ASIDE}{name}-{by}"));
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        sync_folder(folder)
    };
    write().map_err(|error| {
        // A full disk gets its space back; the error that matters is the first.
        let _ = fs::remove_file(&aside);
        trouble(path)(error)
    })
}

/// Writes a file that is named by its content, and its folder, unless it is there.
pub(super) fn write_once(path: &Path, bytes: &[u8], by: WriterId) -> Result<(), Trouble> {
    if fs::metadata(path).is_ok_and(|there| there.len() == bytes.len() as u64) {
        return Ok(());
    }
    make_folder(path.parent().unwrap_or(path))?;
    write_whole(path, bytes, by)
}

/// Cuts a file.
pub(super) fn cut(path: &Path, length: u64) -> Result<(), Trouble> {
    let cut = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    };
    cut().map_err(trouble(path))
}

/// The names in a folder; none where there is no folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, Trouble> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(trouble(folder))?,
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    entries.map(|entry| name(entry).map_err(trouble(folder))).collect()
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<(), Trouble> {
    fs::remove_file(path).map_err(trouble(path))
}

/// Removes what was being written when somebody was stopped. For a window that is alone.
pub(super) fn sweep(folder: &Path) -> Result<(), Trouble> {
    let mut left = names(folder)?.into_iter().filter(|name| name.starts_with(ASIDE));
    left.try_for_each(|name| remove(&folder.join(name)))
}

/// A file of lines, open to append to.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Its last line has no end, and the next must not be taken for its rest.
    torn: bool,
}

impl Journal {
    /// Opens it, or makes it. Its folder is there.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let open = || -> io::Result<(File, bool)> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            if file.metadata()?.len() == 0 {
                sync_folder(path.parent().unwrap_or(path))?;
                return Ok((file, false));
            }
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            Ok((file, last != *b"\n"))
        };
        let (file, torn) = open().map_err(trouble(path))?;
        Ok(Self { path: path.to_path_buf(), file, torn })
    }

    /// Appends a line, with its end and in one write, so that the lines of two windows do not mix.
    pub fn append(&mut self, line: &[u8]) -> Result<(), Trouble> {
        let mut error = io::Error::from(io::ErrorKind::WriteZero);
        for _ in 0..TRIES {
            let start: &[u8] = if self.torn { b"\n" } else { b"" };
            let bytes = [start, line, b"\n"].concat();
            match self.file.write(&bytes) {
                Ok(length) if length == bytes.len() => {
                    self.torn = false;
                    return Ok(());
                }
                // The rest must not follow another window's line: begun again, which also tells why it was cut short.
                Ok(length) => self.torn |= length > 0,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => {
                    error = why;
                    break;
                }
            }
        }
        Err(trouble(&self.path)(error))
    }

    /// Brings what was appended to the disk.
    pub fn sync(&self) -> Result<(), Trouble> {
        self.file.sync_data().map_err(trouble(&self.path))
    }
}

/// A folder's names are on the disk when the folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
