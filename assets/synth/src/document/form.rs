//! Printed forms: a few lines of a field's name and what was filled in.

use super::numbers::Range;
use super::page::{CELLS, Page, edge, spread};
use super::wording::{about_page, ask, heading, yes_no};
use super::words::{ANIMALS, CITIES, FORM_TITLES, ITEMS, MONTHS, PEOPLE, Theme};
use crate::Question;
use crate::canvas::{SIDE, rectangle};
use crate::draw::Draw;

const FIELD: &[&str] = &[
    "What is the {said}?",
    "What is written after {field}?",
    "What does the line {field} say?",
    "What was filled in for {field}?",
    "Which {said} does the form give?",
];
const FACT: &[&str] = &[
    "Is the {said} {value}?",
    "Is {value} written after {field}?",
    "Does the line {field} say {value}?",
    "Was {value} filled in for {field}?",
];
const KIND: &str = "form";
const LAST_DAY: u32 = 28;

/// A field of a form; each stands on it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    City,
    Item,
    Pet,
    Date,
    Age,
    Total,
    No,
}

impl Field {
    const ALL: [Self; 8] =
        [Self::Name, Self::City, Self::Item, Self::Pet, Self::Date, Self::Age, Self::Total, Self::No];

    /// As it is printed.
    pub fn printed(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::City => "City",
            Self::Item => "Item",
            Self::Pet => "Pet",
            Self::Date => "Date",
            Self::Age => "Age",
            Self::Total => "Total",
            Self::No => "No",
        }
    }

    /// As it is said within a sentence.
    fn said(self) -> String {
        // "no" would be another word.
        if self == Self::No { "No".to_owned() } else { self.printed().to_lowercase() }
    }

    /// The words it is filled with, if it is words.
    fn theme(self) -> Option<&'static Theme> {
        match self {
            Self::Name => Some(&PEOPLE),
            Self::City => Some(&CITIES),
            Self::Item => Some(&ITEMS),
            Self::Pet => Some(&ANIMALS),
            Self::Date | Self::Age | Self::Total | Self::No => None,
        }
    }

    fn range(self) -> Range {
        if self == Self::No { Range::ThreeDigits } else { Range::TwoDigits }
    }

    /// Something to fill in.
    fn fill(self, draw: &mut Draw) -> String {
        match (self, self.theme()) {
            (_, Some(theme)) => draw.pick(theme.words).printed.to_owned(),
            (Self::Date, None) => date(draw.between(1, LAST_DAY as usize), draw.pick(MONTHS.words).printed),
            (_, None) => draw.pick(&self.range().numbers()).to_string(),
        }
    }

    /// Something of the same sort that is easily taken for what was filled in.
    fn near_miss(self, draw: &mut Draw, filled: &str) -> String {
        if self != Self::Date
            && self.theme().is_none()
            && let Some(near) = filled.parse().ok().and_then(|number| self.range().near_miss(draw, number))
        {
            return near.to_string();
        }
        // Of a date, the day or the month stays.
        let part = filled.split_once(' ');
        let keep_day = draw.chance(0.5);
        loop {
            let other = match part {
                Some((day, _)) if keep_day => format!("{day} {}", draw.pick(MONTHS.words).printed),
                Some((_, month)) => date(draw.between(1, LAST_DAY as usize), month),
                None => self.fill(draw),
            };
            if other != filled {
                return other;
            }
        }
    }
}

fn date(day: usize, month: &str) -> String {
    format!("{day} {month}")
}

/// What a form says.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub title: Option<&'static str>,
    pub lines: Vec<(Field, String)>,
}

impl Form {
    fn new(draw: &mut Draw) -> Self {
        let count = draw.between(3, 5);
        let fields = draw.sample(&Field::ALL, count);
        let lines = fields.into_iter().map(|field| (field, field.fill(draw))).collect();
        Self { title: draw.chance(0.5).then(|| *draw.pick(&FORM_TITLES)), lines }
    }

