//! The learning rate over the run.

use serde::{Deserialize, Serialize};

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to 0.
    #[default]
    Cosine,
    /// A line down to 0.
    Linear,
    /// Not at all.
    Constant,
}

impl Schedule {
    /// The factor on the rate at `step`, counted from 0, of `steps`; the first `warmup_ratio` of them rise linearly to 1.
    ///
    /// The first step has a rate above 0, and so has the last: neither is spent on nothing.
    pub fn factor(self, step: u64, steps: u64, warmup_ratio: f64) -> f64 {
        let warmup = (warmup_ratio * steps as f64).ceil() as u64;
        if step < warmup {
            return (step + 1) as f64 / (warmup + 1) as f64;
        }
        let progress = (step - warmup) as f64 / (steps.max(warmup + 1) - warmup) as f64;
        match self {
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Linear => 1.0 - progress,
            Self::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_then_falls_and_never_stands_at_zero() {
        for schedule in [Schedule::Cosine, Schedule::Linear, Schedule::Constant] {
            let factors: Vec<f64> = (0..100).map(|step| schedule.factor(step, 100, 0.1)).collect();
            assert!(factors[..10].windows(2).all(|pair| pair[0] < pair[1]) && factors[10] == 1.0);
            assert!(factors[10..].windows(2).all(|pair| pair[0] >= pair[1]));
            assert!(factors.iter().all(|&factor| factor > 0.0 && factor <= 1.0));
        }
        assert!((Schedule::Cosine.factor(55, 100, 0.1) - 0.5).abs() < 1e-12);
        assert!((Schedule::Linear.factor(55, 100, 0.1) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_single_step_has_the_whole_rate() {
        assert_eq!(Schedule::Cosine.factor(0, 1, 0.0), 1.0);
        assert_eq!(Schedule::Linear.factor(0, 1, 0.0), 1.0);
        assert!(Schedule::Cosine.factor(0, 1, 1.0) > 0.0);
    }
}
