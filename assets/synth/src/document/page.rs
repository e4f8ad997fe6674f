//! A sheet of paper in one style, and the list of what is written on it.
//!
//! A page is written on like with a typewriter: each letter stands in the middle of a cell of its own, which are the
//! patches that the demo model's vision tower cuts a picture into. Words are collected first and printed last, so
//! nothing is ever drawn over them, and a test can ask where each of them stands and what lies below it.

use image::RgbImage;

use crate::canvas::{Canvas, Rgb, SIDE, rectangle};
use crate::draw::Draw;
use crate::map::CELL;

/// Cells in a row, and rows.
pub(super) const CELLS: usize = (SIDE / CELL) as usize;

/// Where a column or a row of cells begins.
pub(super) fn edge(cell: usize) -> f32 {
    cell as f32 * CELL
}

/// The height of all text. Letters rise to 0.76 of it and hang down to 0.22: both stay in the row, and in little more
/// they would not.
const HEIGHT: f32 = 28.5;
/// From the top of a row to what its letters stand on.
const BASELINE: f32 = 21.75;
/// The widest that the ink of a letter may be; only `W` is narrowed to this.
const WIDEST: f32 = 26.0;

const GROUNDS: [Rgb; 6] = [
    Rgb(255, 255, 255),
    Rgb(253, 250, 238),
    Rgb(239, 246, 254),
    Rgb(244, 244, 244),
    Rgb(240, 250, 241),
    Rgb(254, 243, 246),
];
const INKS: [Rgb; 4] = [Rgb(18, 18, 22), Rgb(16, 26, 66), Rgb(48, 26, 16), Rgb(10, 46, 38)];
/// Each can be told from each in a picture of a third of the size.
const COLORS: [Rgb; 6] =
    [Rgb(46, 98, 190), Rgb(240, 145, 40), Rgb(58, 150, 82), Rgb(204, 52, 56), Rgb(240, 208, 72), Rgb(136, 82, 176)];
const WHITE: Rgb = Rgb(255, 255, 255);

/// A word on a page, or a few.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub content: String,
    /// The cell of its first letter.
    pub column: usize,
    pub row: usize,
    color: Rgb,
}

impl Text {
    /// Its letters, which are ASCII, and the column of each; a space is none.
    pub fn letters(&self) -> impl Iterator<Item = (usize, char)> {
        self.content.chars().enumerate().map(|(at, letter)| (self.column + at, letter)).filter(|of| of.1 != ' ')
    }
}

/// A page that is being made.
pub(super) struct Page {
    pub canvas: Canvas,
    /// The paper.
    pub ground: Rgb,
    /// What words are printed in.
    pub ink: Rgb,
    /// Strong colours that differ clearly, in random order.
    pub colors: Vec<Rgb>,
    texts: Vec<Text>,
}

impl Page {
    /// An empty page in some style.
    pub fn new(draw: &mut Draw) -> Self {
        let (ground, ink) = (*draw.pick(&GROUNDS), *draw.pick(&INKS));
        let colors = draw.sample(&COLORS, COLORS.len());
        Self { canvas: Canvas::new(ground), ground, ink, colors, texts: Vec::new() }
    }

    /// Writes in the page's ink, one letter a cell, a space in one too.
    pub fn write(&mut self, content: &str, column: usize, row: usize) {
        self.write_in(self.ink, content, column, row);
    }

    fn write_in(&mut self, color: Rgb, content: &str, column: usize, row: usize) {
        debug_assert!(column + content.len() <= CELLS && row < CELLS, "{content} in {column}, {row} leaves the sheet");
        self.texts.push(Text { content: content.to_owned(), column, row, color });
    }

    /// Prints a title into the first row, where there is one, in one of three manners; returns the first free row.
    pub fn title(&mut self, draw: &mut Draw, title: Option<&str>) -> usize {
        let Some(title) = title else { return 0 };
        let band = rectangle((0.0, 0.0), SIDE, CELL);
        let color = match draw.below(3) {
            0 => self.ink,
            1 => {
                self.canvas.fill(&band, self.ground.mix(self.colors[0], 0.3));
                self.ink
            }
            _ => {
                self.canvas.fill(&band, self.ink.mix(self.colors[0], 0.3));
                WHITE
            }
        };
        let column = if draw.chance(0.5) { (CELLS - title.len()) / 2 } else { 0 };
        self.write_in(color, title, column, 0);
        1
    }

    /// The letter at a place, if one is there.
    pub fn letter_at(&self, at: (f32, f32)) -> Option<char> {
        let (text, index) = self.text_at(at)?;
        text.chars().nth(index)
    }

    /// The word at a place, if one is there; of a number, the digit.
    pub fn word_at(&self, at: (f32, f32)) -> Option<String> {
        let (text, index) = self.text_at(at)?;
        // Letters are ASCII.
        let begin = text[..index].rfind(' ').map_or(0, |space| space + 1);
        let word = text[begin..].split([' ', ':']).next().unwrap_or_default();
        match word.chars().all(char::is_alphabetic) && begin + word.len() > index {
            true => Some(word.to_string()),
            false => text.chars().nth(index).map(String::from),
        }
    }

    /// The text at a place, and which of its letters is there; none where that is a space.
    fn text_at(&self, (x, y): (f32, f32)) -> Option<(&str, usize)> {
        let (column, row) = ((x / CELL) as usize, (y / CELL) as usize);
        let holds = |text: &&Text| text.row == row && text.letters().any(|(at, _)| at == column);
        self.texts.iter().find(holds).map(|text| (text.content.as_str(), column - text.column))
    }

    /// The colour of frames and rules, which must not be taken for letters.
    pub fn rule_color(&self) -> Rgb {
        self.ground.mix(self.ink, 0.45)
    }

    /// Draws a rule or an axis, a narrow rectangle, by its left upper corner.
    pub fn rule(&mut self, corner: (f32, f32), width: f32, height: f32) {
        self.canvas.fill(&rectangle(corner, width, height), self.rule_color());
    }

    /// Prints what was written.
    pub fn finish(mut self) -> RgbImage {
        for text in &self.texts {
            for (column, letter) in text.letters() {
                let at = (edge(column) + CELL / 2.0, edge(text.row) + BASELINE);
                self.canvas.letter(letter, at, HEIGHT, WIDEST, text.color);
            }
        }
        self.canvas.finish()
    }

    /// What is written on it, and the page without that.
    #[cfg(test)]
    pub fn take_apart(self) -> (Vec<Text>, RgbImage) {
        (self.texts, self.canvas.finish())
    }

    /// Takes away all letters but those in cells, column and row, that are to be kept.
    #[cfg(test)]
    pub fn keep(&mut self, kept: impl Fn(usize, usize) -> bool) {
        for text in &mut self.texts {
            let (column, row) = (text.column, text.row);
            let letters = text.content.chars().enumerate();
            text.content = letters.map(|(at, letter)| if kept(column + at, row) { letter } else { ' ' }).collect();
        }
    }
}

/// Rows for some lines from one row to another, all as far apart, with free rows between.
pub(super) fn spread(draw: &mut Draw, count: usize, first: usize, last: usize) -> Vec<usize> {
    let pitch = draw.between(2, ((last - first) / (count - 1)).min(3));
    let first = draw.between(first, last - pitch * (count - 1));
    (0..count).map(|at| first + pitch * at).collect()
}
