//! Which of a scene's questions are asked, so that no type and no answer is asked more often than the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::Question;
use crate::draw::Draw;

/// The largest share of a type's questions that one answer may have where there are more than two.
const MOST_FREQUENT: f64 = 0.34;

/// What was asked so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    types: BTreeMap<&'static str, Asked>,
}

/// What was asked of one type.
#[derive(Debug, Default)]
struct Asked {
    questions: usize,
    answers: BTreeMap<String, usize>,
}

impl Asked {
    fn given(&self, answer: &str) -> usize {
        self.answers.get(answer).copied().unwrap_or(0)
    }

    /// Whether one more such answer would be over [`MOST_FREQUENT`], and another one would not lead as far. A type with
    /// two answers cannot be under.
    fn too_frequent(&self, answer: &str) -> bool {
        let given = self.given(answer);
        self.answers.len() > 2
            && (given + 1) as f64 > MOST_FREQUENT * (self.questions + 1) as f64
            && self.answers.values().any(|&other| other < given)
    }
}

impl Tally {
    /// Chooses up to `count` different questions of a scene and counts them: the type that was asked least, in it the
    /// answer that was given least, and of those any. A question whose answer is too frequent already is asked only of
    /// a scene that has no other.
    pub fn choose(&mut self, mut candidates: Vec<Question>, count: usize, draw: &mut Draw) -> Vec<Question> {
        draw.shuffle(&mut candidates);
        let mut chosen: Vec<Question> = Vec::new();
        let mut texts = BTreeSet::new();
        while chosen.len() < count {
            let least = |question: &&Question| {
                let asked = self.types.get(question.question_type);
                let (questions, given, too_frequent) = asked.map_or((0, 0, false), |asked| {
                    (asked.questions, asked.given(&question.answer), asked.too_frequent(&question.answer))
                });
                (too_frequent, questions, given)
            };
            let left = candidates.iter().filter(|candidate| !texts.contains(&candidate.text));
            // The first of equals: they were shuffled.
            let Some(next) = left.min_by_key(least) else { break };
            if least(&next).0 && !chosen.is_empty() {
                break;
            }
            texts.insert(next.text.clone());
            chosen.push(next.clone());
            let (question_type, answer) = (next.question_type, next.answer.clone());
            let asked = self.types.entry(question_type).or_default();
            asked.questions += 1;
            *asked.answers.entry(answer).or_default() += 1;
        }
        // The rarest were chosen first; any may be asked first.
        draw.shuffle(&mut chosen);
        chosen
    }

    /// Each type with how often it was asked, how many answers it has, and how often the most frequent one is right.
    pub fn types(&self) -> impl Iterator<Item = (&'static str, usize, usize, (&str, usize))> {
        self.types.iter().map(|(&question_type, asked)| {
            let frequent =
                asked.answers.iter().max_by_key(|(_, count)| **count).expect("a type that was asked has an answer");
            (question_type, asked.questions, asked.answers.len(), (frequent.0.as_str(), *frequent.1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    fn question(question_type: &'static str, text: &str, answer: &str) -> Question {
        Question { question_type, text: text.into(), answer: answer.into() }
    }

    #[test]
    fn types_and_answers_are_balanced_although_the_scenes_are_not() {
        let mut tally = Tally::default();
        for index in 0..300 {
            let mut draw = Draw::new(Domain::General, 0, index);
            // Many questions with `no`, one with `yes`, one of another type.
            let mut all: Vec<_> = (0..9).map(|n| question("presence", &format!("is {n} there"), "no")).collect();
            all.push(question("presence", "is 9 there", "yes"));
            all.push(question("color", "which color", ["red", "blue"][draw.below(2)]));
            assert_eq!(tally.choose(all, 1, &mut draw).len(), 1);
        }
        let types: Vec<_> =
            tally.types().map(|(name, asked, answers, frequent)| (name, asked, answers, frequent.1)).collect();
        assert_eq!((types[0].0, types[0].1, types[0].2), ("color", 150, 2));
        assert_eq!(types[1], ("presence", 150, 2, 75));
    }

    #[test]
    fn an_answer_that_is_too_frequent_is_given_only_where_there_is_no_other() {
        let mut tally = Tally::default();
        let mut asked = Vec::new();
        for index in 0..300 {
            let mut draw = Draw::new(Domain::Document, 0, index);
            // Two of three pages are forms; all have something else to ask.
            let kind = ["form", "form", "form", "form", "table", "pie"][draw.below(6)];
            let all = vec![question("kind", "which kind", kind), question("read", "what", &index.to_string())];
            asked.push(tally.choose(all, 2, &mut draw).len());
        }
        let (name, questions, answers, (_, count)) = tally.types().next().unwrap();
        assert_eq!((name, answers), ("kind", 3));
        assert!(count as f64 <= 0.35 * questions as f64, "{count} of {questions}");
        assert!(asked.contains(&1) && asked.contains(&2));
    }

    #[test]
    fn no_question_is_asked_twice_about_a_picture() {
        let mut draw = Draw::new(Domain::General, 0, 0);
        let all = vec![
            question("count", "how many", "1"),
            question("count", "how many", "1"),
            question("count", "what", "2"),
        ];
        assert_eq!(Tally::default().choose(all, 5, &mut draw).len(), 2);
    }
}
