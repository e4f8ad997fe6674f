//! Which sample comes when: a function of the seed and the number of the draw, and of nothing else.
//!
//! So there is no state that a checkpoint would have to keep, and a resumed run draws what an uninterrupted one would
//! have drawn. A dataset's share is its weight, whatever its size, and is kept in every stretch of draws to within two
//! samples. Within a dataset every sample comes once before any comes again.

use super::interleave::Interleave;
use super::permutation::{key, permute};
use crate::error::{Error, Result};

/// In what order the samples of a dataset come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As in the file, again and again.
    File,
    /// In another order each time through the dataset, drawn by the seed.
    Shuffled,
}

/// Weighted datasets as one endless series of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture {
    lens: Vec<u64>,
    seed: u64,
    order: Order,
    interleave: Interleave,
}

impl Mixture {
    /// Mixes datasets.
    ///
    /// - `lens`: how many samples each has.
    /// - `weights`: how often each is drawn, in proportion to the others.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no dataset, one is empty, or a weight is not a number above 0.
    ///
    /// # Panics
    /// If there are not as many weights as datasets.
    pub fn new(lens: &[usize], weights: &[f64], seed: u64, order: Order) -> Result<Self> {
        assert_eq!(lens.len(), weights.len(), "a weight for each dataset");
        let refuse = |reason: String| Error::Config { file: "config".to_owned(), reason };
        if lens.is_empty() {
            return Err(refuse("has no [[data]]: name at least one dataset".to_owned()));
        }
        if let Some(at) = lens.iter().position(|&len| len == 0) {
            return Err(refuse(format!("[[data]] number {} has no sample that can be used: leave it out", at + 1)));
        }
        if let Some(at) = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
            return Err(refuse(format!(
                "weight of [[data]] number {} is {}, expected a number above 0: leave out a dataset that is not wanted",
                at + 1,
                weights[at]
            )));
        }
        let interleave = Interleave::new(weights, |fork| key(&[seed, fork as u64]));
        Ok(Self { lens: lens.iter().map(|&len| len as u64).collect(), seed, order, interleave })
    }

    /// Draw `n`: the dataset, and the sample in it.
    pub fn draw(&self, n: u64) -> (usize, usize) {
        let (dataset, pick) = self.interleave.turn(n);
        let len = self.lens[dataset];
        let (epoch, position) = (pick / len, pick % len);
        let index = match self.order {
            Order::File => position,
            Order::Shuffled => permute(position, len, key(&[self.seed, dataset as u64, epoch])),
        };
        (dataset, index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(mixture: &Mixture, count: u64) -> Vec<(usize, usize)> {
        (0..count).map(|n| mixture.draw(n)).collect()
    }

    #[test]
    fn one_dataset_unshuffled_is_the_file() {
        let mixture = Mixture::new(&[3], &[0.1], 9, Order::File).unwrap();
        assert_eq!(draws(&mixture, 7), [0, 1, 2, 0, 1, 2, 0].map(|index| (0, index)));
        assert_eq!(mixture.draw(3_000_000_000_002), (0, 2));
    }

    #[test]
    fn every_epoch_has_every_sample_once() {
        for order in [Order::File, Order::Shuffled] {
            let mixture = Mixture::new(&[5, 97], &[1.0, 3.0], 4, order).unwrap();
            let all = draws(&mixture, 4000);
            for (dataset, len) in [(0, 5), (1, 97)] {
                let picks: Vec<usize> = all.iter().filter(|draw| draw.0 == dataset).map(|draw| draw.1).collect();
                assert!(picks.len() > 900);
                let mut orders: Vec<&[usize]> = picks.chunks_exact(len).collect();
                for epoch in &orders {
                    let mut sorted = epoch.to_vec();
                    sorted.sort_unstable();
                    assert!(sorted.into_iter().eq(0..len));
                }
                orders.dedup();
                assert_eq!(orders.len() == 1, order == Order::File, "each epoch has its own order");
            }
        }
    }

    #[test]
    fn weights_count_and_sizes_do_not() {
        let mixture = Mixture::new(&[10, 1_000_000, 3], &[1.0, 2.0, 7.0], 0, Order::Shuffled).unwrap();
        let mut counts = [0_u32; 3];
        for n in 0..10_000 {
            counts[mixture.draw(n).0] += 1;
            for (count, share) in counts.iter().zip([0.1, 0.2, 0.7]) {
                assert!((f64::from(*count) - (n + 1) as f64 * share).abs() < 2.0, "{counts:?} after {n}");
            }
        }
    }

    #[test]
    fn a_draw_depends_on_seed_and_number_only() {
        let new = |seed| Mixture::new(&[50, 70], &[1.0, 1.5], seed, Order::Shuffled).unwrap();
        let (mixture, again) = (new(3), new(3));
        let forwards = draws(&mixture, 500);
        let backwards: Vec<_> = (0..500).rev().map(|n| again.draw(n)).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        assert_ne!(forwards, draws(&new(4), 500));
        // What a checkpoint of an earlier version was trained with must not change.
        assert_eq!(forwards[..6], [(0, 22), (1, 60), (1, 52), (0, 19), (1, 26), (0, 36)]);
    }

    #[test]
    fn impossible_mixtures_are_refused() {
        let refusal = |lens: &[usize], weights: &[f64]| {
            let error = Mixture::new(lens, weights, 0, Order::File).unwrap_err();
            assert!(matches!(&error, Error::Config { .. }));
            error.to_string()
        };
        assert!(refusal(&[], &[]).contains("no [[data]]"));
        assert!(refusal(&[1, 0], &[1.0, 1.0]).contains("number 2 has no sample"));
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = refusal(&[1, 1], &[1.0, weight]);
            assert!(error.contains(&format!("weight of [[data]] number 2 is {weight}")), "{error}");
        }
    }
}
