//! The metrics by name, and the score of one answer.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::normalize::{normalize, words};
use super::overlap::Overlap;
use super::{anls, relaxed, yes_no};

/// How an answer is compared with the references; of several references the one that fits best counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// VQA accuracy: after VQA normalisation the reference occurs in the answer as a sequence of whole words.
    Vqa,
    /// The answer is the reference, after VQA normalisation.
    Exact,
    /// ChartQA: numbers within 5 %, other answers equal but for case.
    Relaxed,
    /// DocVQA: edit similarity, 0 from half wrong on.
    Anls,
    /// PathVQA, closed questions: the answer says yes or no as the reference does. A question without a reference that
    /// is `yes` or `no` has no such score.
    Closed,
    /// PathVQA, open questions: exact match, token F1 and recall.
    Open,
}

/// Name of a measure -> value in 0..=1. `open` gives `exact`, `f1` and `recall`, the others one value by their own name.
pub type Scores = BTreeMap<&'static str, f64>;

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 6] = [Self::Vqa, Self::Exact, Self::Relaxed, Self::Anls, Self::Closed, Self::Open];

    /// The metric of a question for which none was named: `closed` where every reference is yes or no, else `vqa`.
    pub fn auto<S: AsRef<str>>(references: &[S]) -> Self {
        let closed = !references.is_empty() && references.iter().all(|r| yes_no::plain(r.as_ref()).is_some());
        if closed { Self::Closed } else { Self::Vqa }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Vqa => "vqa",
            Self::Exact => "exact",
            Self::Relaxed => "relaxed",
            Self::Anls => "anls",
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|metric| metric.name() == text)
            .ok_or_else(|| format!("{text:?} is no metric; there are {}", known()))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Scores one answer. Without a reference nothing can be right: every value is 0.
pub fn score<S: AsRef<str>>(metric: Metric, prediction: &str, references: &[S]) -> Scores {
    let best = |value: &dyn Fn(&str) -> f64| references.iter().map(|r| value(r.as_ref())).fold(0.0, f64::max);
    let share = |right: bool| f64::from(u8::from(right));
    let exact = |reference: &str| share(normalize(prediction) == normalize(reference));
    let of = |value: &dyn Fn(&str) -> f64| Scores::from([(metric.name(), best(value))]);
    match metric {
        Metric::Vqa => of(&|reference| share(contains(&words(prediction), &words(reference)))),
        Metric::Exact => of(&exact),
        Metric::Relaxed => of(&|reference| share(relaxed::matches(prediction, reference))),
        Metric::Anls => of(&|reference| anls::similarity(prediction, reference)),
        Metric::Closed if !references.iter().any(|r| yes_no::plain(r.as_ref()).is_some()) => Scores::new(),
        Metric::Closed => {
            let said = yes_no::verdict(prediction);
            of(&|reference| share(said.is_some() && said == yes_no::plain(reference)))
        }
        Metric::Open => Scores::from([
            ("exact", best(&exact)),
            ("f1", best(&|reference| Overlap::new(prediction, reference).f1)),
            ("recall", best(&|reference| Overlap::new(prediction, reference).recall)),
        ]),
    }
}

/// Whether `part` occurs in `whole` word by word. An empty reference is met by an empty answer only: it would occur in
/// every other.
fn contains(whole: &[String], part: &[String]) -> bool {
    if part.is_empty() { whole.is_empty() } else { whole.windows(part.len()).any(|window| window == part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(metric: Metric, prediction: &str, references: &[&str]) -> f64 {
        score(metric, prediction, references)[metric.name()]
    }

    #[test]
    fn names_go_both_ways() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
            assert_eq!(serde_json::to_string(&metric).unwrap(), format!("\"{metric}\""));
        }
        let error = "bleu".parse::<Metric>().unwrap_err();
        assert_eq!(error, "\"bleu\" is no metric; there are vqa, exact, relaxed, anls, closed, open");
    }

    #[test]
    fn vqa_finds_whole_words() {
        assert_eq!(one(Metric::Vqa, "There are two red cars.", &["2"]), 1.0);
        assert_eq!(one(Metric::Vqa, "There are two red cars.", &["red car"]), 0.0);
        assert_eq!(one(Metric::Vqa, "a fire hydrant", &["hydrant", "pole"]), 1.0);
        assert_eq!(one(Metric::Vqa, "hydrant, fire", &["fire hydrant"]), 0.0);
        assert_eq!(one(Metric::Vqa, "It is 12", &["2"]), 0.0);
    }

    #[test]
    fn vqa_of_empty_texts_and_option_letters() {
        assert_eq!(one(Metric::Vqa, "", &["cat"]), 0.0);
        assert_eq!(one(Metric::Vqa, "cat", &[""]), 0.0);
        assert_eq!(one(Metric::Vqa, "", &[""]), 1.0);
        assert_eq!(one(Metric::Vqa, "A.", &["A"]), 1.0);
        assert_eq!(one(Metric::Vqa, "B", &["A"]), 0.0);
        assert_eq!(one(Metric::Vqa, "一只猫", &["一只猫"]), 1.0);
    }

    #[test]
    fn exact_is_the_whole_answer() {
        assert_eq!(one(Metric::Exact, "The cat!", &["cat"]), 1.0);
        assert_eq!(one(Metric::Exact, "A black cat", &["cat"]), 0.0);
    }

    #[test]
    fn the_best_reference_counts() {
        assert_eq!(one(Metric::Relaxed, "10.4", &["ten", "10"]), 1.0);
        // Against "sitting" 1 - 3/7, against "mitten" 1 - 1/6.
        assert!((one(Metric::Anls, "kitten", &["sitting", "mitten", "dog"]) - 5.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn closed_counts_every_yes_no_question() {
        assert_eq!(one(Metric::Closed, "Yes, it is.", &["yes"]), 1.0);
        assert_eq!(one(Metric::Closed, "no", &["yes"]), 0.0);
        assert_eq!(one(Metric::Closed, "I cannot tell", &["no"]), 0.0);
        assert_eq!(one(Metric::Closed, "", &["no"]), 0.0);
        assert!(score(Metric::Closed, "yes", &["liver"]).is_empty(), "not a closed question");
    }

    #[test]
    fn open_has_three_values() {
        let scores = score(Metric::Open, "chronic inflammation", &["severe chronic inflammation"]);
        assert_eq!(scores.keys().copied().collect::<Vec<_>>(), ["exact", "f1", "recall"]);
        // P = 1, R = 2/3: F1 = 4/5.
        assert_eq!(scores["exact"], 0.0);
        assert!((scores["f1"] - 0.8).abs() < 1e-12);
        assert!((scores["recall"] - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_right_without_a_reference() {
        for metric in [Metric::Vqa, Metric::Exact, Metric::Relaxed, Metric::Anls, Metric::Open] {
            assert!(score::<&str>(metric, "", &[]).values().all(|value| *value == 0.0), "{metric}");
        }
    }

    #[test]
    fn the_metric_of_a_question() {
        assert_eq!(Metric::auto(&["Yes"]), Metric::Closed);
        assert_eq!(Metric::auto(&["yes", "no"]), Metric::Closed);
        assert_eq!(Metric::auto(&["yes", "maybe"]), Metric::Vqa);
        assert_eq!(Metric::auto(&["no tumour"]), Metric::Vqa);
        assert_eq!(Metric::auto::<&str>(&[]), Metric::Vqa);
    }
}
