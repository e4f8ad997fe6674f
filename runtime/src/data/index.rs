//! Where in a data file the samples are, found in one pass that keeps none of them.
//!
//! Two forms are told apart by the first byte that is not blank: a JSON list, of which every element is a sample, and
//! otherwise JSONL, of which every line that is not blank is one. Only brackets, strings and line ends are looked at;
//! whether a sample is what it should be shows when it is read.

use std::io::{self, Read};

/// What the pass remembers of a sample; 16 bytes, as there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its first byte in the file.
    pub offset: u64,
    /// Its bytes; `u32::MAX` stands for anything longer.
    pub length: u32,
    /// The line it begins in, counted from 1; `u32::MAX` stands for anything larger.
    pub line: u32,
}

/// What the pass finds.
#[derive(Debug)]
pub(super) struct Index {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// FNV-1a of all bytes.
    pub fingerprint: u64,
}

/// Why there is no index.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file cannot be read.
    Io(io::Error),
    /// The file is neither a JSON list nor JSONL.
    Form {
        /// Where.
        line: u64,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Goes through a file from its beginning.
pub(super) fn scan(mut reader: impl Read) -> Result<Index, Failure> {
    let mut scanner = Scanner { line: 1, ..Scanner::default() };
    let mut fingerprint = 0xcbf2_9ce4_8422_2325_u64;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Io(error)),
        };
        for &byte in &chunk[..read] {
            fingerprint = (fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            scanner.take(byte)?;
        }
    }
    Ok(Index { entries: scanner.finish()?, fingerprint })
}

/// What is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Blanks, or a byte order mark, before anything.
    #[default]
    Start,
    /// The lines of JSONL.
    Lines,
    /// A JSON list, between elements.
    List,
    /// In an element, behind so many brackets that are not closed.
    Element { depth: u32, string: bool, escaped: bool },
    /// Behind the list.
    End,
}

#[derive(Debug, Default)]
struct Scanner {
    entries: Vec<Entry>,
    state: State,
    /// Of the byte to come.
    offset: u64,
    /// Of the byte to come.
    line: u64,
    /// First byte and line of the sample that is being read, and where its last byte that is not blank ends.
    sample: Option<(u64, u64, u64)>,
    /// Whether the next thing in a list has to be an element.
    after_comma: bool,
}

impl Scanner {
    fn take(&mut self, byte: u8) -> Result<(), Failure> {
        let blank = byte.is_ascii_whitespace();
        match self.state {
            State::Start => match (self.offset, byte) {
                (0, 0xef) | (1, 0xbb) | (2, 0xbf) => {}
                (0, 0xff | 0xfe) => return Err(self.refuse("is not UTF-8 text: save it as UTF-8 JSON or JSONL")),
                _ if blank => {}
                (_, b'[') => self.state = State::List,
                _ => {
                    self.state = State::Lines;
                    self.grow();
                }
            },
            State::Lines if byte == b'\n' => self.close(),
            State::Lines if blank => {}
            State::Lines => self.grow(),
            State::List => match byte {
                _ if blank => {}
                b']' if self.after_comma => {
                    return Err(self.refuse("has a comma before the end of the list: remove it"));
                }
                b']' => self.state = State::End,
                b',' => return Err(self.refuse("has a comma where a sample is expected: remove it")),
                _ => {
                    self.state = State::Element { depth: 0, string: false, escaped: false };
                    return self.take(byte);
                }
            },
            State::Element { depth, string, escaped } => self.element(byte, depth, string, escaped)?,
            State::End if blank => {}
            State::End => return Err(self.refuse("goes on behind the end of the list: write one list, or JSONL")),
        }
        self.offset += 1;
        self.line += u64::from(byte == b'\n');
        Ok(())
    }

    fn element(&mut self, byte: u8, depth: u32, string: bool, escaped: bool) -> Result<(), Failure> {
        let go_on = |depth, string, escaped| State::Element { depth, string, escaped };
        if !byte.is_ascii_whitespace() && (string || depth > 0 || !matches!(byte, b',' | b']')) {
            self.grow();
        }
        self.state = match byte {
            _ if escaped => go_on(depth, string, false),
            b'\\' if string => go_on(depth, string, true),
            b'"' => go_on(depth, !string, false),
            _ if string => self.state,
            b'{' | b'[' => go_on(depth.saturating_add(1), false, false),
            b',' | b']' if depth == 0 => {
                self.close();
                self.after_comma = byte == b',';
                if byte == b',' { State::List } else { State::End }
            }
            b'}' if depth == 0 => return Err(self.refuse("closes a bracket that is not open: repair the list")),
            b'}' | b']' => go_on(depth - 1, false, false),
            _ => self.state,
        };
        Ok(())
    }

