//! Answers found again from the page and the words of the question alone, by another way than the one they were made in;
//! and what pages have to look like.

use std::collections::{BTreeMap, BTreeSet};

use super::page::{CELLS, Text};
use super::words::THEMES;
use super::{Content, EXTRA_TYPES, Page, QUESTION_TYPES, scene};
use crate::draw::Draw;
use crate::{Domain, Question};

const SCENES: u64 = 600;

fn stream(index: u64) -> Draw {
    Draw::new(Domain::Document, 11, index)
}

pub(super) fn content(index: u64) -> (Content, Page, Vec<Question>) {
    let mut draw = stream(index);
    let mut page = Page::new(&mut draw);
    let content = Content::new(&mut draw, &mut page);
    let questions = content.questions(&mut draw);
    (content, page, questions)
}

/// The page as a plain list: what a thing is called, under which heading, and what is printed there.
pub(super) fn facts(content: &Content) -> Vec<(&str, &str, String)> {
    match content {
        Content::Chart(chart) => {
            chart.entries.iter().map(|entry| (entry.label.printed, "", entry.value.to_string())).collect()
        }
        Content::Table(table) => {
            let cells = |at: usize| {
                table.rows.iter().map(move |(row, values)| (row.printed, table.columns[at], values[at].to_string()))
            };
            cells(0).chain(cells(1)).collect()
        }
        Content::Form(form) => form.lines.iter().map(|(field, filled)| (field.printed(), "", filled.clone())).collect(),
    }
}

pub(super) fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

/// Where a name is said, printed, in full or as a word of a sentence.
fn said(text: &str, name: &str, in_lower_case: bool) -> Option<usize> {
    let of_theme = THEMES.iter().flat_map(|theme| theme.words).find(|word| word.printed == name);
    let full = of_theme.map_or(name, |word| word.full);
    let is_it = |word: &&str| *word == name || *word == full || (in_lower_case && *word == name.to_lowercase());
    words(text).iter().position(is_it)
}

/// What is printed at the places a question names, in the order it names them.
pub(super) fn named(content: &Content, text: &str) -> Vec<String> {
    let is_form = matches!(content, Content::Form(_));
    let place = |(name, heading, value): (&str, &str, String)| {
        let at = said(text, name, is_form)?;
        (heading.is_empty() || words(text).contains(&heading)).then_some((at, value))
    };
    let mut found: Vec<_> = facts(content).into_iter().filter_map(place).collect();
    found.sort();
    found.into_iter().map(|(_, value)| value).collect()
}

/// The answer to a question about a chart, table or form.
fn answer(content: &Content, Question { question_type, text, .. }: &Question) -> String {
    let facts = facts(content);
    let number = |printed: &String| printed.parse::<u32>().unwrap();
    let yes_no = |holds: bool| if holds { "Yes".to_owned() } else { "No".to_owned() };
    let named = named(content, text);
    match *question_type {
        "value" | "cell" | "field" => {
            assert_eq!(named.len(), 1, "{text} names {named:?}");
            named[0].clone()
        }
        "label" => {
            let having: Vec<_> = facts.iter().filter(|(.., value)| words(text).contains(&value.as_str())).collect();
            assert_eq!(having.len(), 1, "{text} fits {having:?}");
            having[0].0.to_owned()
        }
        "largest" | "smallest" => {
            let beats = |a: u32, b: u32| if *question_type == "largest" { a > b } else { a < b };
            let best = |of: &&(&str, &str, String)| {
                facts.iter().all(|other| other.0 == of.0 || beats(number(&of.2), number(&other.2)))
            };
            facts.iter().find(best).unwrap().0.to_owned()
        }
        "sum" => {
            assert_eq!(named.len(), 2, "{text} names {named:?}");
            assert!(named.iter().map(number).all(|addend| addend <= 20));
            named.iter().map(number).sum::<u32>().to_string()
        }
        "compare" => {
            let [a, b] = [0, 1].map(|at| number(&named[at]));
            let greater = ["greater", "higher", "larger", "more"].iter().any(|word| words(text).contains(word));
            yes_no(if greater { a > b } else { a < b })
        }
        "fact" => {
            assert_eq!(named.len(), 1, "{text} names {named:?}");
            yes_no(format!(" {} ", words(text).join(" ")).contains(&format!(" {} ", named[0])))
        }
        "count" => {
            let things: BTreeSet<_> = facts.iter().map(|fact| fact.0).collect();
            things.len().to_string()
        }
        "chart" => kind(content).to_owned(),
        "caption" => caption(content),
        other => panic!("{other} is no type"),
    }
}

