//! Pages of print: bar, line and pie charts, tables and forms.
//!
//! They teach what a picture of shapes cannot: to read words and digits and to say which belongs to which. All that is
//! asked is printed, each letter in a patch of its own; lengths and areas are true to the numbers as well.

mod bars;
mod chart;
#[cfg(test)]
mod check;
mod form;
mod lines;
mod lists;
mod numbers;
mod page;
mod pie;
mod table;
mod wording;
mod words;

use chart::Chart;
use form::Form;
use page::Page;
use table::Table;

use crate::draw::Draw;
use crate::map::{NOTHING, map};
use crate::{Question, Scene};

/// The types of question that are asked.
pub(crate) const QUESTION_TYPES: &[&str] =
    &["value", "label", "largest", "smallest", "sum", "cell", "field", "count", "chart", "compare", "fact"];

/// Asked only where it is named: what a model learns to see by.
pub(crate) const EXTRA_TYPES: &[&str] = &["caption", "list", "map", "order"];

/// What a page says.
enum Content {
    Chart(Chart),
    Table(Table),
    Form(Form),
}

impl Content {
    /// Draws a page of one of five kinds, each as likely as the others.
    fn new(draw: &mut Draw, page: &mut Page) -> Self {
        match draw.below(5) {
            0 if draw.chance(0.5) => Self::Chart(bars::upright(draw, page)),
            0 => Self::Chart(bars::lying(draw, page)),
            1 => Self::Chart(lines::line(draw, page)),
            2 => Self::Chart(pie::pie(draw, page)),
            3 => Self::Table(table::table(draw, page)),
            _ => Self::Form(form::form(draw, page)),
        }
    }

    /// How many bars, points, slices, rows or fields there are.
    fn entries(&self) -> usize {
        match self {
            Self::Chart(chart) => chart.entries.len(),
            Self::Table(table) => table.rows.len(),
            Self::Form(form) => form.lines.len(),
        }
    }

    fn questions(&self, draw: &mut Draw) -> Vec<Question> {
        match self {
            Self::Chart(chart) => chart.questions(draw),
            Self::Table(table) => table.questions(draw),
            Self::Form(form) => form.questions(draw),
        }
    }
}

/// Draws a scene.
pub(crate) fn scene(draw: &mut Draw) -> Scene {
    let mut page = Page::new(draw);
    let content = Content::new(draw, &mut page);
    let mut questions = content.questions(draw);
    // From a branch of the stream, so that whoever does not ask for lists gets what they got without.
    questions.extend(content.lists(&mut draw.clone()));
    questions.push(map("Map the words.", |at| page.word_at(at).unwrap_or(NOTHING.to_string())));
    questions.push(map("Map the letters.", |at| page.letter_at(at).map_or(NOTHING.to_string(), String::from)));
    Scene { picture: page.finish(), questions, items: content.entries() }
}