    /// The byte belongs to a sample.
    fn grow(&mut self) {
        let (offset, line) = self.sample.map_or((self.offset, self.line), |(offset, line, _)| (offset, line));
        self.sample = Some((offset, line, self.offset + 1));
    }

    /// The sample, if there is one, is complete.
    fn close(&mut self) {
        if let Some((offset, line, end)) = self.sample.take() {
            let fit = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            self.entries.push(Entry { offset, length: fit(end - offset), line: fit(line) });
        }
    }

    fn finish(mut self) -> Result<Vec<Entry>, Failure> {
        match self.state {
            State::Start => return Err(self.refuse("is empty: a dataset needs at least one sample")),
            State::Element { .. } => {
                self.line = self.sample.map_or(self.line, |(_, line, _)| line);
                return Err(self.refuse("ends within this sample: repair the list, or copy the file again"));
            }
            State::List => return Err(self.refuse("ends before the list is closed: copy the file again")),
            State::Lines | State::End => self.close(),
        }
        if self.entries.is_empty() {
            return Err(self.refuse("is an empty list: a dataset needs at least one sample"));
        }
        Ok(self.entries)
    }

    fn refuse(&self, reason: &'static str) -> Failure {
        Failure::Form { line: self.line, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, u32)> {
        let index = scan(text.as_bytes()).unwrap();
        let part = |entry: &Entry| (&text[entry.offset as usize..][..entry.length as usize], entry.line);
        index.entries.iter().map(part).collect()
    }

    fn refusal(text: &[u8]) -> (u64, &'static str) {
        match scan(text) {
            Err(Failure::Form { line, reason }) => (line, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_found_with_their_numbers() {
        assert_eq!(found("{1}\n{2}\n"), [("{1}", 1), ("{2}", 2)]);
        assert_eq!(found("\u{feff}\r\n {1} \r\n\r\n\t\n{2}  x\r\nbad"), [("{1}", 2), ("{2}  x", 5), ("bad", 6)]);
    }

    #[test]
    fn elements_of_a_list_are_found_whatever_is_in_them() {
        let list = "\u{feff} [\n{\"a]\\\"}\": [{}, []]},\r\n\n  {\n\"b\": \"\\\\\"\n} , 5, \"x, \\\" ]\"\n]\n ";
        let expected = [("{\"a]\\\"}\": [{}, []]}", 2), ("{\n\"b\": \"\\\\\"\n}", 4), ("5", 6), ("\"x, \\\" ]\"", 6)];
        assert_eq!(found(list), expected);
        assert_eq!(found("[{}{},{}]"), [("{}{}", 1), ("{}", 1)]);
    }

    #[test]
    fn samples_may_lie_across_the_bytes_read_at_a_time() {
        let word = "é".repeat(CHUNK / 3);
        let list = format!("[{}]", vec![format!("{{\"{word}\"}}"); 5].join(",\n"));
        let expected: Vec<(String, u32)> = (1..=5).map(|line| (format!("{{\"{word}\"}}"), line)).collect();
        assert_eq!(found(&list), expected.iter().map(|(text, line)| (text.as_str(), *line)).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        for (text, line, words) in [
            (&b""[..], 1, "is empty"),
            (b"\n \n", 3, "is empty"),
            (b"[\n]", 2, "empty list"),
            (b"[\n{},\n]", 3, "comma before the end"),
            (b"[,{}]", 1, "comma where a sample"),
            (b"[{},\n,{}]", 2, "comma where a sample"),
            (b"[{}\n}]", 2, "closes a bracket"),
            (b"[{}]\n\n[{}]", 3, "goes on behind"),
            (b"[{},\n{\"a\": [1,\n2", 2, "ends within this sample"),
            (b"[{},\n\"a]\n\n", 2, "ends within this sample"),
            (b"[{},\n", 2, "ends before the list"),
            (b"\xff\xfe[\0", 1, "UTF-8"),
        ] {
            let (at, reason) = refusal(text);
            assert!(at == line && reason.contains(words), "{:?}: {at}: {reason}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_the_bytes() {
        // FNV-1a of "a", from its reference.
        assert_eq!(scan(&b"a"[..]).unwrap().fingerprint, 0xaf63_dc4c_8601_ec8c);
        assert_ne!(scan(&b"{1}\n{2}"[..]).unwrap().fingerprint, scan(&b"{1}\n{3}"[..]).unwrap().fingerprint);
    }
}