fn kind(content: &Content) -> &'static str {
    use super::chart::Mark;
    match content {
        Content::Chart(chart) if chart.mark == Mark::Bar => "bar chart",
        Content::Chart(chart) if chart.mark == Mark::Point => "line chart",
        Content::Chart(_) => "pie chart",
        Content::Table(_) => "table",
        Content::Form(_) => "form",
    }
}

fn caption(content: &Content) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for (name, _, value) in facts(content) {
        match lines.iter_mut().find(|line| line.0 == name) {
            Some(line) => line.1 += &format!(" {value}"),
            None => lines.push((name, format!("{name} {value}"))),
        }
    }
    let (title, columns) = match content {
        Content::Chart(chart) => (chart.title, String::new()),
        Content::Table(table) => (table.title, format!(", columns {}", table.columns.join(" "))),
        Content::Form(form) => (form.title, String::new()),
    };
    let title = title.map(|title| format!(" {title}")).unwrap_or_default();
    let lines: Vec<String> = lines.into_iter().map(|line| line.1).collect();
    format!("{}{title}{columns}: {}", kind(content), lines.join(", "))
}

#[test]
fn answers_follow_from_the_page() {
    for index in 0..SCENES {
        let (content, _, questions) = content(index);
        for question in &questions {
            assert_eq!(question.answer, answer(&content, question), "{question:?} on page {index}");
            assert!(!question.text.contains(['{', '}']), "{question:?} is unfinished");
        }
    }
}

#[test]
fn a_question_has_one_answer() {
    for index in 0..SCENES {
        let mut answers = BTreeMap::new();
        for Question { text, answer, .. } in scene(&mut stream(index)).questions {
            let before = answers.insert(text.clone(), answer.clone());
            assert!(before.is_none_or(|before| before == answer), "{text} on page {index}");
        }
    }
}

#[test]
fn all_that_is_asked_is_printed() {
    for index in 0..SCENES {
        let (content, page, _) = content(index);
        let (texts, _) = page.take_apart();
        let printed: Vec<&str> = texts.iter().map(|text| text.content.as_str()).collect();
        for (name, heading, value) in facts(&content) {
            let joined = format!("{name} {value}");
            for part in [name, heading, value.as_str()] {
                let stands = printed.iter().any(|text| text.trim_end_matches(':') == part || *text == joined);
                assert!(stands || part.is_empty(), "{part} is not on page {index}: {printed:?}");
            }
        }
    }
}

/// The cells that letters stand in, column and row, each with its letter and the text it is of.
fn cells(texts: &[Text]) -> Vec<((usize, usize), char, &Text)> {
    texts.iter().flat_map(|text| text.letters().map(move |(at, letter)| ((at, text.row), letter, text))).collect()
}

/// The pixels of a cell: columns and rows.
fn pixels((column, row): (usize, usize)) -> impl Iterator<Item = (u32, u32)> {
    let of = |cell: usize| 28 * cell as u32..28 * (cell as u32 + 1);
    of(column).flat_map(move |x| of(row).map(move |y| (x, y)))
}

#[test]
fn words_stand_free_and_on_an_even_ground() {
    for index in 0..SCENES {
        let (texts, below) = content(index).1.take_apart();
        let mut taken = BTreeSet::new();
        for text in &texts {
            assert!(text.column + text.content.len() <= CELLS && text.row < CELLS, "{text:?} on page {index}");
            for column in text.column..text.column + text.content.len() {
                let cell = (column, text.row);
                assert!(taken.insert(cell), "{text:?} and another overlap on page {index}");
                let corner = below.get_pixel(28 * column as u32, 28 * text.row as u32);
                let even = pixels(cell).all(|(x, y)| below.get_pixel(x, y) == corner);
                assert!(even, "something is drawn below {text:?} on page {index}");
            }
        }
        // Two texts in one row are two words.
        for text in &texts {
            let end = text.column + text.content.len();
            let next = texts.iter().any(|other| other.row == text.row && other.column == end);
            assert!(!next, "{text:?} runs into another on page {index}");
        }
    }
}

