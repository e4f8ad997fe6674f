//! The closed vocabulary that pages are printed in.
//!
//! A reader of a few million parameters learns words as shapes, so there are few of them, they are short, and a page
//! keeps to one theme: a chart is about months or about animals, not about both.

use crate::draw::Draw;

/// A word as it stands on a page, and as a question may say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What is printed: `Mar`.
    pub printed: &'static str,
    /// The same in full: `March`; most words are printed in full.
    pub full: &'static str,
}

impl Word {
    /// Either way of saying it.
    pub fn said(self, draw: &mut Draw) -> &'static str {
        if draw.chance(0.5) { self.printed } else { self.full }
    }
}

const fn short(printed: &'static str, full: &'static str) -> Word {
    Word { printed, full }
}

const fn plain(word: &'static str) -> Word {
    Word { printed: word, full: word }
}

/// What the labels of a page have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Theme {
    /// What each of them is: `month`.
    pub noun: &'static str,
    /// The labels.
    pub words: &'static [Word],
    /// What is counted of them.
    pub titles: &'static [&'static str],
}

pub(super) static MONTHS: Theme = Theme {
    noun: "month",
    words: &[
        short("Jan", "January"),
        short("Feb", "February"),
        short("Mar", "March"),
        short("Apr", "April"),
        plain("May"),
        short("Jun", "June"),
        short("Jul", "July"),
        short("Aug", "August"),
        short("Sep", "September"),
        short("Oct", "October"),
        short("Nov", "November"),
        short("Dec", "December"),
    ],
    titles: &["Sales", "Rain", "Hours"],
};

pub(super) static DAYS: Theme = Theme {
    noun: "day",
    words: &[
        short("Mon", "Monday"),
        short("Tue", "Tuesday"),
        short("Wed", "Wednesday"),
        short("Thu", "Thursday"),
        short("Fri", "Friday"),
        short("Sat", "Saturday"),
        short("Sun", "Sunday"),
    ],
    titles: &["Sales", "Rain", "Hours"],
};

pub(super) static FOODS: Theme = Theme {
    noun: "food",
    words: &[
        plain("Tea"),
        plain("Rice"),
        plain("Corn"),
        plain("Milk"),
        plain("Fish"),
        plain("Egg"),
        plain("Oil"),
        plain("Jam"),
    ],
    titles: &["Sales", "Stock", "Votes"],
};

pub(super) static CITIES: Theme = Theme {
    noun: "city",
    words: &[
        plain("Oslo"),
        plain("Rome"),
        plain("Lima"),
        plain("Riga"),
        plain("Bari"),
        plain("Kiel"),
        plain("Linz"),
        plain("Cairo"),
        plain("Delhi"),
    ],
    titles: &["Rain", "Votes", "Sales"],
};

pub(super) static PEOPLE: Theme = Theme {
    noun: "person",
    words: &[
        plain("Anna"),
        plain("Ben"),
        plain("Carl"),
        plain("Dora"),
        plain("Emma"),
        plain("Finn"),
        plain("Hugo"),
        plain("Leo"),
        plain("Zoe"),
    ],
    titles: &["Score", "Hours", "Votes"],
};

pub(super) static ANIMALS: Theme = Theme {
    noun: "animal",
    words: &[
        plain("Cat"),
        plain("Dog"),
        plain("Cow"),
        plain("Owl"),
        plain("Pig"),
        plain("Wolf"),
        plain("Bear"),
        plain("Deer"),
    ],
    titles: &["Votes", "Score"],
};

pub(super) static SPORTS: Theme = Theme {
    noun: "sport",
    words: &[plain("Golf"), plain("Judo"), plain("Polo"), plain("Ski"), plain("Surf"), plain("Yoga"), plain("Rugby")],
    titles: &["Score", "Hours", "Votes"],
};

pub(super) static ITEMS: Theme = Theme {
    noun: "item",
    words: &[
        plain("Lamp"),
        plain("Book"),
        plain("Sofa"),
        plain("Pen"),
        plain("Cup"),
        plain("Bag"),
        plain("Hat"),
        plain("Bed"),
    ],
    titles: &["Stock", "Sales"],
};

/// Letters of the longest label and of the longest title.
pub(super) const LONGEST: usize = 5;

/// All themes.
pub(super) static THEMES: [&Theme; 8] = [&MONTHS, &DAYS, &FOODS, &CITIES, &PEOPLE, &ANIMALS, &SPORTS, &ITEMS];

/// What the two columns of a table are headed: two letters, and at most three.
pub(super) const COLUMNS: [[&str; 2]; 4] = [["In", "Out"], ["On", "Off"], ["Me", "You"], ["AM", "PM"]];

/// What a printed form is headed.
pub(super) const FORM_TITLES: [&str; 3] = ["Order", "Visit", "Bill"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_label_names_one_thing_and_is_short() {
        let mut seen = BTreeSet::new();
        for word in THEMES.iter().flat_map(|theme| theme.words) {
            assert!(word.printed.len() <= LONGEST && word.printed.is_ascii(), "{}", word.printed);
            assert!(word.full.starts_with(word.printed), "{} for {}", word.full, word.printed);
            assert!(seen.insert(word.printed), "{} twice", word.printed);
        }
        println!("{} labels", seen.len());
        let mut titles = THEMES.iter().flat_map(|theme| theme.titles).chain(&FORM_TITLES);
        assert!(titles.all(|title| title.len() <= LONGEST && title.is_ascii()));
        assert!(COLUMNS.iter().all(|[first, second]| first.len() == 2 && second.len() <= 3));
        for heading in COLUMNS.as_flattened() {
            assert!(seen.insert(heading), "{heading} is a label too");
        }
    }
}
