//! What the lines of a run add up to.

use std::collections::BTreeMap;

use super::curve::Curve;
use super::line::{EvalLine, Line, StepLine};
use super::loads::Loads;

/// So many datasets are followed; a run with more shows the first of them.
const MAX_DATASETS: usize = 64;

/// So many of the steps that were skipped are remembered one by one, the newest.
const MAX_SKIPPED: usize = 256;

/// The part of the newest step in the time that a step is said to take.
const NEWEST: f64 = 0.05;

/// Everything that is shown of a run, gathered line by line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// What was minimised, by step.
    pub loss: Curve,
    /// The loss on held-out data.
    pub held_out: Curve,
    /// By dataset, those of training and of evaluation together.
    pub datasets: BTreeMap<String, Dataset>,
    /// The learning rate.
    pub lr: Curve,
    /// The gradients' norm before clipping.
    pub grad_norm: Curve,
    /// Positions a second.
    pub tokens_per_second: Curve,
    /// How much each expert got.
    pub loads: Loads,
    /// The newest step; 0 before the first.
    pub step: u64,
    /// Steps that left the weights alone, because a number was not finite.
    pub skipped: u64,
    /// The newest of these.
    pub skipped_steps: Vec<u64>,
    /// The best evaluation: its step and loss.
    pub best: Option<(u64, f64)>,
    /// Lines that could not be read.
    pub bad_lines: u64,
    /// How long a step takes of late.
    seconds_a_step: Option<f64>,
}

/// One dataset's curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The language loss in training.
    pub loss: Curve,
    /// The loss on held-out data.
    pub held_out: Curve,
}

impl Curves {
    /// Takes a line of the file, without its end; an empty one says nothing.
    pub fn add(&mut self, text: &[u8]) {
        if text.trim_ascii().is_empty() {
            return;
        }
        match Line::parse(text) {
            Some(Line::Step(line)) => self.add_step(&line),
            Some(Line::Eval(line)) => self.add_evaluation(&line),
            None => self.bad_lines += 1,
        }
    }

    /// Notes a line that nobody could read.
    pub fn add_bad_line(&mut self) {
        self.bad_lines += 1;
    }

    fn add_step(&mut self, line: &StepLine) {
        let step = line.step;
        if step <= self.step {
            self.rewind(step);
        }
        self.step = step;
        self.loss.push(step, line.loss);
        self.lr.push(step, line.lr);
        self.grad_norm.push(step, line.grad_norm);
        self.tokens_per_second.push(step, line.tokens_per_second);
        self.loads.push(step, &line.expert_load);
        for (name, value) in &line.by_data {
            if let Some(dataset) = self.dataset(name) {
                dataset.loss.push(step, *value);
            }
        }
        if line.skipped {
            self.skipped += 1;
            self.skipped_steps.push(step);
            if self.skipped_steps.len() > MAX_SKIPPED {
                self.skipped_steps.remove(0);
            }
        }
        if let Some(seconds) = line.seconds() {
            let known = self.seconds_a_step.get_or_insert(seconds);
            *known += NEWEST * (seconds - *known);
        }
    }

    fn add_evaluation(&mut self, line: &EvalLine) {
        self.held_out.push(line.step, line.loss);
        for (name, value) in &line.by_data {
            if let Some(dataset) = self.dataset(name) {
                dataset.held_out.push(line.step, *value);
            }
        }
        if let Some(loss) = line.loss.filter(|_| line.best) {
            self.best = Some((line.step, loss));
        }
    }

    /// A resumed run repeats steps: those that were are forgotten.
    fn rewind(&mut self, step: u64) {
        let datasets = self.datasets.values_mut().flat_map(|data| [&mut data.loss, &mut data.held_out]);
        let own = [&mut self.loss, &mut self.held_out, &mut self.lr, &mut self.grad_norm, &mut self.tokens_per_second];
        own.into_iter().chain(datasets).for_each(|curve| curve.rewind(step));
        self.loads.rewind(step);
        let before = self.skipped_steps.len();
        self.skipped_steps.retain(|skipped| *skipped < step);
        self.skipped -= (before - self.skipped_steps.len()) as u64;
        self.best = self.best.filter(|(measured, _)| *measured < step);
    }

