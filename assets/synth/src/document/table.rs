//! Tables: a header, and three or four rows of a name and two numbers.

use super::numbers::Range;
use super::page::{CELLS, Page, edge};
use super::wording::{about_page, ask, heading, yes_no};
use super::words::{COLUMNS, LONGEST, THEMES, Word};
use crate::Question;
use crate::canvas::{SIDE, rectangle};
use crate::draw::Draw;

const CELL: &[&str] = &[
    "What is the value of {row} in column {column}?",
    "What is in row {row}, column {column}?",
    "Which number stands for {row} under {column}?",
    "What does {row} have under {column}?",
    "Read the {column} value of {row}.",
];
const FACT: &[&str] = &[
    "Is the {column} value of {row} {value}?",
    "Does {row} have {value} under {column}?",
    "Does the table show {value} for {row} under {column}?",
    "Is {value} in row {row}, column {column}?",
];
const KIND: &str = "table";
/// The last cells of the two columns of numbers. The names before them have at most five letters, the headings two and
/// three: a cell is free between any two.
const ENDS: [usize; 2] = [LONGEST + 2, CELLS - 1];
/// How thick a rule is.
const RULE: f32 = 2.0;

/// What a table says.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// In the corner.
    pub title: Option<&'static str>,
    pub columns: [&'static str; 2],
    pub rows: Vec<(Word, [u32; 2])>,
    range: Range,
}

/// How rows are kept apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Ruled,
    Zebra,
    Grid,
}

impl Table {
    fn new(draw: &mut Draw) -> Self {
        let theme = *draw.pick(&THEMES);
        let count = draw.between(3, 4);
        let range = *draw.pick(&[Range::Small, Range::Fives, Range::TwoDigits, Range::TwoDigits]);
        let numbers = draw.sample(&range.numbers(), 2 * count);
        let mut at: Vec<usize> = draw.sample(&(0..theme.words.len()).collect::<Vec<_>>(), count);
        if theme.noun == "month" || theme.noun == "day" {
            at.sort_unstable();
        }
        let rows = at.into_iter().zip(numbers.chunks(2)).map(|(at, pair)| (theme.words[at], [pair[0], pair[1]]));
        let title = draw.chance(0.6).then(|| *draw.pick(theme.titles));
        Self { title, columns: *draw.pick(&COLUMNS), rows: rows.collect(), range }
    }

    /// Everything that can be asked.
    pub fn questions(&self, draw: &mut Draw) -> Vec<Question> {
        let rows: Vec<_> = self.rows.iter().map(|(row, [a, b])| format!("{} {a} {b}", row.printed)).collect();
        let [first, second] = self.columns;
        let caption = format!("{}, columns {first} {second}: {}", heading(KIND, self.title), rows.join(", "));
        let mut questions = about_page(draw, KIND, ("rows below the header", rows.len()), &caption).to_vec();
        for (at, (row, values)) in self.rows.iter().enumerate() {
            for (column, heading) in self.columns.iter().enumerate() {
                let value = values[column];
                let given = [("row", row.said(draw)), ("column", heading)];
                questions.push(ask(draw, "cell", CELL, &given, value));
                // The neighbour in the row, and the one below: what a reader takes that slips.
                let beside = values[1 - column];
                let below = self.rows[(at + 1) % self.rows.len()].1[column];
                let near = self.range.near_miss(draw, value);
                let wrong = *draw.pick(&[beside, below]);
                for number in [Some(value), Some(wrong), near].into_iter().flatten() {
                    let given = [("row", row.said(draw)), ("column", heading), ("value", &number.to_string())];
                    questions.push(ask(draw, "fact", FACT, &given, yes_no(number == value)));
                }
            }
        }
        questions
    }
}

/// Where the lines of a table stand.
struct Grid {
    /// The first row of the header.
    top: usize,
    /// Rows of a line. The last of them is written in, so that a rule above it touches no letter.
    pitch: usize,
    /// The header, and those below.
    lines: usize,
}

