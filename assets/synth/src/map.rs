//! A picture as a map: what is in each of its cells, row by row, a word for each.
//!
//! Nobody asks for it by itself. It is what a model learns to see by: an answer names one thing in a picture, a map all
//! of them and where, so that a vision tower learns shapes, letters and nuclei from thousands of pictures, and not from
//! millions.

use crate::Question;
use crate::canvas::SIDE;

/// Cells in a row, and rows: as many as the demo model's vision tower has patches.
const CELLS: usize = 12;

/// Width and height of a cell, in units of the sheet.
pub(crate) const CELL: f32 = SIDE / CELLS as f32;

/// A cell without anything.
pub(crate) const NOTHING: &str = "-";

/// The map of a picture, of what `word` says about the middle of each cell.
pub(crate) fn map(text: &str, mut word: impl FnMut((f32, f32)) -> String) -> Question {
    let middle = |at: usize| (at as f32 + 0.5) * CELL;
    let cells = (0..CELLS * CELLS).map(|cell| (middle(cell % CELLS), middle(cell / CELLS)));
    let words: Vec<String> = cells.map(&mut word).collect();
    Question { question_type: "map", text: text.to_string(), answer: words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_by_their_middles_row_by_row() {
        let question = map("Map it.", |(x, y)| format!("{:.0},{:.0}", x / CELL - 0.5, y / CELL - 0.5));
        let words: Vec<&str> = question.answer.split(' ').collect();
        assert_eq!((words.len(), words[0], words[11], words[12], words[143]), (144, "0,0", "11,0", "0,1", "11,11"));
    }
}