    /// Everything that can be asked.
    pub fn questions(&self, draw: &mut Draw) -> Vec<Question> {
        let lines: Vec<_> = self.lines.iter().map(|(field, filled)| format!("{} {filled}", field.printed())).collect();
        let caption = format!("{}: {}", heading(KIND, self.title), lines.join(", "));
        let mut questions = about_page(draw, KIND, ("fields", lines.len()), &caption).to_vec();
        for (field, filled) in &self.lines {
            let said = field.said();
            let given = [("said", said.as_str()), ("field", field.printed())];
            questions.push(ask(draw, "field", FIELD, &given, filled));
            let wrong = field.near_miss(draw, filled);
            for value in [filled, &wrong] {
                let given = [given[0], given[1], ("value", value.as_str())];
                questions.push(ask(draw, "fact", FACT, &given, yes_no(value == filled)));
            }
        }
        questions
    }
}

/// Draws a form.
pub(super) fn form(draw: &mut Draw, page: &mut Page) -> Form {
    let form = Form::new(draw);
    let body = page.title(draw, form.title);
    // A row is free above and below, for a frame.
    let rows = spread(draw, form.lines.len(), body + 1, CELLS - 2);
    if draw.chance(0.5) {
        rules(page, &rows);
    } else {
        frame(draw, page, rows[0], rows[rows.len() - 1] + 1);
    }
    let names: Vec<String> = form.lines.iter().map(|(field, _)| format!("{}:", field.printed())).collect();
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().expect("a form has lines");
    let widest = longest(&mut names.iter().map(String::len));
    // All that was filled in begins at one column, or each a space after its name.
    let aligned =
        draw.chance(0.5) && widest + 1 + longest(&mut form.lines.iter().map(|(_, filled)| filled.len())) <= CELLS;
    let after = |name: &String| 1 + if aligned { widest } else { name.len() };
    let whole = longest(&mut names.iter().zip(&form.lines).map(|(name, (_, filled))| after(name) + filled.len()));
    let left = draw.between(0, (CELLS - whole).min(2));
    for (row, (name, (_, filled))) in rows.into_iter().zip(names.iter().zip(&form.lines)) {
        page.write(name, left, row);
        page.write(filled, left + after(name), row);
    }
    form
}

/// A line below each field.
fn rules(page: &mut Page, rows: &[usize]) {
    let color = page.ground.mix(page.ink, 0.3);
    for row in rows {
        page.canvas.fill(&rectangle((8.0, edge(row + 1)), SIDE - 16.0, 2.0), color);
    }
}

/// A line above and below all fields, between which some forms are tinted.
fn frame(draw: &mut Draw, page: &mut Page, first: usize, end: usize) {
    if draw.chance(0.5) {
        let tint = page.ground.mix(page.colors[0], 0.12);
        page.canvas.fill(&rectangle((0.0, edge(first)), SIDE, edge(end - first)), tint);
    }
    page.rule((0.0, edge(first) - 2.0), SIDE, 2.0);
    page.rule((0.0, edge(end)), SIDE, 2.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn what_is_filled_in_stands_after_its_field() {
        for index in 0..200 {
            let mut draw = Draw::new(Domain::Document, 9, index);
            let mut page = Page::new(&mut draw);
            let form = form(&mut draw, &mut page);
            let texts = page.take_apart().0;
            for (field, filled) in &form.lines {
                let name = format!("{}:", field.printed());
                let name = texts.iter().find(|text| text.content == name).expect("the field is printed");
                let after = |text: &crate::document::page::Text| text.row == name.row && text.column > name.column;
                let after: Vec<_> = texts.iter().filter(|text| after(text)).collect();
                assert!(after.len() == 1 && after[0].content == *filled, "{name:?} on page {index}: {after:?}");
                assert!(after[0].column > name.column + name.content.len(), "{name:?} on page {index}: {after:?}");
            }
        }
    }
}
