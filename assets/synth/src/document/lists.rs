//! All that a page says, in other orders than its own: not asked by itself, but what a model learns to find things by.
//!
//! A caption follows the page, so whoever knows where one word stands finds the next beside it. Here any name may come
//! next, and what belongs to it has to be found.

use super::chart::{Chart, Entry};
use super::wording::ask;
use super::{Content, Question};
use crate::draw::Draw;

const LIST: &[&str] =
    &["List all in any order.", "What is the value of what?", "Which value belongs to which name?", "Say all values."];
const REVERSED: &[&str] =
    &["List the values, each before its name.", "Which name belongs to which value?", "Say what has which value."];
const DESCENDING: &[&str] =
    &["List all from the highest to the lowest.", "Sort all, the largest first.", "Say all, greatest value first."];
const ASCENDING: &[&str] =
    &["List all from the lowest to the highest.", "Sort all, the smallest first.", "Say all, least value first."];

impl Content {
    /// The lists that can be made of a page.
    pub fn lists(&self, draw: &mut Draw) -> Vec<Question> {
        let mut named = self.named(draw);
        draw.shuffle(&mut named);
        let forward = named.iter().map(|(name, value)| format!("{name} {value}"));
        let mut lists = vec![list(draw, "list", LIST, forward)];
        draw.shuffle(&mut named);
        let reversed = named.iter().map(|(name, value)| format!("{value} {name}"));
        lists.push(list(draw, "list", REVERSED, reversed));
        if let Self::Chart(chart) = self {
            chart.lists(draw, &mut lists);
        }
        lists
    }

    /// Each name on the page with what belongs to it.
    fn named(&self, draw: &mut Draw) -> Vec<(String, String)> {
        match self {
            Self::Chart(chart) => {
                chart.entries.iter().map(|of| (of.label.said(draw).to_owned(), of.value.to_string())).collect()
            }
            Self::Table(table) => {
                let cells = table.rows.iter().flat_map(|(row, values)| {
                    table.columns.iter().zip(values).map(move |(column, value)| (row, column, value))
                });
                cells.map(|(row, column, value)| (format!("{} {column}", row.said(draw)), value.to_string())).collect()
            }
            Self::Form(form) => {
                form.lines.iter().map(|(field, filled)| (field.printed().to_owned(), filled.clone())).collect()
            }
        }
    }
}

impl Chart {
    /// By size.
    fn lists(&self, draw: &mut Draw, lists: &mut Vec<Question>) {
        let mut sorted = self.entries.clone();
        sorted.sort_unstable_by_key(|entry| entry.value);
        let said = |of: &Entry| format!("{} {}", of.label.printed, of.value);
        lists.push(list(draw, "order", ASCENDING, sorted.iter().map(said)));
        lists.push(list(draw, "order", DESCENDING, sorted.iter().rev().map(said)));
    }
}

/// One list of a page.
fn list(
    draw: &mut Draw,
    question_type: &'static str,
    wordings: &[&str],
    items: impl IntoIterator<Item = String>,
) -> Question {
    let items: Vec<String> = items.into_iter().collect();
    ask(draw, question_type, wordings, &[], items.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::check::{content, facts, named, words};
    use super::*;

    const PAGES: u64 = 400;

    /// Whether an item of a list is what the page says.
    fn holds(content: &Content, item: &str) -> bool {
        let named = named(content, item);
        named.len() == 1 && format!(" {item} ").contains(&format!(" {} ", named[0]))
    }

    #[test]
    fn each_item_is_on_the_page_and_none_is_missing() {
        for index in 0..PAGES {
            let content = content(index).0;
            let lists = content.lists(&mut Draw::new(crate::Domain::Document, 12, index));
            assert!(lists.len() >= 2);
            for Question { answer, .. } in lists {
                let items: BTreeSet<&str> = answer.split(", ").collect();
                for item in &items {
                    assert!(holds(&content, item), "{item} on page {index}: {:?}", facts(&content));
                }
                assert_eq!(items.len(), facts(&content).len(), "{answer} on page {index}");
            }
        }
    }

    #[test]
    fn sorted_lists_are_sorted() {
        let mut seen = 0;
        for index in 0..PAGES {
            let content = content(index).0;
            let lists = content.lists(&mut Draw::new(crate::Domain::Document, 12, index));
            for Question { text, answer, .. } in lists {
                let mut numbers: Vec<u32> =
                    answer.split(", ").filter_map(|item| words(item).last()?.parse().ok()).collect();
                if DESCENDING.contains(&text.as_str()) {
                    numbers.reverse();
                } else if !ASCENDING.contains(&text.as_str()) {
                    continue;
                }
                seen += 1;
                assert!(numbers.len() >= 3 && numbers.is_sorted(), "{answer} on page {index}");
            }
        }
        assert!(seen > 0);
    }
}
