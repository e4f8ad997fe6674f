//! Random numbers that are the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::Domain;

/// Draws from the stream of one picture.
///
/// The few distributions are written here, on the generator's raw bits: those of `rand` may change between its versions.
#[derive(Clone)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of picture `index` of a set. Different arguments are different keys, so no two streams are alike.
    pub fn new(domain: Domain, seed: u64, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16] = domain as u8;
        Self(ChaCha8Rng::from_seed(key))
    }

    /// An integer in `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "nothing to draw from");
        ((u64::from(self.0.next_u32()) * end as u64) >> 32) as usize
    }

    /// An integer in `first..=last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// A number in `[low, high)`.
    pub fn real(&mut self, low: f32, high: f32) -> f32 {
        // 24 bits are what an f32 holds exactly.
        let unit = (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32;
        low + (high - low) * unit
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.real(0.0, 1.0) < probability
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Puts the items into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` different items in random order.
    pub fn sample<T: Clone>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut all = items.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_sets_differ_and_a_stream_repeats() {
        let first = |domain, seed, index| {
            let mut draw = Draw::new(domain, seed, index);
            [draw.below(1 << 30), draw.below(1 << 30)]
        };
        let of = first(Domain::General, 1, 2);
        assert_eq!(of, first(Domain::General, 1, 2));
        for other in [first(Domain::Medical, 1, 2), first(Domain::General, 2, 2), first(Domain::General, 2, 1)] {
            assert_ne!(of, other);
        }
    }

    #[test]
    fn draws_stay_inside_their_bounds_and_reach_them() {
        let mut draw = Draw::new(Domain::General, 0, 0);
        let drawn: Vec<usize> = (0..1000).map(|_| draw.between(3, 6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
        assert!((0..1000).map(|_| draw.real(-1.0, 2.0)).all(|number| (-1.0..2.0).contains(&number)));
        let mut items: Vec<usize> = (0..20).collect();
        draw.shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
