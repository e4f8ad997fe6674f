//! Words that an answer shares with a reference: token F1 and recall, for open questions such as PathVQA's.
//!
//! The counts are those of SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250): words are a multiset, so a word repeated in
//! the answer is found only as often as the reference has it.

use std::collections::HashMap;

use super::normalize::words;

/// How much of the answer is in the reference and the other way round, after VQA normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Overlap {
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// The share of the reference's words that the answer has.
    pub recall: f64,
}

impl Overlap {
    /// Compares an answer with one reference. Two empty texts are equal; of one empty and one not, nothing is shared.
    pub fn new(prediction: &str, reference: &str) -> Self {
        let (prediction, reference) = (words(prediction), words(reference));
        if prediction.is_empty() && reference.is_empty() {
            return Self { f1: 1.0, recall: 1.0 };
        }
        let mut left: HashMap<&str, usize> = HashMap::new();
        for word in &reference {
            *left.entry(word).or_default() += 1;
        }
        let mut shared = 0;
        for word in &prediction {
            if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
                *count -= 1;
                shared += 1;
            }
        }
        // 2 P R / (P + R) with P = shared / predicted and R = shared / expected.
        let f1 = 2.0 * f64::from(shared) / (prediction.len() + reference.len()) as f64;
        let recall = if reference.is_empty() { 0.0 } else { f64::from(shared) / reference.len() as f64 };
        Self { f1, recall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Shared: chronic, inflammation. P = 2/4, R = 2/3, F1 = 2 (1/3) / (7/6) = 4/7.
        let overlap = Overlap::new("There is chronic inflammation", "severe chronic inflammation");
        assert!((overlap.f1 - 4.0 / 7.0).abs() < 1e-12);
        assert!((overlap.recall - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn repeated_words_count_once_each() {
        // "fat" twice against once: shared 1, P = 1/2, R = 1.
        let overlap = Overlap::new("fat fat", "fat");
        assert!((overlap.f1 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(overlap.recall, 1.0);
        assert!((Overlap::new("fat", "fat fat").recall - 0.5).abs() < 1e-12);
    }

    #[test]
    fn empty_texts() {
        assert_eq!(Overlap::new("", ""), Overlap { f1: 1.0, recall: 1.0 });
        assert_eq!(Overlap::new("", "liver"), Overlap { f1: 0.0, recall: 0.0 });
        assert_eq!(Overlap::new("liver", ""), Overlap { f1: 0.0, recall: 0.0 });
    }
}
