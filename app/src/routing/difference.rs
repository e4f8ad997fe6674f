//! Where several loads differ most: what a comparison comes to in one line.

use super::sums::Load;

/// The expert whose share differs most between two of several loads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Counted from 0.
    pub expert: usize,
    /// The load that gives it most, counted from 0, and its share.
    pub most: (usize, f64),
    /// The load that gives it least, and its share.
    pub least: (usize, f64),
}

impl Difference {
    /// The largest among loads, those that are none left out; none where fewer than two have as many experts as the
    /// first, or all are the same.
    pub fn largest(loads: &[Option<Load>]) -> Option<Self> {
        let known = || loads.iter().enumerate().filter_map(|(at, load)| Some((at, load.as_ref()?)));
        let experts = known().next()?.1.shares.len();
        let shares = |expert: usize| {
            known().filter(|(_, load)| load.shares.len() == experts).map(move |(at, load)| (at, load.shares[expert]))
        };
        let of = |expert: usize| {
            let by_share = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
            let (most, least) = (shares(expert).max_by(by_share)?, shares(expert).min_by(by_share)?);
            (most.1 > least.1).then_some(Self { expert, most, least })
        };
        let gap = |difference: &Self| difference.most.1 - difference.least.1;
        (0..experts).filter_map(of).max_by(|a, b| gap(a).total_cmp(&gap(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(shares: &[f64]) -> Option<Load> {
        Some(Load { tokens: 10, shares: shares.to_vec(), entropy_bits: 0.0, token_entropy_bits: None })
    }

    #[test]
    fn the_largest_difference_is_named() {
        let loads = [load(&[0.2, 0.5, 0.3]), None, load(&[0.3, 0.1, 0.6]), load(&[0.2, 0.2, 0.6])];
        let expected = Difference { expert: 1, most: (0, 0.5), least: (2, 0.1) };
        assert_eq!(Difference::largest(&loads), Some(expected));
    }

    #[test]
    fn nothing_to_compare_is_no_difference() {
        assert_eq!(Difference::largest(&[]), None);
        assert_eq!(Difference::largest(&[load(&[1.0, 0.0]), None]), None);
        assert_eq!(Difference::largest(&[load(&[0.5, 0.5]), load(&[0.5, 0.5])]), None);
        // Another model's experts are others.
        assert_eq!(Difference::largest(&[load(&[0.5, 0.5]), load(&[0.1, 0.2, 0.7])]), None);
    }
}
