//! An order of `0..len` that is drawn by a key and kept nowhere.
//!
//! A Feistel network permutes the numbers of an even count of bits; a result that is not below `len` is permuted
//! again, which ends because a permutation comes back to where it began (cycle walking).
//!
//! Source: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002.

/// Enough that neighbours lie anywhere; this is for shuffling, not for secrets.
const ROUNDS: u64 = 8;

/// Where `position` is in the order of `key`.
///
/// For one `key` and `len` every number below `len` is the place of exactly one position below `len`.
pub(super) fn permute(position: u64, len: u64, key: u64) -> u64 {
    assert!(position < len, "{position} of {len}");
    let bits = u64::BITS - (len - 1).leading_zeros();
    let half = bits.div_ceil(2);
    let mask = (1_u64 << half) - 1;
    let mut value = position;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..ROUNDS {
            let mixed = mix(key ^ mix((round << 32) ^ right)) & mask;
            (left, right) = (right, left ^ mixed);
        }
        value = (left << half) | right;
        if value < len {
            return value;
        }
    }
}

/// One number of several, each of which changes it.
pub(super) fn key(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |key, &part| mix(key ^ mix(part)))
}

/// The output function of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(len: u64, key: u64) -> Vec<u64> {
        (0..len).map(|position| permute(position, len, key)).collect()
    }

    #[test]
    fn every_number_comes_once() {
        for len in (1..200).chain([255, 256, 257, 1023, 1024, 1025, 4095, 4097, 100_003]) {
            for key in [0, 1, u64::MAX] {
                let mut found = order(len, key);
                found.sort_unstable();
                assert!(found.into_iter().eq(0..len), "{len} with {key}");
            }
        }
    }

    #[test]
    fn long_lists_are_no_trouble() {
        for len in [1 << 40, (1 << 62) + 1, u64::MAX] {
            assert!(permute(len - 1, len, 5) < len);
            assert_ne!(permute(len - 1, len, 5), permute(0, len, 5));
        }
    }

    #[test]
    fn keys_give_orders_without_a_pattern() {
        let (first, second) = (order(1000, key(&[0, 0])), order(1000, key(&[0, 1])));
        let fixed = |order: &[u64]| (0..).zip(order).filter(|(position, found)| position == *found).count();
        assert!(fixed(&first) < 10 && fixed(&second) < 10);
        let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{same} places agree");
        // Of a random order half the neighbours ascend, give or take some 9.
        let ascents = first.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((450..550).contains(&ascents), "{ascents}");
        // Each number of 0..4 comes first about as often as the others.
        let mut counts = [0; 4];
        (0..4000).for_each(|seed| counts[permute(0, 4, key(&[seed])) as usize] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_ne!(key(&[1, 2]), key(&[2, 1]));
    }
}
