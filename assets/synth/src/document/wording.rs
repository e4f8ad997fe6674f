//! Questions from patterns, and those that can be asked about any page.

use crate::Question;
use crate::draw::Draw;

const KIND: &[&str] = &[
    "What kind of page is this?",
    "What type of document is shown?",
    "Name the kind of page.",
    "Which sort of page is it?",
    "What do you call a page like this?",
];
const COUNT: &[&str] = &[
    "How many {things} are there?",
    "Count the {things}.",
    "What is the number of {things}?",
    "How many {things} do you see?",
    "How many {things} does the page show?",
];
const CAPTION: &[&str] = &[
    "Describe the picture in one sentence.",
    "Read the page.",
    "Transcribe the document.",
    "What is written on the page?",
    "Write down all that the page says.",
];

/// A question in one of some wordings, whose `{names}` stand for what is given.
pub(super) fn ask(
    draw: &mut Draw,
    question_type: &'static str,
    wordings: &[&str],
    given: &[(&str, &str)],
    answer: impl ToString,
) -> Question {
    let mut text = (*draw.pick(wordings)).to_owned();
    for (name, word) in given {
        text = text.replace(&format!("{{{name}}}"), word);
    }
    Question { question_type, text, answer: answer.to_string() }
}

/// `Yes` or `No`.
pub(super) fn yes_no(holds: bool) -> &'static str {
    if holds { "Yes" } else { "No" }
}

/// What is asked about every page: its kind, the number of its things, and all that it says.
pub(super) fn about_page(draw: &mut Draw, kind: &str, things: (&str, usize), caption: &str) -> [Question; 3] {
    [
        ask(draw, "chart", KIND, &[], kind),
        ask(draw, "count", COUNT, &[("things", things.0)], things.1),
        ask(draw, "caption", CAPTION, &[], caption),
    ]
}

/// The beginning of a caption: the kind of page, and its title where it has one.
pub(super) fn heading(kind: &str, title: Option<&str>) -> String {
    title.map_or_else(|| kind.to_owned(), |title| format!("{kind} {title}"))
}
