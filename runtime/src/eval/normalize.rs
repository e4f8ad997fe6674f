//! VQA normalisation: what two answers have in common once spelling habits are gone.
//!
//! The steps are those of `processPunctuation` and `processDigitArticle` in the official VQA evaluation (`vqaEval.py` of
//! GT-Vision-Lab/VQA), in its order:
//!
//! 1. line breaks and tabs become spaces, the ends are trimmed;
//! 2. each mark of [`MARKS`] is deleted where the text has it beside a space anywhere, or has a comma between two digits
//!    anywhere; otherwise it becomes a space: `red/blue` is two words, `red, blue` loses the comma, `1,000` is `1000`;
//! 3. a period not followed by a digit is deleted (the official code stops after 32 of them, by accident; we do not):
//!    `3.5` stays, `U.S.` becomes `us`;
//! 4. lower case, split at white space;
//! 5. number words up to ten become digits, `none` becomes 0; `a`, `an`, `the` are dropped;
//! 6. contractions lacking one apostrophe get it back.
//!
//! What follows from the definition: a minus sign is a mark, so -5 equals 5 here (`relaxed` keeps the sign); colons,
//! apostrophes and currency signs stay. The official code leaves step 4 to 6 out for reference answers, and skips step 2
//! and 3 too when all annotators agree, for its references come preprocessed; here both sides take every step.
//!
//! One difference: an answer of nothing but articles keeps them, for `A` is an option letter in multiple choice.

/// What step 2 takes out.
const MARKS: [char; 21] =
    [';', '/', '[', ']', '"', '{', '}', '(', ')', '=', '+', '\\', '_', '-', '>', '<', '@', '`', ',', '?', '!'];

const ARTICLES: [&str; 3] = ["a", "an", "the"];

/// The right spellings of step 6. A word is taken for one of them if exactly one apostrophe is missing, which is every
/// misspelling the official table lists for them. Its entries with a capital cannot match after step 4.
#[rustfmt::skip]
const CONTRACTIONS: [&str; 92] = [
    // not
    "ain't", "aren't", "can't", "couldn't", "didn't", "doesn't", "don't", "hadn't", "hasn't", "haven't", "isn't",
    "mightn't", "mustn't", "needn't", "oughtn't", "shan't", "shouldn't", "wasn't", "weren't", "won't", "wouldn't",
    // have
    "could've", "might've", "must've", "not've", "should've", "they've", "we've", "what've", "where've", "who've",
    "would've", "you've",
    // not have, would have
    "couldn't've", "hadn't've", "mightn't've", "shouldn't've", "wouldn't've", "he'd've", "it'd've", "she'd've",
    "somebody'd've", "someone'd've", "something'd've", "there'd've", "they'd've", "we'd've", "who'd've", "y'all'd've",
    "you'd've",
    // would, had
    "he'd", "how'd", "it'd", "someone'd", "something'd", "there'd", "they'd", "where'd", "who'd", "you'd",
    // will
    "how'll", "it'll", "somebody'll", "someone'll", "something'll", "they'll", "what'll", "who'll", "why'll",
    "y'all'll", "you'll",
    // are
    "there're", "they're", "what're", "why're", "you're",
    // is
    "he's", "how's", "somebody's", "someone's", "that's", "there's", "what's", "when's", "where's", "who's", "why's",
    // others
    "ma'am", "o'clock", "'ow's'at", "'twas", "y'all",
];

/// Brings an answer into the form in which VQA answers are compared; see the module for the steps.
pub fn normalize(text: &str) -> String {
    words(text).join(" ")
}

/// The words of the normalised answer.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = text.replace(['\n', '\t'], " ");
    let text = without_periods(&without_marks(text.trim())).to_lowercase();
    let is_article = |word: &&str| ARTICLES.contains(word);
    let only_articles = text.split_whitespace().all(|word| is_article(&word));
    text.split_whitespace().filter(|word| only_articles || !is_article(word)).map(respelled).collect()
}

