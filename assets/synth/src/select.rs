//! Which of a scene's questions are asked, so that no type and no answer is asked more often than the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::Question;
use crate::draw::Draw;

/// What was asked so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    types: BTreeMap<&'static str, usize>,
    answers: BTreeMap<(&'static str, String), usize>,
}

impl Tally {
    /// Chooses up to `count` different questions of a scene and counts them: the type that was asked least, in it the
    /// answer that was given least, and of those any.
    pub fn choose(&mut self, mut candidates: Vec<Question>, count: usize, draw: &mut Draw) -> Vec<Question> {
        draw.shuffle(&mut candidates);
        let mut chosen = Vec::new();
        let mut asked = BTreeSet::new();
        while chosen.len() < count {
            let least = |question: &&Question| {
                let answers = self.answers.get(&(question.question_type, question.answer.clone()));
                (self.asked(question.question_type), answers.copied().unwrap_or(0))
            };
            // The first of equals: they were shuffled.
            let Some(next) = candidates.iter().filter(|candidate| !asked.contains(&candidate.text)).min_by_key(least)
            else {
                break;
            };
            asked.insert(next.text.clone());
            chosen.push(next.clone());
            let next = next.clone();
            *self.types.entry(next.question_type).or_default() += 1;
            *self.answers.entry((next.question_type, next.answer)).or_default() += 1;
        }
        chosen
    }

    fn asked(&self, question_type: &str) -> usize {
        self.types.get(question_type).copied().unwrap_or(0)
    }

    /// Each type with how often it was asked, how many answers it has, and how often the most frequent one is right.
    pub fn types(&self) -> impl Iterator<Item = (&'static str, usize, usize, (&str, usize))> {
        self.types.iter().map(|(&question_type, &asked)| {
            let answers = self.answers.iter().filter(|((of, _), _)| *of == question_type);
            let frequent =
                answers.clone().max_by_key(|(_, count)| **count).expect("a type that was asked has an answer");
            (question_type, asked, answers.count(), (frequent.0.1.as_str(), *frequent.1))
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
