//! Average normalised Levenshtein similarity (ANLS), the measure of DocVQA.
//!
//! Biten et al. 2019 (arXiv 1907.00490), equation 1: with `NL = distance / length of the longer`, an answer scores
//! `1 - NL` where `NL < 0.5` and 0 otherwise, so that a misread letter costs little and another word everything. Of
//! several references the best counts. As on the challenge's server case does not matter, and runs of white space are
//! one space. Exactly half wrong (`NL = 0.5`) is 0, as the equation says.

const THRESHOLD: f64 = 0.5;

/// The similarity of an answer to one reference, in 0..=1. Two empty texts are equal.
pub(super) fn similarity(prediction: &str, reference: &str) -> f64 {
    let (prediction, reference) = (folded(prediction), folded(reference));
    let longer = prediction.len().max(reference.len());
    if longer == 0 {
        return 1.0;
    }
    let normalized = distance(&prediction, &reference) as f64 / longer as f64;
    if normalized < THRESHOLD { 1.0 - normalized } else { 0.0 }
}

fn folded(text: &str) -> Vec<char> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase().chars().collect()
}

/// Levenshtein's distance in characters, by the row-wise recurrence: O(a b) time, O(b) memory.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn distances_by_hand() {
        // kitten -> sitten -> sittin -> sitting
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
        assert_eq!(distance(&chars("abc"), &chars("")), 3);
        assert_eq!(distance(&chars("ab"), &chars("ba")), 2);
    }

    #[test]
    fn similarities_by_hand() {
        // 3 edits, the longer has 7 letters: 1 - 3/7.
        assert!((similarity("kitten", "sitting") - 4.0 / 7.0).abs() < 1e-12);
        // One letter of 11: 1 - 1/11.
        assert!((similarity("Coca Coia 1", "coca cola 1") - 10.0 / 11.0).abs() < 1e-12);
        assert_eq!(similarity("kitten", "dog"), 0.0);
        assert_eq!(similarity("42", "43"), 0.0, "half wrong is wrong");
        assert!((similarity("421", "431") - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn case_and_spacing_do_not_matter() {
        assert_eq!(similarity(" ITC   Limited\n", "itc limited"), 1.0);
        assert!(similarity("itclimited", "itc limited") < 1.0, "but a space is a character");
    }

    #[test]
    fn empty_texts_and_unicode() {
        assert_eq!(similarity("", ""), 1.0);
        assert_eq!(similarity("", "x"), 0.0);
        assert_eq!(similarity("x", ""), 0.0);
        // One of four characters, not of twelve bytes.
        assert!((similarity("东方红楼", "东方红棂") - 0.75).abs() < 1e-12);
    }
}