fn without_marks(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let grouped_digits = chars.windows(3).any(|w| w[1] == ',' && w[0].is_ascii_digit() && w[2].is_ascii_digit());
    let beside_space = |mark: char| chars.windows(2).any(|pair| pair == [mark, ' '] || pair == [' ', mark]);
    let deleted: Vec<char> = MARKS.into_iter().filter(|&mark| grouped_digits || beside_space(mark)).collect();
    let replace = |c: &char| if MARKS.contains(c) { ' ' } else { *c };
    chars.iter().filter(|c| !deleted.contains(c)).map(replace).collect()
}

fn without_periods(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut kept = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        if c != '.' || chars.peek().is_some_and(char::is_ascii_digit) {
            kept.push(c);
        }
    }
    kept
}

/// Steps 5 and 6 for one word.
fn respelled(word: &str) -> String {
    let digits = match word {
        "none" | "zero" => "0",
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        // The one entry of the official table that takes an apostrophe away.
        "somebody'd" => "somebodyd",
        _ => CONTRACTIONS.into_iter().find(|form| lacks_one_apostrophe(word, form)).unwrap_or(word),
    };
    digits.to_owned()
}

fn lacks_one_apostrophe(word: &str, form: &str) -> bool {
    form.len() == word.len() + 1
        && form.match_indices('\'').any(|(at, _)| {
            let (head, tail) = (&form[..at], &form[at + 1..]);
            word.strip_prefix(head) == Some(tail)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_articles_and_number_words() {
        assert_eq!(normalize("  The Two\tdogs and a\ncat "), "2 dogs and cat");
        assert_eq!(normalize("none"), "0");
        assert_eq!(normalize("Ten"), "10");
        assert_eq!(normalize("eleven"), "eleven");
    }

    #[test]
    fn a_mark_beside_a_space_goes_and_one_between_words_parts_them() {
        assert_eq!(normalize("red, blue"), "red blue");
        assert_eq!(normalize("red,blue"), "red blue");
        assert_eq!(normalize("black-and-white"), "black and white");
        // The second hyphen stands beside a space, so both are deleted: that is the official rule.
        assert_eq!(normalize("well-known - yes"), "wellknown yes");
        assert_eq!(normalize("\"stop\"!"), "stop");
    }

    #[test]
    fn a_comma_between_digits_deletes_every_mark() {
        assert_eq!(normalize("1,000"), "1000");
        assert_eq!(normalize("red/blue 1,000"), "redblue 1000");
    }

    #[test]
    fn a_period_stays_only_before_a_digit() {
        assert_eq!(normalize("3.5"), "3.5");
        assert_eq!(normalize(".5"), ".5");
        assert_eq!(normalize("A cat."), "cat");
        assert_eq!(normalize("U.S. 5."), "us 5");
    }

    #[test]
    fn contractions_get_their_apostrophe_back() {
        assert_eq!(normalize("dont"), "don't");
        assert_eq!(normalize("don't"), "don't");
        assert_eq!(normalize("couldnt've couldn'tve"), "couldn't've couldn't've");
        assert_eq!(normalize("yalld've"), "yalld've", "two are missing");
        assert_eq!(normalize("twas y'allll 'ow'sat"), "'twas y'all'll 'ow's'at");
        assert_eq!(normalize("somebody'd"), "somebodyd");
        assert_eq!(normalize("well were shed Im"), "well were shed im", "words of their own");
    }

    #[test]
    fn what_nothing_is_left_of() {
        assert_eq!(normalize(""), "");
        assert_eq!(normalize(" ?! "), "");
        assert_eq!(normalize("A."), "a", "an option letter");
        assert_eq!(normalize("the"), "the");
    }

    #[test]
    fn beyond_ascii() {
        assert_eq!(normalize("ÉCOLE, ÜBER"), "école über");
        assert_eq!(normalize("一只猫。"), "一只猫。");
        assert_eq!(normalize("−5 €"), "−5 €");
    }
}
