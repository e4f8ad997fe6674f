//! Relaxed accuracy, the measure of ChartQA.
//!
//! Masry et al. 2022 (arXiv 2203.10244, section 5.1): a number within 5 % of the reference is right, anything else has
//! to match exactly. The details are those of pix2struct's `relaxed_correctness`, with which the published numbers are
//! made:
//!
//! - a percent sign divides by 100: `3.5%` equals `0.035` and not `3.5`. A lenient reading would be kinder to a model
//!   that leaves the sign out, but no longer comparable;
//! - every number has the 5 %, years too: 2010 passes for 2012. Name `exact` to be strict;
//! - text is compared without regard to case.
//!
//! Added here, so that notation is not mistaken for a wrong value: white space around the answer, thousands separators
//! (`1,234`), a currency sign before or after the number, the typographic minus, and zero as a reference (met only by
//! zero, for 5 % of it is nothing).

const TOLERANCE: f64 = 0.05;

/// Room for the rounding of the tolerance's own arithmetic: 105 is within 5 % of 100, 0.0105 of 0.01.
const ROUNDING: f64 = 1e-9;

const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '₩'];

/// Whether an answer is right by the relaxed measure.
pub(super) fn matches(prediction: &str, reference: &str) -> bool {
    let (prediction, reference) = (prediction.trim(), reference.trim());
    match (number(prediction), number(reference)) {
        (Some(value), Some(target)) => (value - target).abs() <= (TOLERANCE + ROUNDING) * target.abs(),
        _ => prediction.to_lowercase() == reference.to_lowercase(),
    }
}

/// The value of a text that is a number and nothing else.
fn number(text: &str) -> Option<f64> {
    let text = text.replace('\u{2212}', "-");
    let (text, scale) = match text.strip_suffix('%') {
        Some(rest) => (rest.trim_end(), 0.01),
        None => (text.as_str(), 1.0),
    };
    let (sign, text) = signed(text);
    let text = text.trim_start_matches(CURRENCIES).trim_end_matches(CURRENCIES).trim();
    let (inner_sign, text) = if sign == 0 { signed(text) } else { (0, text) };
    // The signs are off: `inf`, `nan` and a second sign are no numbers.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = ungrouped(text)?.parse().ok()?;
    let value = if sign + inner_sign < 0 { -value } else { value };
    value.is_finite().then_some(value * scale)
}

/// Takes a sign off the front: -1, 1, or 0 where there is none.
fn signed(text: &str) -> (i32, &str) {
    match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(rest), _) => (-1, rest.trim_start()),
        (_, Some(rest)) => (1, rest.trim_start()),
        _ => (0, text),
    }
}

/// Takes thousands separators out. Commas that do not part groups of three (`1,2`, `12,34`) are a list or a decimal
/// comma: no number, for the two cannot be told apart.
fn ungrouped(text: &str) -> Option<String> {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let mut grouped = false;
    for group in groups {
        grouped = true;
        if group.len() != 3 || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    if grouped && !(1..=3).contains(&first.len()) {
        return None;
    }
    Some(format!("{}{rest}", whole.replace(',', "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_five_percent_of_the_reference() {
        assert!(matches("100", "100"));
        assert!(matches("105", "100") && matches("95", "100"));
        assert!(!matches("105.1", "100") && !matches("94.9", "100"));
        // Relative to the reference, not to the answer: 5 % of 105.2 is 5.26.
        assert!(matches("100", "105.2") && !matches("105.2", "100"));
        assert!(matches("0.0105", "0.01"));
    }

    #[test]
    fn negative_numbers_and_zero() {
        assert!(matches("-5.2", "-5"));
        assert!(!matches("5", "-5") && !matches("-5", "5"));
        assert!(matches("\u{2212}5", "-5"));
        assert!(matches("0.0", "0") && matches("0%", "0"));
        assert!(!matches("0.001", "0"));
    }

    #[test]
    fn percent_signs_divide_by_a_hundred() {
        assert!(matches("3.5%", "0.035") && matches("0.035", "3.5%"));
        assert!(matches("3.5 %", "3.6%"));
        assert!(!matches("3.5%", "3.5"));
    }

    #[test]
    fn separators_and_currencies() {
        assert!(matches("1,234,567", "1234567"));
        assert!(matches("$1,200.50", "1200.5") && matches("-$3", "-3") && matches("$-3", "-3") && matches("7 €", "7"));
        assert_eq!(number("12,34"), None);
        assert_eq!(number("1,2,3"), None);
        assert_eq!(number(",123"), None);
        assert_eq!(number("1234,567"), None);
    }

    #[test]
    fn years_have_the_tolerance_too() {
        assert!(matches("2010", "2012"));
        assert!(!matches("1900", "2012"));
    }

    #[test]
    fn text_must_match_but_for_case() {
        assert!(matches(" Germany\n", "germany"));
        assert!(!matches("Germany.", "Germany"));
        assert!(!matches("about 5", "5"));
        assert!(matches("ÉTÉ", "été"));
        assert!(matches("", "") && !matches("", "5") && !matches("5", ""));
    }

    #[test]
    fn not_numbers() {
        for text in ["nan", "inf", "-infinity", "--5", "$", "%", "-", ".", "1e999", "1.2.3", "5 5"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert!(matches("NaN", "nan"), "the same text");
        assert_eq!(number("1e3"), Some(1000.0));
        assert_eq!(number("5."), Some(5.0));
    }
}
