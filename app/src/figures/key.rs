//! What the colours mean: signs and names in lines above a plot, as many as they need.

use super::canvas::{Anchor, Canvas};
use super::text_width::{fitted, text_width};
use llava_mole::palette::{INK, Rgb};

const SIZE: f64 = 13.0;
const LINE: f64 = 21.0;
/// From the left end of a sign to its name.
const SIGN: f64 = 26.0;
/// Between a name and the next sign.
const GAP: f64 = 22.0;
/// The widest name.
const MAX_NAME: f64 = 240.0;

/// How an entry looks in the plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A dot on a line: an estimate.
    Dot,
    /// An upright bar: a mean.
    Bar,
}

/// The entries and where they stand.
pub struct Key {
    entries: Vec<Entry>,
    right: f64,
    left: f64,
    next: (f64, usize),
}

struct Entry {
    name: String,
    sign: Sign,
    color: Rgb,
    x: f64,
    line: usize,
}

impl Key {
    /// No entry yet; they will stand between two pixels.
    pub fn new((left, right): (f64, f64)) -> Self {
        Self { entries: Vec::new(), left, right, next: (left, 0) }
    }

    /// Adds an entry behind the others, in the next line where it has no room in this one.
    pub fn push(&mut self, name: &str, sign: Sign, color: Rgb) {
        let name = fitted(name, MAX_NAME, SIZE);
        let width = SIGN + text_width(&name, SIZE);
        let (mut x, mut line) = self.next;
        if x > self.left && x + width > self.right {
            (x, line) = (self.left, line + 1);
        }
        self.entries.push(Entry { name, sign, color, x, line });
        self.next = (x + width + GAP, line);
    }

    /// The height of its lines.
    pub fn height(&self) -> f64 {
        self.entries.last().map_or(0.0, |last| LINE * (last.line + 1) as f64)
    }

    /// Draws the entries from a height on downwards.
    pub fn draw(&self, canvas: &Canvas<'_>, top: f64) -> anyhow::Result<()> {
        for Entry { name, sign, color, x, line } in &self.entries {
            let (x, y) = (*x, top + LINE * (*line as f64 + 0.5));
            match sign {
                Sign::Dot => {
                    canvas.line(&[(x, y), (x + 18.0, y)], *color, 2.0)?;
                    canvas.dot((x + 9.0, y), 4.0, *color)?;
                }
                Sign::Bar => canvas.line(&[(x + 9.0, y - 7.0), (x + 9.0, y + 7.0)], *color, 3.0)?,
            }
            canvas.text(name, (x + SIGN, y), Anchor::Start, SIZE, INK)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_on_in_the_next_line() {
        let mut key = Key::new((16.0, 300.0));
        assert_eq!(key.height(), 0.0);
        for name in ["charts", "documents", "a path across a map", "x"] {
            key.push(name, Sign::Dot, INK);
        }
        let lines: Vec<_> = key.entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [0, 0, 1, 1]);
        assert_eq!(key.entries[2].x, 16.0);
        assert!(key.entries[1].x > key.entries[0].x + SIGN + text_width("charts", SIZE));
        assert_eq!(key.height(), 2.0 * LINE);
    }
}
