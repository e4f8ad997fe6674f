//! A sheet of paper in one style, and the list of what is written on it.
//!
//! Words are collected first and printed last, so nothing is ever drawn over them, and a test can ask where each of them
//! stands and what lies below it.

use image::RgbImage;

use crate::canvas::{Anchor, Canvas, Rgb, SIDE, rectangle};
use crate::draw::Draw;

/// The least text height, in units of the sheet: nine pixels where the sheet is scaled to 112, which still reads.
pub(super) const SMALLEST: f32 = 28.0;

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

/// A word on a page.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub content: String,
    at: (f32, f32),
    pub height: f32,
    anchor: Anchor,
    color: Rgb,
    /// How wide it is.
    width: f32,
}

impl Text {
    /// What it covers: left, top, right, bottom.
    pub fn area(&self) -> [f32; 4] {
        let left = match self.anchor {
            Anchor::Left => self.at.0,
            Anchor::Middle => self.at.0 - self.width / 2.0,
            Anchor::Right => self.at.0 - self.width,
        };
        // Capitals are 0.73 of the height, the letters that rise above them 0.76, and tails hang 0.24 below the line.
        let tail = if self.content.contains(['g', 'j', 'p', 'q', 'y', 'J']) { 0.24 } else { 0.02 };
        let (above, below) = (0.40 * self.height, (0.365 + tail) * self.height);
        [left, self.at.1 - above, left + self.width, self.at.1 + below]
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

    /// Writes in the page's ink; see [`Canvas::text`].
    pub fn write(&mut self, content: &str, at: (f32, f32), height: f32, anchor: Anchor) {
        self.write_in(self.ink, content, at, height, anchor);
    }

    fn write_in(&mut self, color: Rgb, content: &str, at: (f32, f32), height: f32, anchor: Anchor) {
        let width = self.canvas.text_width(content, height);
        let text = Text { content: content.to_owned(), at, height, anchor, color, width };
        let [left, top, right, bottom] = text.area();
        debug_assert!(left.min(top) >= 0.0 && right.max(bottom) <= SIDE, "{text:?} leaves the sheet");
        self.texts.push(text);
    }

    /// How wide the widest of some words is.
    pub fn widest<'a>(&self, words: impl IntoIterator<Item = &'a str>, height: f32) -> f32 {
        words.into_iter().map(|word| self.canvas.text_width(word, height)).fold(0.0, f32::max)
    }

    /// The greatest height up to `limit` at which none of the words is wider than this.
    pub fn fit<'a>(&self, words: impl IntoIterator<Item = &'a str>, width: f32, limit: f32) -> f32 {
        // The width of a word is proportional to its height.
        (limit * width / self.widest(words, limit)).min(limit)
    }

    /// Prints a title, where there is one, in one of three manners; returns where the rest of the page begins.
    pub fn title(&mut self, draw: &mut Draw, title: Option<&str>) -> f32 {
        let Some(title) = title else { return 8.0 };
        let height = draw.real(30.0, 34.0);
        let band = rectangle((0.0, 0.0), SIDE, 46.0);
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
        self.write_in(color, title, (SIDE / 2.0, 23.0), height, Anchor::Middle);
        52.0
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
        let holds = |text: &&Text| {
            let [left, top, right, bottom] = text.area();
            (left..right).contains(&x) && (top..bottom).contains(&y)
        };
        let text = self.texts.iter().find(holds)?;
        let mut pen = text.area()[0];
        let index = text.content.chars().position(|letter| {
            pen += self.canvas.text_width(letter.encode_utf8(&mut [0; 4]), text.height);
            x < pen
        })?;
        text.content.chars().nth(index).filter(|letter| *letter != ' ').map(|_| (text.content.as_str(), index))
    }

    /// The colour of frames and rules, which must not be taken for letters.
    pub fn rule(&self) -> Rgb {
        self.ground.mix(self.ink, 0.45)
    }

    /// Prints what was written.
    pub fn finish(mut self) -> RgbImage {
        for text in &self.texts {
            self.canvas.text(&text.content, text.at, text.height, text.anchor, text.color);
        }
        self.canvas.finish()
    }

    /// What is written on it, and the page without that.
    #[cfg(test)]
    pub fn take_apart(self) -> (Vec<Text>, RgbImage) {
        (self.texts, self.canvas.finish())
    }
}
