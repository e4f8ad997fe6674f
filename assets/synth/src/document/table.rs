//! Tables: a header, and three or four rows of a name and two numbers.

use super::numbers::Range;
use super::page::{Page, SMALLEST};
use super::wording::{about_page, ask, heading, yes_no};
use super::words::{COLUMNS, THEMES, Word};
use crate::Question;
use crate::canvas::{Anchor, SIDE, rectangle};
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
/// From the edge of the sheet.
const MARGIN: f32 = 6.0;

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

/// Where the parts of a table stand.
struct Grid {
    top: f32,
    /// Height of a row.
    pitch: f32,
    /// Right end of the names.
    names: f32,
    /// Width of a column of numbers.
    column: f32,
}

impl Grid {
    fn new(draw: &mut Draw, page: &Page, table: &Table) -> (Self, f32) {
        let names: Vec<&str> = table.rows.iter().map(|(row, _)| row.printed).chain(table.title).collect();
        let height = page.fit(names.iter().copied(), 124.0, draw.real(31.0, 36.0)).max(SMALLEST);
        let names = MARGIN + page.widest(names, height) + 16.0;
        let column = (SIDE - MARGIN - names) / 2.0;
        let height = page.fit(table.columns, column - 8.0, height);
        let lines = (table.rows.len() + 1) as f32;
        let pitch = draw.real(50.0, (SIDE - 2.0 * MARGIN) / lines);
        let top = draw.real(MARGIN, SIDE - MARGIN - lines * pitch + 0.01);
        (Self { top, pitch, names, column }, height)
    }

    fn row(&self, at: usize) -> f32 {
        self.top + at as f32 * self.pitch
    }
}

/// Draws a table.
pub(super) fn table(draw: &mut Draw, page: &mut Page) -> Table {
    let table = Table::new(draw);
    let (grid, height) = Grid::new(draw, page, &table);
    rules(draw, page, &grid, table.rows.len() + 1);
    let line = |at: usize| grid.row(at) + grid.pitch / 2.0;
    let middle = |column: usize| grid.names + (column as f32 + 0.5) * grid.column;
    if let Some(title) = table.title {
        page.write(title, (MARGIN + 6.0, line(0)), height, Anchor::Left);
    }
    for (column, heading) in table.columns.iter().enumerate() {
        page.write(heading, (middle(column), line(0)), height, Anchor::Middle);
    }
    for (at, (row, values)) in table.rows.iter().enumerate() {
        page.write(row.printed, (MARGIN + 6.0, line(at + 1)), height, Anchor::Left);
        for (column, value) in values.iter().enumerate() {
            page.write(&value.to_string(), (middle(column), line(at + 1)), height, Anchor::Middle);
        }
    }
    table
}

/// Draws what keeps header, rows and columns apart.
fn rules(draw: &mut Draw, page: &mut Page, grid: &Grid, lines: usize) {
    let manner = *draw.pick(&[Manner::Ruled, Manner::Zebra, Manner::Grid]);
    let (width, bottom) = (SIDE - 2.0 * MARGIN, grid.row(lines));
    let (head, stripe) = (page.ground.mix(page.colors[0], 0.32), page.ground.mix(page.colors[0], 0.12));
    page.canvas.fill(&rectangle((MARGIN, grid.top), width, grid.pitch), head);
    let rule = page.rule();
    for at in 1..lines {
        let y = grid.row(at);
        if manner == Manner::Zebra {
            if at % 2 == 0 {
                page.canvas.fill(&rectangle((MARGIN, y), width, grid.pitch), stripe);
            }
        } else {
            page.canvas.line((MARGIN, y), (SIDE - MARGIN, y), rule, 2.0);
        }
    }
    if manner == Manner::Grid {
        for x in [grid.names, grid.names + grid.column] {
            page.canvas.line((x, grid.top), (x, bottom), rule, 2.0);
        }
    }
    if manner != Manner::Ruled {
        page.canvas.stroke(&rectangle((MARGIN, grid.top), width, bottom - grid.top), rule, 2.0);
    }
}
