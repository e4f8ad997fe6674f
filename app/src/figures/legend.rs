//! What the curves are, and where they ended: a small table beside them.

use super::canvas::{Anchor, Canvas, shortened};
use llava_mole::palette::{INK, MUTED, Rgb};

const LEFT: f64 = 780.0;
/// The right ends of the two columns of values.
const COLUMNS: [f64; 2] = [928.0, 988.0];
const ROW: f64 = 21.0;
const SIZE: f64 = 12.0;

/// As many rows as there is room for beside both panels.
const MAX_ROWS: usize = 23;

/// One curve.
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its colour.
    pub color: Rgb,
    /// The width of its line.
    pub width: f64,
    /// The last value in training, smoothed.
    pub training: Option<f64>,
    /// The last value on held-out data, which is drawn as dots.
    pub held_out: Option<f64>,
}

/// Draws the entries from a height on downwards.
pub fn draw(canvas: &Canvas<'_>, top: f64, entries: &[Entry<'_>]) -> anyhow::Result<()> {
    canvas.text("training", (COLUMNS[0], top), Anchor::End, SIZE, MUTED)?;
    if entries.iter().any(|entry| entry.held_out.is_some()) {
        canvas.text("held out", (COLUMNS[1], top), Anchor::End, SIZE, MUTED)?;
    }
    for (index, entry) in entries.iter().take(MAX_ROWS).enumerate() {
        let y = top + ROW * (index + 1) as f64;
        canvas.line(&[(LEFT, y), (LEFT + 22.0, y)], entry.color, entry.width)?;
        if entry.held_out.is_some() {
            canvas.dot((LEFT + 11.0, y), 3.0, entry.color)?;
        }
        canvas.text(&shortened(entry.name, 12), (LEFT + 29.0, y), Anchor::Start, SIZE, INK)?;
        for (value, right) in [entry.training, entry.held_out].into_iter().zip(COLUMNS) {
            if let Some(value) = value {
                canvas.text(&format!("{value:.3}"), (right, y), Anchor::End, SIZE, MUTED)?;
            }
        }
    }
    Ok(())
}
