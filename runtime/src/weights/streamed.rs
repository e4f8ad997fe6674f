//! A file that can only be read by asking and waiting: a file of the user's in a page.
//!
//! Its beginning is there from the start, as far as a safetensors header goes; a tensor is fetched whole before it is
//! read, and forgotten when the next one is.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;

use crate::error::{Error, Result};

/// Bytes from an offset on, some time later.
#[cfg(not(target_arch = "wasm32"))]
pub type Piece = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + Send>>;
/// Bytes from an offset on, some time later.
#[cfg(target_arch = "wasm32")]
pub type Piece = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>>>>;

/// Asks for `(offset, length)` of a file.
#[cfg(not(target_arch = "wasm32"))]
pub type ReadPiece = Box<dyn Fn(u64, usize) -> Piece + Send + Sync>;
/// Asks for `(offset, length)` of a file.
#[cfg(target_arch = "wasm32")]
pub type ReadPiece = Box<dyn Fn(u64, usize) -> Piece>;

/// The format's own limit on a header, in bytes, and the 8 that say its length.
const MAX_HEAD: u64 = 100_000_008;
/// A file up to this size is read whole at once: configs, tokenizers.
const WHOLE: u64 = 64 << 20;
/// The bytes that say how long a safetensors header is.
const LENGTH_BYTES: usize = 8;

/// A file that is read piece by piece.
pub struct StreamedFile {
    len: u64,
    /// The first bytes: a safetensors file's header, or all of a small file.
    head: Vec<u8>,
    read: ReadPiece,
    /// The piece that was fetched last, and where it begins.
    fetched: Mutex<(u64, Vec<u8>)>,
}

impl StreamedFile {
    /// Reads the beginning of a file of `len` bytes: the header where `name` ends in `.safetensors`, else all of it. A
    /// large file of another kind is not read: nothing here opens one.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read.
    pub async fn open(name: &str, len: u64, read: ReadPiece) -> Result<Self> {
        let wanted = match name.ends_with(".safetensors") {
            false if len > WHOLE => 0,
            false => len,
            true => {
                let length = piece(name, &read, 0, LENGTH_BYTES.min(len as usize)).await?;
                let header = length.try_into().map_or(0, u64::from_le_bytes);
                // What is absurd is refused by the header's own check, which finds the file to be as long as it says.
                header.saturating_add(LENGTH_BYTES as u64).min(len).min(MAX_HEAD)
            }
        };
        let head = piece(name, &read, 0, wanted as usize).await?;
        Ok(Self { len, head, read, fetched: Mutex::default() })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Makes `len` bytes from `offset` on readable, in the place of those fetched before.
    pub(super) async fn fetch(&self, name: &str, offset: u64, len: u64) -> Result<()> {
        if offset + len <= self.head.len() as u64 {
            return Ok(());
        }
        // The one before is freed first: two large tensors may be more than a page has.
        *self.lock() = Default::default();
        let bytes = piece(name, &self.read, offset, len as usize).await?;
        *self.lock() = (offset, bytes);
        Ok(())
    }

    /// Fills `into` with bytes that are in the head or were fetched.
    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if offset + into.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let fetched = self.lock();
        for (start, bytes) in [(0, &self.head), (fetched.0, &fetched.1)] {
            let from = offset.checked_sub(start).and_then(|from| usize::try_from(from).ok());
            if let Some(found) = from.and_then(|from| bytes.get(from..)?.get(..into.len())) {
                into.copy_from_slice(found);
                return Ok(());
            }
        }
        Err(io::Error::other("was not fetched before it was read"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, Vec<u8>)> {
        self.fetched.lock().expect("nothing panics while it is held")
    }
}

impl fmt::Debug for StreamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamedFile({} bytes)", self.len)
    }
}

async fn piece(name: &str, read: &ReadPiece, offset: u64, len: usize) -> Result<Vec<u8>> {
    let error = |source| Error::Io { path: name.into(), source };
    let bytes = read(offset, len).await.map_err(error)?;
    match bytes.len() == len {
        true => Ok(bytes),
        false => Err(error(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{} of {len} bytes came: the file was changed; choose the folder again", bytes.len()),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A reader over bytes that counts what is asked for.
    fn reader(bytes: Vec<u8>, asked: &Arc<AtomicUsize>) -> ReadPiece {
        let asked = Arc::clone(asked);
        Box::new(move |offset, len| {
            asked.fetch_add(len, Ordering::Relaxed);
            let start = (offset as usize).min(bytes.len());
            let end = (start + len).min(bytes.len());
            let piece = bytes[start..end].to_vec();
            Box::pin(async move { Ok(piece) })
        })
    }

    #[test]
    fn of_a_checkpoint_only_the_header_and_what_is_fetched_are_read() {
        let header = br#"{"a":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        let start = bytes.len() as u64;
        bytes.extend((0..1000).map(|i| (i % 251) as u8));
        let (asked, len) = (Arc::new(AtomicUsize::new(0)), bytes.len() as u64);
        let open = StreamedFile::open("model.safetensors", len, reader(bytes.clone(), &asked));
        let file = pollster::block_on(open).expect("readable");
        assert_eq!(asked.load(Ordering::Relaxed), 8 + start as usize);
        let mut into = [0; 4];
        file.read_at(start - 4, &mut into).expect("in the head");
        assert_eq!(into, bytes[start as usize - 4..][..4]);
        assert!(file.read_at(start + 10, &mut into).expect_err("not fetched").to_string().contains("not fetched"));
        pollster::block_on(file.fetch("model.safetensors", start + 8, 100)).expect("readable");
        file.read_at(start + 10, &mut into).expect("fetched");
        assert_eq!(into, bytes[start as usize + 10..][..4]);
        assert!(file.read_at(start, &mut into).is_err() && file.read_at(start + 106, &mut into).is_err());
        assert_eq!(file.read_at(len - 3, &mut into).expect_err("beyond").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_small_file_is_there_whole_and_a_large_one_not_at_all() {
        let asked = Arc::new(AtomicUsize::new(0));
        let file = pollster::block_on(StreamedFile::open("config.json", 3, reader(b"{ }".to_vec(), &asked)));
        let mut into = [0; 3];
        file.expect("readable").read_at(0, &mut into).expect("in the head");
        assert_eq!(&into, b"{ }");
        let before = asked.load(Ordering::Relaxed);
        pollster::block_on(StreamedFile::open("optimizer.pt", WHOLE + 1, reader(Vec::new(), &asked))).expect("unread");
        assert_eq!(asked.load(Ordering::Relaxed), before);
    }

    #[test]
    fn an_absurd_header_is_left_to_the_header_s_check() {
        let asked = Arc::new(AtomicUsize::new(0));
        let bytes = [u64::MAX.to_le_bytes().to_vec(), vec![7; 50]].concat();
        let file =
            pollster::block_on(StreamedFile::open("m.safetensors", 58, reader(bytes, &asked))).expect("readable");
        assert_eq!(file.head.len(), 58);
        let short = pollster::block_on(StreamedFile::open("m.safetensors", 3, reader(vec![1; 3], &asked)));
        assert_eq!(short.expect("readable").head, [1; 3]);
        let cut = pollster::block_on(StreamedFile::open("config.json", 30, reader(vec![1; 3], &asked)));
        assert!(cut.expect_err("3 of 30 bytes").to_string().contains("3 of 30 bytes came"));
    }
}
