//! The file of a dataset, read by position.
//!
//! By position because it may be larger than memory and several threads read it at once. A page has no files: there
//! opening one is an error.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// An open data file.
#[derive(Debug)]
pub(super) struct DataFile {
    path: PathBuf,
    file: File,
}

impl DataFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// The file from its beginning.
    pub(super) fn reader(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `into` with the bytes from `offset` on.
    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, offset, into).map_err(|source| {
            let source = match source.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(
                    source.kind(),
                    format!("ends before byte {}: it was cut short while open", offset + into.len() as u64),
                ),
                _ => source,
            };
            self.error(source)
        })
    }

    /// An error of the system about this file.
    pub(super) fn error(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

/// Opens a file that is neither a folder nor a pipe.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    // Asked before opening: opening a named pipe would wait for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file: name the file itself"));
    }
    File::open(path)
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, into, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                into = &mut into[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_exact_at(_file: &File, _offset: u64, _into: &mut [u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
