//! Answers found again from the page and the words of the question alone, by another way than the one they were made in;
//! and what pages have to look like.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Text;
use super::words::THEMES;
use super::{Content, EXTRA_TYPES, Page, QUESTION_TYPES, scene};
use crate::canvas::{Canvas, Rgb};
use crate::draw::Draw;
use crate::{Domain, Question};

const SCENES: u64 = 600;

fn stream(index: u64) -> Draw {
    Draw::new(Domain::Document, 11, index)
}

fn content(index: u64) -> (Content, Page, Vec<Question>) {
    let mut draw = stream(index);
    let mut page = Page::new(&mut draw);
    let content = Content::new(&mut draw, &mut page);
    let questions = content.questions(&mut draw);
    (content, page, questions)
}

/// The page as a plain list: what a thing is called, under which heading, and what is printed there.
fn facts(content: &Content) -> Vec<(&str, &str, String)> {
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

fn words(text: &str) -> Vec<&str> {
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
fn named(content: &Content, text: &str) -> Vec<String> {
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
fn all_that_is_asked_is_printed_in_legible_letters() {
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
        for text in texts {
            assert!(text.height >= 28.0, "{text:?} on page {index}");
        }
    }
}

#[test]
fn words_stand_free_and_on_an_even_ground() {
    for index in 0..SCENES {
        let (_, page, _) = content(index);
        let (texts, below) = page.take_apart();
        for (at, text) in texts.iter().enumerate() {
            let [left, top, right, bottom] = text.area();
            assert!(left >= 0.0 && top >= 0.0 && right <= 336.0 && bottom <= 336.0, "{text:?} on page {index}");
            let apart = |other: &Text| {
                let area = other.area();
                right <= area[0] || area[2] <= left || bottom <= area[1] || area[3] <= top
            };
            for other in &texts[at + 1..] {
                assert!(apart(other), "{text:?} and {other:?} overlap on page {index}");
            }
            let corner = below.get_pixel(left as u32, top as u32);
            let columns = left as u32..(right.ceil() as u32).min(336);
            for (x, y) in columns.flat_map(|x| (top as u32..bottom as u32).map(move |y| (x, y))) {
                assert_eq!(below.get_pixel(x, y), corner, "something is drawn below {text:?} on page {index}");
            }
        }
    }
}

/// The letters that are printed at this distance from the left edge, a little more or less.
fn letters_at(text: &Text, x: f32) -> String {
    let ruler = Canvas::new(Rgb(255, 255, 255));
    let reach = |bytes: usize| text.area()[0] + ruler.text_width(&text.content[..bytes], text.height);
    let here = |&(at, letter): &(usize, char)| (reach(at) - 0.1..reach(at + letter.len_utf8()) + 0.1).contains(&x);
    text.content.char_indices().filter(here).map(|(_, letter)| letter).collect()
}

#[test]
fn a_map_names_the_letters_in_the_middles_of_its_cells() {
    for index in 0..SCENES {
        let with_map = scene(&mut stream(index));
        let maps: Vec<_> = with_map.questions.iter().filter(|of| of.question_type == "map").collect();
        assert_eq!(maps.len(), 2);
        let of = |text: &str| maps.iter().find(|map| map.text == text).expect(text).answer.split(' ').collect();
        let (words, whole): (Vec<&str>, Vec<&str>) = (of("Map the letters."), of("Map the words."));
        for (letter, word) in words.iter().zip(&whole) {
            let number = letter.chars().all(|letter| letter.is_ascii_digit() || [':', '-'].contains(&letter));
            assert!(if number { letter == word } else { word.contains(letter) }, "{letter} is not of {word}");
        }
        let printed = content(index).1.take_apart().0;
        let known = |word: &&str| printed.iter().any(|text| text.content.split([' ', ':']).any(|part| part == *word));
        assert!(whole.iter().filter(|word| word.len() > 1).all(known), "page {index}: {whole:?}");
        assert!(words.len() == 144 && words.iter().all(|word| word.chars().count() == 1), "{words:?}");
        assert!(words.iter().any(|word| *word != "-"), "page {index} has no letters");
        let (texts, below) = content(index).1.take_apart();
        assert!(texts.iter().all(|text| !text.content.contains('-')), "a dash is taken for an empty cell");
        for (cell, word) in words.into_iter().enumerate() {
            let (column, row) = (14 + 28 * (cell as u32 % 12), 14 + 28 * (cell as u32 / 12));
            let (x, y) = (column as f32, row as f32);
            let inside = |by: f32| {
                let covers = move |text: &&Text| {
                    let [left, top, right, bottom] = text.area();
                    left + by <= x && x <= right - by && top + by <= y && y <= bottom - by
                };
                texts.iter().find(covers).map(|text| letters_at(text, x))
            };
            let printed = |x: u32, y: u32| with_map.picture.get_pixel(x, y) != below.get_pixel(x, y);
            let place = format!("page {index}, cell {cell}, {word}");
            if word == "-" {
                let space = inside(2.0).is_none_or(|letters| letters.contains(' '));
                let ink = [(1, 1), (0, 1), (1, 0), (0, 0)].iter().all(|(a, b)| printed(column - a, row - b));
                assert!(space && !ink, "{place}: {:?}, ink: {ink}", inside(2.0));
            } else {
                let letters = inside(-0.1).expect(&place);
                assert!(letters.contains(word), "{place}: {letters}");
            }
        }
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