#[test]
fn the_ink_of_a_letter_stays_in_its_cell_and_is_legible() {
    for index in 0..SCENES {
        let (texts, below) = content(index).1.take_apart();
        // Of neighbours only one is printed at a time, so that what leaves a cell is not taken for another's.
        for part in 0..2 {
            let mut page = content(index).1;
            page.keep(|column, row| (column + row) % 2 == part);
            let picture = page.finish();
            let mut ink = BTreeMap::new();
            for (x, y, pixel) in picture.enumerate_pixels() {
                if pixel != below.get_pixel(x, y) {
                    ink.entry(((x / 28) as usize, (y / 28) as usize)).or_insert_with(Vec::new).push((x % 28, y % 28));
                }
            }
            let expected: Vec<_> = cells(&texts).into_iter().filter(|((x, y), ..)| (x + y) % 2 == part).collect();
            for (cell, letter, text) in &expected {
                let ink = ink.get(cell).unwrap_or_else(|| panic!("{letter} of {text:?} on page {index} has no ink"));
                let span = |of: fn(&(u32, u32)) -> u32| {
                    let (least, most) = (ink.iter().map(of).min().unwrap(), ink.iter().map(of).max().unwrap() + 1);
                    (least as f32, most as f32)
                };
                let ((left, right), (top, bottom)) = (span(|at| at.0), span(|at| at.1));
                assert!(((left + right) / 2.0 - 14.0).abs() <= 3.0, "{letter} is from {left} to {right}");
                let high = letter.is_ascii_digit() || letter.is_ascii_uppercase();
                assert!(!high || (bottom - top >= 20.0 && top <= 2.0), "{letter} is from {top} to {bottom}");
            }
            assert_eq!(ink.len(), expected.len(), "ink outside of the cells of page {index}");
        }
    }
}

#[test]
fn a_map_names_the_letters_in_its_cells() {
    for index in 0..SCENES {
        let questions = scene(&mut stream(index)).questions;
        let maps: Vec<_> = questions.iter().filter(|of| of.question_type == "map").collect();
        assert_eq!(maps.len(), 2);
        let of = |text: &str| maps.iter().find(|map| map.text == text).expect(text).answer.split(' ').collect();
        let (letters, whole): (Vec<&str>, Vec<&str>) = (of("Map the letters."), of("Map the words."));
        let texts = content(index).1.take_apart().0;
        assert!(texts.iter().all(|text| !text.content.contains('-')), "a dash is taken for an empty cell");
        let (mut expected, mut words_expected) = (vec!["-".to_owned(); 144], vec!["-".to_owned(); 144]);
        for ((column, row), letter, text) in cells(&texts) {
            let cell = 12 * row + column;
            expected[cell] = letter.to_string();
            // The words of a text begin after its spaces.
            let (mut word, mut at) = ("", text.column);
            for part in text.content.split(' ') {
                if (at..at + part.len()).contains(&column) {
                    word = part.trim_end_matches(':');
                }
                at += part.len() + 1;
            }
            words_expected[cell] = if letter.is_alphabetic() { word.to_owned() } else { letter.to_string() };
        }
        assert_eq!(letters, expected, "page {index}");
        assert_eq!(whole, words_expected, "page {index}");
        assert!(expected.iter().any(|word| word != "-"), "page {index} has no letters");
    }
}

#[test]
fn the_types_are_those_that_are_listed() {
    let questions = (0..SCENES).flat_map(|index| scene(&mut stream(index)).questions);
    let seen: BTreeSet<_> = questions.map(|question| question.question_type).collect();
    assert_eq!(seen, QUESTION_TYPES.iter().copied().chain(EXTRA_TYPES.iter().copied()).collect());
}

#[test]
fn kinds_of_page_are_equally_frequent() {
    let mut counts = BTreeMap::new();
    for index in 0..SCENES {
        *counts.entry(kind(&content(index).0)).or_insert(0_u64) += 1;
    }
    // Five times the deviation of a fair draw is 49 at 120.
    assert!(counts.len() == 5 && counts.values().all(|count| count.abs_diff(SCENES / 5) < 49), "{counts:?}");
}

#[test]
fn a_scene_is_a_function_of_seed_and_number() {
    for index in 0..40 {
        let [first, second] = [scene(&mut stream(index)), scene(&mut stream(index))];
        assert_eq!(first.picture.as_raw(), second.picture.as_raw());
        assert_eq!(first.questions, second.questions);
        assert_ne!(first.picture.as_raw(), scene(&mut stream(index + 1)).picture.as_raw());
    }
}

#[test]
fn the_question_of_the_manual_is_asked() {
    let asks =
        |index: u64| scene(&mut stream(index)).questions.iter().any(|of| of.text == "What is the value of March?");
    assert!((0..4 * SCENES).any(asks));
}
