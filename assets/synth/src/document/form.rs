//! Printed forms: a few lines of a field's name and what was filled in.

use super::numbers::Range;
use super::page::Page;
use super::wording::{about_page, ask, heading, yes_no};
use super::words::{ANIMALS, CITIES, FORM_TITLES, ITEMS, MONTHS, PEOPLE, Theme};
use crate::Question;
use crate::canvas::{Anchor, SIDE, rectangle};
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
    let names: Vec<String> = form.lines.iter().map(|(field, _)| format!("{}:", field.printed())).collect();
    let whole: Vec<String> =
        names.iter().zip(&form.lines).map(|(name, (_, filled))| format!("{name} {filled}")).collect();
    let height = page.fit(whole.iter().map(String::as_str), 300.0, draw.real(32.0, 37.0));
    let left = draw.real(12.0, 18.0);
    // All that was filled in begins at one line, or each right after its name.
    let widest = page.widest(names.iter().map(String::as_str), height);
    let filled = form.lines.iter().map(|(_, filled)| filled.as_str());
    let aligned = draw.chance(0.5) && left + widest + 12.0 + page.widest(filled, height) < SIDE - 10.0;
    let pitch = (SIDE - 10.0 - body) / form.lines.len().max(4) as f32;
    let ruled = draw.chance(0.5);
    if ruled {
        rule(page, body, pitch, form.lines.len());
    } else {
        frame(draw, page, body, pitch * form.lines.len() as f32);
    }
    for (at, (name, (_, filled))) in names.iter().zip(&form.lines).enumerate() {
        let y = body + (at as f32 + 0.5) * pitch;
        let width = if aligned { widest } else { page.widest([name.as_str()], height) };
        page.write(name, (left, y), height, Anchor::Left);
        page.write(filled, (left + width + 12.0, y), height, Anchor::Left);
    }
    form
}

/// A line below each field.
fn rule(page: &mut Page, body: f32, pitch: f32, lines: usize) {
    let color = page.ground.mix(page.ink, 0.3);
    for at in 1..=lines {
        let y = body + at as f32 * pitch;
        page.canvas.line((8.0, y), (SIDE - 8.0, y), color, 2.0);
    }
}

/// A box around all fields, in some forms tinted.
fn frame(draw: &mut Draw, page: &mut Page, body: f32, height: f32) {
    let path = rectangle((6.0, body), SIDE - 12.0, height + 2.0);
    if draw.chance(0.5) {
        page.canvas.fill(&path, page.ground.mix(page.colors[0], 0.12));
    }
    let rule = page.rule();
    page.canvas.stroke(&path, rule, 2.0);
}
