//! What a chart shows: labels of one theme, each with a value; and what can be asked about them.

use std::ops::RangeInclusive;

use super::numbers::Range;
use super::page::CELLS;
use super::wording::{about_page, ask, heading, yes_no};
use super::words::{THEMES, Theme, Word};
use crate::Question;
use crate::draw::Draw;

const VALUE: &[&str] = &[
    "What is the value of {label}?",
    "What value does {label} have?",
    "Which number belongs to {label}?",
    "What number is shown for {label}?",
    "How much is {label}?",
];
const LABEL: &[&str] = &[
    "Which {noun} has the value {value}?",
    "Which label has the value {value}?",
    "Which {thing} shows {value}?",
    "What has the value {value}?",
    "The number {value} belongs to which {noun}?",
];
const LARGEST: &[&str] = &[
    "Which {noun} has the highest value?",
    "Which label has the largest value?",
    "What has the greatest value?",
    "Which {thing} has the largest number?",
    "For which {noun} is the value highest?",
];
const SMALLEST_VALUE: &[&str] = &[
    "Which {noun} has the lowest value?",
    "Which label has the smallest value?",
    "What has the least value?",
    "Which {thing} has the smallest number?",
    "For which {noun} is the value lowest?",
];
const SUM: &[&str] = &[
    "What is the sum of {a} and {b}?",
    "How much are {a} and {b} together?",
    "What do {a} and {b} add up to?",
    "Add the values of {a} and {b}.",
    "What is {a} plus {b}?",
];
const GREATER: &[&str] = &[
    "Is {a} greater than {b}?",
    "Is the value of {a} higher than that of {b}?",
    "Does {a} have a larger value than {b}?",
    "Is {a} more than {b}?",
];
const LESS: &[&str] = &[
    "Is {a} less than {b}?",
    "Is the value of {a} lower than that of {b}?",
    "Does {a} have a smaller value than {b}?",
    "Is {a} smaller than {b}?",
];
const FACT: &[&str] = &[
    "Is the value of {label} {value}?",
    "Does {label} have the value {value}?",
    "Is {value} the number of {label}?",
    "Does the chart show {value} for {label}?",
];

/// Cells in the slot of an upright bar or a point: a label's, and a free one.
pub(super) const SLOT: usize = 4;
/// Letters of a label in a slot.
pub(super) const SHORT: usize = SLOT - 1;
/// Slots beside each other.
pub(super) const SLOTS: usize = CELLS / SLOT;

/// The largest values that are added.
const LARGEST_ADDEND: u32 = 20;

/// How values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Bar,
    Point,
    Slice,
}

impl Mark {
    fn kind(self) -> &'static str {
        match self {
            Self::Bar => "bar chart",
            Self::Point => "line chart",
            Self::Slice => "pie chart",
        }
    }

    /// One of them, and several.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Bar => ("bar", "bars"),
            Self::Point => ("point", "points"),
            Self::Slice => ("slice", "slices"),
        }
    }
}

/// A label with its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub label: Word,
    pub value: u32,
}

/// What a chart shows.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub mark: Mark,
    pub theme: &'static Theme,
    pub title: Option<&'static str>,
    /// In reading order.
    pub entries: Vec<Entry>,
    range: Range,
}

impl Chart {
    /// Some values of labels that have at most so many letters.
    pub fn new(draw: &mut Draw, mark: Mark, count: RangeInclusive<usize>, letters: usize) -> Self {
        let count = draw.between(*count.start(), *count.end());
        let (theme, words) = loop {
            let theme = *draw.pick(&THEMES);
            let words: Vec<Word> = theme.words.iter().filter(|word| word.printed.len() <= letters).copied().collect();
            if words.len() >= count {
                break (theme, words);
            }
        };
        let title = draw.chance(0.6).then(|| *draw.pick(theme.titles));
        let range = if mark == Mark::Slice { Range::Shares } else { *draw.pick(&Range::PLOTTED) };
        let mut labels: Vec<usize> = draw.sample(&(0..words.len()).collect::<Vec<_>>(), count);
        if mark == Mark::Point || theme.noun == "month" || theme.noun == "day" {
            // Time runs forward.
            labels.sort_unstable();
        }
        let values = range.series(draw, count);
        let entries = labels.into_iter().zip(values).map(|(at, value)| Entry { label: words[at], value }).collect();
        Self { mark, theme, title, entries, range }
    }

    /// The largest value.
    pub fn largest(&self) -> u32 {
        self.entries.iter().map(|entry| entry.value).max().expect("a chart has entries")
    }

    /// Everything that can be asked.
    pub fn questions(&self, draw: &mut Draw) -> Vec<Question> {
        let (thing, things) = self.mark.names();
        let mut questions = Vec::new();
        let said: Vec<String> = self.entries.iter().map(|of| format!("{} {}", of.label.printed, of.value)).collect();
        let caption = format!("{}: {}", heading(self.mark.kind(), self.title), said.join(", "));
        questions.extend(about_page(draw, self.mark.kind(), (things, self.entries.len()), &caption));
        let mut sorted = self.entries.clone();
        sorted.sort_unstable_by_key(|entry| entry.value);
        let given = [("noun", self.theme.noun), ("thing", thing)];
        questions.push(ask(draw, "smallest", SMALLEST_VALUE, &given, sorted[0].label.printed));
        questions.push(ask(draw, "largest", LARGEST, &given, sorted[sorted.len() - 1].label.printed));
        for entry in &self.entries {
            let value = entry.value.to_string();
            let given = [("noun", self.theme.noun), ("thing", thing), ("value", &value)];
            let label = [("label", entry.label.said(draw))];
            questions.push(ask(draw, "value", VALUE, &label, &value));
            questions.push(ask(draw, "label", LABEL, &given, entry.label.printed));
            self.facts(draw, entry, &mut questions);
            for other in self.entries.iter().filter(|other| other.value != entry.value) {
                pair(draw, entry, other, &mut questions);
            }
        }
        questions
    }

    /// Whether an entry has its value, that of another one, and one that looks like its own.
    fn facts(&self, draw: &mut Draw, entry: &Entry, questions: &mut Vec<Question>) {
        let others: Vec<u32> = self.entries.iter().map(|other| other.value).filter(|of| *of != entry.value).collect();
        let swapped = *draw.pick(&others);
        for value in [Some(entry.value), Some(swapped), self.range.near_miss(draw, entry.value)].into_iter().flatten() {
            let given = [("label", entry.label.said(draw)), ("value", &value.to_string())];
            questions.push(ask(draw, "fact", FACT, &given, yes_no(value == entry.value)));
        }
    }
}

/// What is asked about two entries in this order.
fn pair(draw: &mut Draw, a: &Entry, b: &Entry, questions: &mut Vec<Question>) {
    let given = [("a", a.label.said(draw)), ("b", b.label.said(draw))];
    if draw.chance(0.5) {
        questions.push(ask(draw, "compare", GREATER, &given, yes_no(a.value > b.value)));
    } else {
        questions.push(ask(draw, "compare", LESS, &given, yes_no(a.value < b.value)));
    }
    if a.value.max(b.value) <= LARGEST_ADDEND {
        questions.push(ask(draw, "sum", SUM, &given, a.value + b.value));
    }
}
