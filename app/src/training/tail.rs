//! A file that somebody else writes, read from where we were.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// So much is read at a time; a line that is longer is given up.
const CHUNK: usize = 1 << 20;

/// So many bytes before our place must still be what they were. They hold the last line or its end, in which times are
/// measured: another run, or the same one again, does not write the same.
const KNOWN: usize = 512;

/// Where we are in a file. It is opened anew each time, so that one which is replaced by another is seen.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    /// Behind the last whole line.
    offset: u64,
    /// What stood before that.
    known: Vec<u8>,
    /// Whether we are in the middle of a line that is too long.
    in_long_line: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no such file.
    Missing,
    /// The file is another than before: what was read of it no longer holds, and the next time it is read from its start.
    Rewritten,
    /// A piece was read.
    Read {
        /// Up to here.
        offset: u64,
        /// Of so many bytes.
        len: u64,
        /// Whether there may be whole lines behind it.
        more: bool,
    },
}

/// A line, or what stands for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Without its end.
    Line(&'a [u8]),
    /// A line too long to be read.
    TooLong,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, known: Vec::new(), in_long_line: false }
    }

    /// Reads the next whole lines, about a mebibyte of them. The last line stays until its end is written.
    pub(super) fn advance(&mut self, mut on_piece: impl FnMut(Piece<'_>)) -> io::Result<Found> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let nothing_lost = self.offset == 0;
                self.start_over();
                return Ok(if nothing_lost { Found::Missing } else { Found::Rewritten });
            }
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        if len < self.offset || !self.is_known(&mut file)? {
            self.start_over();
            return Ok(Found::Rewritten);
        }
        let mut bytes = Vec::new();
        file.take(CHUNK as u64).read_to_end(&mut bytes)?;
        let full = bytes.len() == CHUNK;
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // No end in all of it: it is passed over.
            None if full => {
                if !self.in_long_line {
                    on_piece(Piece::TooLong);
                }
                self.in_long_line = true;
                self.pass(&bytes);
                return Ok(Found::Read { offset: self.offset, len, more: true });
            }
            None => 0,
        };
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            if !std::mem::take(&mut self.in_long_line) {
                on_piece(Piece::Line(line.strip_suffix(b"\n").unwrap_or(line)));
            }
        }
        self.pass(&bytes[..whole]);
        Ok(Found::Read { offset: self.offset, len, more: full })
    }

    /// Whether what we have read is still there; leaves the file at our place.
    fn is_known(&self, file: &mut File) -> io::Result<bool> {
        file.seek(SeekFrom::Start(self.offset - self.known.len() as u64))?;
        let mut there = vec![0; self.known.len()];
        match file.read_exact(&mut there) {
            Ok(()) => Ok(there == self.known),
            // It was cut short meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.known.extend(&bytes[bytes.len().saturating_sub(KNOWN)..]);
        self.known.drain(..self.known.len().saturating_sub(KNOWN));
    }

    fn start_over(&mut self) {
        self.offset = 0;
        self.known.clear();
        self.in_long_line = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Written {
        folder: tempfile::TempDir,
        tail: Tail,
    }

    impl Written {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let tail = Tail::new(folder.path().join("metrics.jsonl"));
            Self { folder, tail }
        }

        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("metrics.jsonl"), text).unwrap();
        }

        /// What is found, and the lines.
        fn read(&mut self) -> (Found, Vec<String>) {
            let mut lines = Vec::new();
            let found = self.tail.advance(|piece| match piece {
                Piece::Line(line) => lines.push(String::from_utf8(line.to_vec()).unwrap()),
                Piece::TooLong => lines.push("too long".to_owned()),
            });
            (found.unwrap(), lines)
        }

        fn lines(&mut self) -> Vec<String> {
            let (found, lines) = self.read();
            assert!(matches!(found, Found::Read { .. }), "{found:?}");
            lines
        }
    }

    #[test]
    fn a_growing_file_with_a_torn_end() {
        let mut file = Written::new();
        assert_eq!(file.read(), (Found::Missing, vec![]));
        file.write("");
        assert_eq!(file.read(), (Found::Read { offset: 0, len: 0, more: false }, vec![]));
        file.write("one\ntw");
        assert_eq!(file.read(), (Found::Read { offset: 4, len: 6, more: false }, vec!["one".to_owned()]));
        assert!(file.lines().is_empty());
        file.write("one\ntwo\nthree\n");
        assert_eq!(file.lines(), ["two", "three"]);
        assert!(file.lines().is_empty());
    }

    #[test]
    fn what_was_rewritten_is_read_again() {
        let mut file = Written::new();
        file.write("one\ntwo\nthree\n");
        file.lines();
        // A resumed run cuts lines off...
        file.write("one\n");
        assert_eq!(file.read(), (Found::Rewritten, vec![]));
        assert_eq!(file.lines(), ["one"]);
        // ...and may have written as much again, or more, before we look.
        file.write("one\n2\n");
        file.lines();
        for text in ["one\n3\n", "one\n4\n5\n6\n"] {
            file.write(text);
            assert_eq!(file.read().0, Found::Rewritten);
            assert_eq!(file.lines().join("\n") + "\n", text);
        }
        fs::remove_file(file.folder.path().join("metrics.jsonl")).unwrap();
        assert_eq!(file.read().0, Found::Rewritten);
        assert_eq!(file.read().0, Found::Missing);
    }

    #[test]
    fn a_long_file_comes_in_pieces() {
        let mut file = Written::new();
        let text: String = (0..400_000).map(|at| format!("{at}\n")).collect();
        assert!(text.len() > 2 * CHUNK);
        file.write(&text);
        let mut all = Vec::new();
        loop {
            let (found, lines) = file.read();
            all.extend(lines);
            if matches!(found, Found::Read { more: false, .. }) {
                break;
            }
        }
        assert!(all.len() == 400_000 && all.iter().enumerate().all(|(at, line)| *line == at.to_string()));
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut file = Written::new();
        let long = "x".repeat(3 * CHUNK + 5);
        file.write(&format!("one\n{long}\ntwo\n{long}"));
        let mut all = Vec::new();
        for _ in 0..8 {
            all.extend(file.lines());
        }
        assert_eq!(all, ["one", "too long", "two", "too long"]);
        assert!(file.tail.known.len() <= KNOWN);
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tail::new(folder.path().to_path_buf()).advance(|_| {}).is_err());
    }
}
