//! Which name each printed thing belongs to, as maps: what a model learns to see by, as the maps of words and letters.
//!
//! An object has its color where it has its shape, but a value stands apart from its name. These maps ask for each where
//! the other is, so that a vision tower learns to bring the two together.

use super::Content;
use super::page::Page;
use crate::Question;
use crate::map::{NOTHING, map_of};

/// What a printed text stands for.
#[derive(Default)]
struct Binding {
    /// The label, the row or the field that it belongs to or is.
    name: Option<String>,
    /// What belongs to that; to a row of a table too much does.
    value: Option<String>,
    /// The column of a table that it stands in.
    heading: Option<String>,
}

impl Content {
    /// The maps of names, of values and, of a table, of headings.
    pub fn bindings(&self, page: &Page) -> Vec<Question> {
        let of = |at| {
            page.text_at(at).map_or(Binding::default(), |text| self.binding(&text.content, page.field_in(text.row)))
        };
        let map = |text, part: fn(Binding) -> Option<String>| {
            map_of("binding", text, |at| part(of(at)).unwrap_or_else(|| NOTHING.to_string()))
        };
        let mut maps = vec![map("Map the names.", |of| of.name), map("Map the values.", |of| of.value)];
        if let Self::Table(_) = self {
            maps.push(map("Map the headings.", |of| of.heading));
        }
        maps
    }

    /// What a text stands for, in the row of a field if there is one.
    fn binding(&self, text: &str, field: Option<&str>) -> Binding {
        match self {
            Self::Chart(chart) => {
                let stands =
                    |name: &str, value: &str| text == name || text == value || text == format!("{name} {value}");
                let entries = chart.entries.iter().map(|entry| (entry.label.printed, entry.value.to_string()));
                let found = entries.into_iter().find(|(name, value)| stands(name, value));
                found.map_or_else(Binding::default, |(name, value)| Binding {
                    name: Some(name.to_string()),
                    value: Some(value),
                    heading: None,
                })
            }
            Self::Table(table) => {
                let find = |(row, values): &(super::words::Word, [u32; 2])| {
                    let column = values.iter().position(|value| value.to_string() == text);
                    (column.is_some() || row.printed == text).then(|| Binding {
                        name: Some(row.printed.to_string()),
                        value: column.map(|_| text.to_string()),
                        heading: column.map(|at| table.columns[at].to_string()),
                    })
                };
                table.rows.iter().find_map(find).unwrap_or_default()
            }
            Self::Form(form) => {
                let line = form.lines.iter().find(|(name, _)| Some(name.printed()) == field);
                line.map_or_else(Binding::default, |(name, filled)| Binding {
                    name: Some(name.printed().to_string()),
                    // Of a date, the month: a cell has one word.
                    value: filled.split(' ').next_back().map(str::to_string),
                    heading: None,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::check::{content, facts};
    use super::*;

    /// What a map says, without cells of nothing, each under column and row.
    fn cells(map: &Question) -> BTreeMap<(usize, usize), &str> {
        let words = map.answer.split(' ').enumerate().map(|(cell, word)| ((cell % 12, cell / 12), word));
        words.filter(|(_, word)| *word != NOTHING).collect()
    }

    #[test]
    fn values_are_bound_to_their_names_where_they_stand() {
        for index in 0..300 {
            let (content, page, _) = content(index);
            let maps = content.bindings(&page);
            let [names, values] = [0, 1].map(|at| cells(&maps[at]));
            let headings = maps.get(2).map(cells).unwrap_or_default();
            assert!(maps.iter().all(|map| map.answer.split(' ').count() == 144 && map.question_type == "binding"));
            let texts = page.take_apart().0;
            for (name, heading, value) in facts(&content) {
                let last = value.split(' ').next_back().unwrap();
                // The value alone, or behind its name; a form may say the same twice.
                let is_value = |text: &&super::super::page::Text| {
                    let here = names.get(&(text.column, text.row)) == Some(&name);
                    here && (text.content == value || text.content == format!("{name} {value}"))
                };
                let text = texts.iter().find(is_value).unwrap_or_else(|| panic!("{name} {value} on page {index}"));
                for (column, _) in text.letters() {
                    let cell = (column, text.row);
                    assert_eq!((names[&cell], values[&cell]), (name, last), "page {index}");
                    assert_eq!(headings.get(&cell).copied().unwrap_or_default(), heading, "page {index}");
                }
                // The name is where it is printed.
                let is_name = |text: &&super::super::page::Text| text.content.split([':', ' ']).next() == Some(name);
                let text = texts.iter().find(is_name).expect("a name");
                assert_eq!(names[&(text.column, text.row)], name, "page {index}");
            }
        }
    }
}
