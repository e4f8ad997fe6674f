//! Which words stand in which row, found out a few thousand a frame: of a long conversation, only the rows that are
//! seen are laid out as text.

use std::borrow::Cow;
use std::ops::Range;

use crate::language::Language;
use crate::routing::{Passage, Trace};

/// Longest text of a word, in characters; what is longer is cut.
const MAX_CHARS: usize = 40;

/// What the rows depend on, besides the words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measure {
    /// How wide a row may be.
    pub(super) width: f32,
    /// The size of the font.
    pub(super) font: f32,
    /// What a picture is called depends on it.
    pub(super) language: Language,
}

/// The rows.
#[derive(Clone, Debug, Default)]
pub(super) struct WordRows {
    measure: Measure,
    /// The first passage of each row.
    starts: Vec<usize>,
    /// Where the next passage would go in the last row.
    x: f32,
    /// Whether the last row ended with a line break.
    broken: bool,
    placed: usize,
}

impl WordRows {
    /// Places up to `most` passages more; begins anew where the measure changed. Tells whether that was all.
    ///
    /// - `width_of`: how wide a passage is, and whether a line break comes behind it.
    pub(super) fn follow(
        &mut self,
        measure: Measure,
        passages: &[Passage],
        most: usize,
        mut width_of: impl FnMut(Passage) -> (f32, bool),
    ) -> bool {
        if self.measure != measure || self.placed > passages.len() {
            *self = Self { measure, ..Self::default() };
        }
        let until = passages.len().min(self.placed + most);
        for (at, passage) in passages.iter().enumerate().take(until).skip(self.placed) {
            let (width, breaks) = width_of(*passage);
            if self.starts.is_empty() || self.broken || (self.x > 0.0 && self.x + width > measure.width) {
                self.starts.push(at);
                self.x = 0.0;
            }
            self.x += width;
            self.broken = breaks;
        }
        self.placed = until;
        until == passages.len()
    }

    /// How many rows there are so far.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The passages of a row.
    pub(super) fn row(&self, row: usize) -> Range<usize> {
        let start = self.starts.get(row).copied().unwrap_or(self.placed);
        start..self.starts.get(row + 1).copied().unwrap_or(self.placed)
    }

    /// The row of a passage.
    pub(super) fn row_of(&self, passage: usize) -> usize {
        self.starts.partition_point(|start| *start <= passage).saturating_sub(1)
    }
}

/// A passage's text as it is shown.
pub(super) fn text_of(passage: Passage, trace: &Trace, language: Language) -> Cow<'_, str> {
    match passage {
        Passage::Word(at) => trace.routing.tokens.get(at).map_or(Cow::Borrowed(""), |token| display(&token.text)),
        Passage::Picture(image) => {
            Cow::Owned(language.pick(format!("[picture {}]", image + 1), format!("[图片 {}]", image + 1)))
        }
    }
}

/// A token's text on one line, never empty, never endless.
pub(super) fn display(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("·");
    }
    if text.len() <= MAX_CHARS && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars().take(MAX_CHARS) {
        match c {
            '\n' => shown.push('¶'),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [Passage; 7] = [
        Passage::Word(0),
        Passage::Word(1),
        Passage::Picture(0),
        Passage::Word(9),
        Passage::Word(10),
        Passage::Word(11),
        Passage::Word(12),
    ];

    /// Every passage is 40 wide; a line break comes behind token 10.
    fn width(passage: Passage) -> (f32, bool) {
        (40.0, passage == Passage::Word(10))
    }

    fn measure(width: f32) -> Measure {
        Measure { width, ..Measure::default() }
    }

    fn ranges(rows: &WordRows) -> Vec<Range<usize>> {
        (0..rows.len()).map(|row| rows.row(row)).collect()
    }

    #[test]
    fn a_row_ends_where_the_next_word_does_not_fit() {
        let mut rows = WordRows::default();
        assert!(rows.follow(measure(130.0), &WORDS, 100, width));
        assert_eq!(ranges(&rows), [0..3, 3..5, 5..7]);
        assert_eq!([0, 2, 3, 4, 5, 6].map(|passage| rows.row_of(passage)), [0, 0, 1, 1, 2, 2]);
        assert!(rows.follow(measure(10.0), &WORDS, 100, width));
        assert_eq!(rows.len(), 7, "a word wider than the row has one to itself");
    }

    #[test]
    fn rows_grow_as_words_come() {
        let mut rows = WordRows::default();
        assert!(!rows.follow(measure(130.0), &WORDS, 4, width));
        assert_eq!(ranges(&rows), [0..3, 3..4]);
        assert!(rows.follow(measure(130.0), &WORDS, 4, width));
        assert_eq!(ranges(&rows), [0..3, 3..5, 5..7]);
        // Fewer than were placed: another trace.
        assert!(rows.follow(measure(130.0), &WORDS[..2], 4, width));
        assert_eq!(ranges(&rows), [0..2; 1]);
    }

    #[test]
    fn nothing_has_no_rows() {
        let mut rows = WordRows::default();
        assert!(rows.follow(measure(100.0), &[], 10, width));
        assert_eq!((rows.len(), rows.row(0), rows.row_of(0)), (0, 0..0, 0));
    }

    #[test]
    fn every_text_fits_on_a_line() {
        assert_eq!(display(" cat"), " cat");
        assert_eq!(display("\n"), "¶");
        assert_eq!(display("a\tb\u{7f}"), "a\\tb\\u{7f}");
        assert_eq!(display(""), "·");
        let long = display(&"猫".repeat(500)).into_owned();
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
        assert_eq!(display(&"猫".repeat(MAX_CHARS)).chars().count(), MAX_CHARS);
    }
}
