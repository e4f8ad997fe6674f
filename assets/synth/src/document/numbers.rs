//! The numbers on a page, and wrong ones that are easily taken for them.

use crate::draw::Draw;

/// Which numbers a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// 1 to 20: those that are added.
    Small,
    /// 5, 10, 15 to 95.
    Fives,
    /// 10 to 99.
    TwoDigits,
    /// The parts of a whole of 100, as multiples of 5.
    Shares,
    /// 100 to 999.
    ThreeDigits,
}

impl Range {
    /// Those of bars and lines.
    pub const PLOTTED: [Self; 4] = [Self::Small, Self::Small, Self::Fives, Self::TwoDigits];

    /// Its numbers, in order.
    pub fn numbers(self) -> Vec<u32> {
        match self {
            Self::Small => (1..=20).collect(),
            Self::Fives => (5..=95).step_by(5).collect(),
            Self::TwoDigits => (10..=99).collect(),
            Self::Shares => (10..=70).step_by(5).collect(),
            Self::ThreeDigits => (100..=999).collect(),
        }
    }

    /// Different numbers, of which the largest and the smallest stand clear of the others; shares make up 100.
    pub fn series(self, draw: &mut Draw, count: usize) -> Vec<u32> {
        let numbers = self.numbers();
        // What is drawn can be useless, seldom often in a row.
        loop {
            let mut series = draw.sample(&numbers, count);
            if self == Self::Shares {
                let others: u32 = series[1..].iter().sum();
                let last = 100_u32.saturating_sub(others);
                if !numbers.contains(&last) || series[1..].contains(&last) {
                    continue;
                }
                series[0] = last;
            }
            let mut sorted = series.clone();
            sorted.sort_unstable();
            // The largest slice must be seen to be the largest.
            let clear = if self == Self::Shares { 10 } else { 2 };
            if sorted[1] - sorted[0] >= 2 && sorted[count - 1] - sorted[count - 2] >= clear {
                return series;
            }
        }
    }

    /// Another number of this range, as long as the given one and different from it in one digit.
    ///
    /// It stays in the range so that a question gives nothing away: among multiples of 5, no 43 could be right.
    pub fn near_miss(self, draw: &mut Draw, number: u32) -> Option<u32> {
        let printed = number.to_string();
        let differences = |other: &u32| {
            let other = other.to_string();
            (other.len() == printed.len()).then(|| other.chars().zip(printed.chars()).filter(|(a, b)| a != b).count())
        };
        let near: Vec<u32> = self.numbers().into_iter().filter(|other| differences(other) == Some(1)).collect();
        (!near.is_empty()).then(|| *draw.pick(&near))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn a_series_has_one_largest_and_one_smallest() {
        let mut draw = Draw::new(Domain::Document, 0, 0);
        for range in [Range::Small, Range::Fives, Range::TwoDigits, Range::Shares] {
            for count in [3, 4].repeat(100) {
                let mut series = range.series(&mut draw, count);
                assert_eq!(series.len(), count);
                assert!(range != Range::Shares || series.iter().sum::<u32>() == 100, "{series:?}");
                series.sort_unstable();
                assert!(series.windows(2).all(|pair| pair[0] < pair[1]), "{series:?}");
                assert!(series[1] - series[0] >= 2 && series[count - 1] - series[count - 2] >= 2, "{series:?}");
                assert!(series.iter().all(|number| range.numbers().contains(number)), "{series:?}");
            }
        }
    }

    #[test]
    fn a_near_miss_differs_in_one_digit() {
        let mut draw = Draw::new(Domain::Document, 0, 0);
        for _ in 0..200 {
            let wrong = Range::Fives.near_miss(&mut draw, 45).unwrap();
            assert!(wrong == 40 || (wrong % 10 == 5 && wrong != 45 && wrong > 10), "{wrong}");
            assert!((1..=9).contains(&Range::Small.near_miss(&mut draw, 7).unwrap()));
        }
        assert_eq!(Range::Fives.near_miss(&mut draw, 5), None);
    }
}