    fn dataset(&mut self, name: &str) -> Option<&mut Dataset> {
        if !self.datasets.contains_key(name) {
            if self.datasets.len() >= MAX_DATASETS {
                return None;
            }
            self.datasets.insert(name.to_owned(), Dataset::default());
        }
        self.datasets.get_mut(name)
    }

    /// How many seconds are left until step `steps`, if it goes on as of late; without evaluations and checkpoints.
    pub fn seconds_left(&self, steps: u64) -> Option<f64> {
        Some(self.seconds_a_step? * steps.saturating_sub(self.step) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(text: &str) -> Curves {
        let mut curves = Curves::default();
        text.lines().for_each(|line| curves.add(line.as_bytes()));
        curves
    }

    #[test]
    fn lines_become_curves() {
        let curves = curves(concat!(
            r#"{"step":1,"loss":2.0,"lr":0.1,"grad_norm":1.0,"tokens":100,"tokens_per_second":50.0,"#,
            r#""expert_load":[[0.5,0.5]],"by_data":{"chart":2.5}}"#,
            "\n",
            r#"{"step":2,"loss":null,"lr":0.2,"tokens":100,"tokens_per_second":50.0,"by_data":{"page":1.5},"skipped":true}"#,
            "\n",
            r#"{"step":2,"eval_loss":1.75,"eval_by_data":{"exam":1.75},"best":true}"#,
            "\n\n{\"step\":3,\"lo\n",
        ));
        assert_eq!((curves.step, curves.skipped, curves.bad_lines), (2, 1, 1));
        assert_eq!(curves.skipped_steps, [2]);
        assert_eq!((curves.loss.points(), curves.lr.points()), (vec![(1, 2.0)], vec![(1, 0.1), (2, 0.2)]));
        assert_eq!(curves.datasets.keys().collect::<Vec<_>>(), ["chart", "exam", "page"]);
        assert_eq!(curves.datasets["exam"].held_out.points(), [(2, 1.75)]);
        assert_eq!((curves.held_out.last(), curves.best), (Some((2, 1.75)), Some((2, 1.75))));
        assert_eq!(curves.seconds_left(12), Some(20.0));
        assert_eq!(curves.loads.points(0, 0), [(1, 0.5)]);
        assert_eq!(Curves::default().seconds_left(12), None);
    }

    #[test]
    fn a_resumed_run_that_repeats_its_steps() {
        let first = "{\"step\":1,\"loss\":3.0}\n{\"step\":2,\"loss\":2.0,\"skipped\":true}\n\
                     {\"step\":2,\"eval_loss\":9.0,\"eval_by_data\":{},\"best\":true}\n{\"step\":3,\"loss\":1.0}\n{\"st";
        let again = "{\"step\":2,\"loss\":2.5}\n{\"step\":3,\"loss\":1.5}\n";
        let curves = curves(&format!("{first}\n{again}"));
        assert_eq!(curves.loss.points(), [(1, 3.0), (2, 2.5), (3, 1.5)]);
        assert_eq!((curves.step, curves.skipped, curves.best, curves.held_out.last()), (3, 0, None, None));
    }

    #[test]
    fn datasets_without_end_are_bounded() {
        let mut curves = Curves::default();
        for step in 1..500 {
            curves.add(format!("{{\"step\":{step},\"by_data\":{{\"d{step}\":1.0}},\"skipped\":true}}").as_bytes());
        }
        assert_eq!(
            (curves.datasets.len(), curves.skipped_steps.len(), curves.skipped),
            (MAX_DATASETS, MAX_SKIPPED, 499)
        );
    }
}
