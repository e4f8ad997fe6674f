//! Turns shared out by weight: who has the n-th turn, and how many he had before it, without going through them.
//!
//! Between two, the k-th of m turns goes to the first when `floor(k p + phase)` grows with it (a Sturmian sequence),
//! so after m turns he had `floor(m p + phase)` of them. More than two are the leaves of a binary tree, in which each
//! fork shares out the turns that reach it. The tree is Huffman's: light ones lie deep, where the roundings above them
//! no longer count, and everybody stays within two turns of his share. All numbers are integers, so that every
//! machine finds the same.

/// The share of a fork's first branch is counted in parts of this.
const WHOLE: u64 = 1 << 63;

/// Who has which turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interleave {
    root: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Leaf(usize),
    Fork {
        /// Of the first branch, out of [`WHOLE`].
        share: u64,
        /// Below [`WHOLE`].
        phase: u64,
        branches: Box<[Node; 2]>,
    },
}

impl Interleave {
    /// Shares turns out by `weights`, each finite and above 0.
    ///
    /// - `phase`: a random number for each fork, by the leaf that is first in it: where in the pattern it begins.
    pub(super) fn new(weights: &[f64], phase: impl Fn(usize) -> u64) -> Self {
        // Before they are added up, so that no sum is infinite.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        // The weight, the first leaf, the tree.
        let mut nodes: Vec<(f64, usize, Node)> =
            weights.iter().enumerate().map(|(leaf, weight)| (weight / largest, leaf, Node::Leaf(leaf))).collect();
        while nodes.len() > 1 {
            // The lightest two last; among equals those that come later in the list.
            nodes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let pair = nodes.split_off(nodes.len() - 2);
            let [first, second] = <[_; 2]>::try_from(pair).expect("two were split off");
            let (weight, leaf) = (first.0 + second.0, first.1.min(second.1));
            // Up to half of the whole away from one half: the error of a fork stays below three quarters of a turn.
            let phase = WHOLE / 4 + phase(leaf) % (WHOLE / 2);
            let share = if weight > 0.0 { (first.0 / weight * WHOLE as f64) as u64 } else { WHOLE / 2 };
            let branches = Box::new([first.2, second.2]);
            nodes.push((weight, leaf, Node::Fork { share, phase, branches }));
        }
        Self { root: nodes.pop().expect("at least one").2 }
    }

    /// Who has turn `n`, and how many turns he had before it.
    pub(super) fn turn(&self, n: u64) -> (usize, u64) {
        let (mut node, mut n) = (&self.root, n);
        loop {
            match node {
                Node::Leaf(leaf) => return (*leaf, n),
                Node::Fork { share, phase, branches } => {
                    let first = |n: u64| ((u128::from(n) * u128::from(*share) + u128::from(*phase)) >> 63) as u64;
                    let before = first(n);
                    let is_first = first(n.saturating_add(1)) > before;
                    (node, n) = if is_first { (&branches[0], before) } else { (&branches[1], n - before) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[f64], phase: u64, turns: u64) {
        let interleave = Interleave::new(weights, |_| phase);
        let mut counts = vec![0; weights.len()];
        let total: f64 = weights.iter().sum();
        for n in 0..turns {
            let (who, before) = interleave.turn(n);
            assert_eq!(before, counts[who], "turn {n} of {weights:?}");
            counts[who] += 1;
            for (&count, weight) in counts.iter().zip(weights) {
                let share = (n + 1) as f64 * weight / total;
                assert!((count as f64 - share).abs() < 2.0, "{counts:?} after turn {n} of {weights:?}");
            }
        }
    }

    #[test]
    fn shares_are_exact_and_counts_are_those_of_the_turns() {
        for phase in [0, 1 << 61, 1 << 62, u64::MAX, 12_345_678_901_234_567] {
            check(&[1.0], phase, 100);
            check(&[1.0, 1.0], phase, 1000);
            check(&[1.0, 2.5], phase, 5000);
            check(&[1.0, 1.0, 1.0], phase, 3000);
            check(&[0.5, 0.3, 0.2], phase, 3000);
            check(&[5.0, 1.0, 1.0, 1.0, 0.1], phase, 20_000);
            check(&[1.0; 17], phase, 3000);
            check(&[8.0, 5.0, 3.0, 2.0, 1.0, 1.0], phase, 5000);
            check(&[1e-3, 1.0, 1e-3], phase, 20_000);
        }
    }

    #[test]
    fn two_are_within_a_turn_of_their_shares() {
        let interleave = Interleave::new(&[0.7, 0.3], |_| u64::MAX);
        let mut first = 0;
        for n in 0..10_000 {
            first += u64::from(interleave.turn(n).0 == 0);
            assert!((first as f64 - (n + 1) as f64 * 0.7).abs() < 1.0);
        }
    }

    #[test]
    fn far_turns_are_found_at_once_and_in_proportion() {
        let interleave = Interleave::new(&[2.0, 1.0, 1.0], |_| 7);
        for n in [1 << 40, 1 << 60, u64::MAX - 3, u64::MAX - 1] {
            let mut seen = [None; 3];
            for n in (n - 8)..=n {
                let (who, before) = interleave.turn(n);
                assert!(seen[who].is_none_or(|last| before == last + 1), "turn {n}");
                seen[who] = Some(before);
            }
            let share = seen[0].unwrap() as f64 / n as f64;
            assert!((share - 0.5).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn extreme_weights_do_not_break_the_sum() {
        let interleave = Interleave::new(&[f64::MAX, f64::MAX, f64::MIN_POSITIVE], |_| 0);
        assert!((0..100).all(|n| interleave.turn(n).0 < 2));
        let interleave = Interleave::new(&[5e-324, f64::MAX, 5e-324], |_| 0);
        assert!((0..100).all(|n| interleave.turn(n).0 == 1));
    }
}
