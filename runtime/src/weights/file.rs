//! One file of a checkpoint, read by position.
//!
//! On disk or in memory alike. By position because a checkpoint is larger than memory and its tensors are read one at
//! a time; a file that got shorter meanwhile is an error.

use super::streamed::StreamedFile;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The files of a checkpoint that is in memory, by name: fetched by a page, or part of the program.
pub type MemoryFiles = BTreeMap<String, Cow<'static, [u8]>>;

/// The files of a checkpoint that are read piece by piece, by name.
pub type StreamedFiles = BTreeMap<String, StreamedFile>;

/// An open file of a checkpoint.
#[derive(Debug)]
pub struct ModelFile {
    name: String,
    path: PathBuf,
    len: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    #[cfg(not(target_arch = "wasm32"))]
    Disk(std::fs::File),
    /// The file of this name among these; shared, so that opening one copies nothing.
    Memory(Arc<MemoryFiles>),
    /// Likewise, for files that are read piece by piece.
    Streamed(Arc<StreamedFiles>),
}

impl ModelFile {
    /// Opens the file at `real` for reading; `name` and `path` are what the checkpoint and messages call it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn on_disk(name: String, path: PathBuf, real: &std::path::Path) -> Result<Self> {
        let open = || -> io::Result<_> {
            // Asked before opening: opening a named pipe would wait for somebody to write into it.
            if !std::fs::metadata(real)?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            let file = std::fs::File::open(real)?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        match open() {
            Ok((file, len)) => Ok(Self { name, path, len, bytes: Bytes::Disk(file) }),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// The file of this name of a checkpoint in memory, where there is one.
    pub(super) fn in_memory(name: String, path: PathBuf, files: &Arc<MemoryFiles>) -> Option<Self> {
        let len = files.get(&name)?.len() as u64;
        Some(Self { name, path, len, bytes: Bytes::Memory(Arc::clone(files)) })
    }

    /// The file of this name of a checkpoint that is read piece by piece, where there is one.
    pub(super) fn streamed(name: String, path: PathBuf, files: &Arc<StreamedFiles>) -> Option<Self> {
        let len = files.get(&name)?.len();
        Some(Self { name, path, len, bytes: Bytes::Streamed(Arc::clone(files)) })
    }

    /// Makes `len` bytes from `offset` on readable where they have to be waited for; elsewhere they are already.
    ///
    /// # Errors
    /// [`Error::Io`] where they do not come.
    pub(super) async fn fetch(&self, offset: u64, len: u64) -> Result<()> {
        match &self.bytes {
            Bytes::Streamed(files) => files[&self.name].fetch(&self.shown(), offset, len).await,
            _ => Ok(()),
        }
    }

    /// What the checkpoint calls it, e.g. `model-00001-of-00003.safetensors`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read or ends before.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let read = match &self.bytes {
            #[cfg(not(target_arch = "wasm32"))]
            Bytes::Disk(file) => read_exact_at(file, offset, into),
            Bytes::Streamed(files) => files[&self.name].read_at(offset, into),
            Bytes::Memory(files) => copy_at(&files[&self.name], offset, into),
        };
        read.map_err(|source| {
            let source = match source.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(
                    source.kind(),
                    format!("ends before byte {}: it was cut short while open", offset + into.len() as u64),
                ),
                _ => source,
            };
            Error::Io { path: self.path.clone(), source }
        })
    }

    /// How errors call this file: with its folder.
    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

fn copy_at(bytes: &[u8], offset: u64, into: &mut [u8]) -> io::Result<()> {
    let from = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)?.get(..into.len()));
    into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

#[cfg(unix)]
fn read_exact_at(file: &std::fs::File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &std::fs::File, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
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