impl Grid {
    /// The first row of a line, and of what follows the last.
    fn begin(&self, line: usize) -> usize {
        self.top + line * self.pitch
    }

    /// The row that a line is written in.
    fn row(&self, line: usize) -> usize {
        self.begin(line + 1) - 1
    }
}

/// Draws a table.
pub(super) fn table(draw: &mut Draw, page: &mut Page) -> Table {
    let table = Table::new(draw);
    let manner = *draw.pick(&[Manner::Ruled, Manner::Zebra, Manner::Grid]);
    // Where rules are, a row is free for them.
    let pitch = if manner == Manner::Zebra { draw.between(1, 2) } else { 2 };
    let lines = table.rows.len() + 1;
    // A rule may follow the last line.
    let top = draw.between(0, (CELLS - 1 - lines * pitch).min(3));
    let grid = Grid { top, pitch, lines };
    rules(page, manner, &grid);
    let names = table.rows.iter().map(|(row, _)| *row).map(|row| row.printed).chain(table.title);
    let left = draw.between(0, LONGEST - names.map(str::len).max().expect("a table has rows"));
    if let Some(title) = table.title {
        page.write(title, left, grid.row(0));
    }
    for (heading, end) in table.columns.iter().zip(ENDS) {
        page.write(heading, end + 1 - heading.len(), grid.row(0));
    }
    for (at, (row, values)) in table.rows.iter().enumerate() {
        page.write(row.printed, left, grid.row(at + 1));
        for (value, end) in values.iter().map(u32::to_string).zip(ENDS) {
            page.write(&value, end + 1 - value.len(), grid.row(at + 1));
        }
    }
    table
}

/// Draws what keeps header, rows and columns apart, along the edges of cells.
fn rules(page: &mut Page, manner: Manner, grid: &Grid) {
    let (head, stripe) = (page.ground.mix(page.colors[0], 0.32), page.ground.mix(page.colors[0], 0.12));
    let y = |line: usize| edge(grid.begin(line));
    let fill = |page: &mut Page, line: usize, color| {
        page.canvas.fill(&rectangle((0.0, y(line)), SIDE, edge(grid.pitch)), color);
    };
    fill(page, 0, head);
    if manner == Manner::Zebra {
        (2..grid.lines).step_by(2).for_each(|line| fill(page, line, stripe));
    } else {
        (1..grid.lines).for_each(|line| page.rule((0.0, y(line)), SIDE, RULE));
    }
    if manner == Manner::Grid {
        page.rule((0.0, y(0)), SIDE, RULE);
        for end in ENDS {
            // Before the two or three cells of the column, in the free one.
            let begin = if end == CELLS - 1 { end - 2 } else { end - 1 };
            page.rule((edge(begin) - RULE, y(0)), RULE, y(grid.lines) - y(0));
        }
    }
    if manner != Manner::Ruled {
        page.rule((0.0, y(grid.lines)), SIDE, RULE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;
    use crate::document::page::Text;

    #[test]
    fn a_value_stands_in_the_row_of_its_name_and_below_its_heading() {
        for index in 0..200 {
            let mut draw = Draw::new(Domain::Document, 8, index);
            let mut page = Page::new(&mut draw);
            let table = table(&mut draw, &mut page);
            let texts = page.take_apart().0;
            let find = |content: &str| texts.iter().find(|text| text.content == content).expect("it is printed");
            let end = |text: &Text| text.column + text.content.len();
            for (row, values) in &table.rows {
                let name = find(row.printed);
                for (value, heading) in values.iter().zip(table.columns) {
                    let (value, heading) = (find(&value.to_string()), find(heading));
                    assert!(value.row == name.row && value.row > heading.row, "{value:?} on page {index}");
                    assert!(end(value) == end(heading) && end(name) < heading.column, "{value:?} on page {index}");
                    assert!(table.title.is_none_or(|title| end(find(title)) < heading.column), "page {index}");
                }
            }
            let rows: std::collections::BTreeSet<usize> = texts.iter().map(|text| text.row).collect();
            assert_eq!(rows.len(), table.rows.len() + 1);
        }
    }
}
