//! Yes or no: what an answer to a closed question says.
//!
//! PathVQA (He et al. 2020, arXiv 2003.10286) counts every closed question. An answer in a sentence says what the first
//! `yes` or `no` in it says ("No, there is no tumour"), and one with neither is wrong, not left out.

/// What an answer says, or nothing.
pub(super) fn verdict(answer: &str) -> Option<bool> {
    words(answer).into_iter().find_map(|word| as_bool(&word))
}

/// What a reference says: it has to be a bare `yes` or `no`, for "no abnormality" answers an open question.
pub(super) fn plain(reference: &str) -> Option<bool> {
    match words(reference).as_slice() {
        [word] => as_bool(word),
        _ => None,
    }
}

fn as_bool(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_says_it() {
        assert_eq!(verdict("Yes."), Some(true));
        assert_eq!(verdict("NO: there is none"), Some(false));
        assert_eq!(verdict("I think yes, there is no doubt"), Some(true));
        assert_eq!(verdict("nothing, eyes, know"), None);
        assert_eq!(verdict(""), None);
    }

    #[test]
    fn a_reference_is_bare() {
        assert_eq!(plain(" Yes. "), Some(true));
        assert_eq!(plain("no"), Some(false));
        assert_eq!(plain("no abnormality"), None);
        assert_eq!(plain(""), None);
    }
}
