//! A measured accuracy with its spread, and the mark that shows it: a dot with a whisker on either side.

use anyhow::ensure;

use super::canvas::Canvas;
use llava_mole::palette::Rgb;

/// Small enough that marks [`PITCH`] apart leave each other to be seen.
const RADIUS: f64 = 3.5;

/// How far apart marks stand whose values may be the same, in pixels.
pub const PITCH: f64 = 7.5;

/// A mean over runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The accuracy, in 0..=1.
    pub mean: f64,
    /// How far the runs lie from it, in the same unit; 0 where there was one run.
    pub deviation: f64,
}

impl Estimate {
    /// The lower end of the whisker; no accuracy is below 0.
    pub fn low(&self) -> f64 {
        (self.mean - self.deviation).max(0.0)
    }

    /// The upper end of the whisker; no accuracy is above 1.
    pub fn high(&self) -> f64 {
        (self.mean + self.deviation).min(1.0)
    }

    /// Refuses per cents and what is not a number; `name` is what was measured.
    pub fn check(&self, name: &str) -> anyhow::Result<()> {
        let Self { mean, deviation } = *self;
        ensure!(
            (0.0..=1.0).contains(&mean) && deviation.is_finite() && deviation >= 0.0,
            "{name}: the accuracy {mean} with deviation {deviation} cannot be drawn: give a fraction in 0..=1 and a \
             deviation of 0 or more"
        );
        Ok(())
    }

    /// Draws the mark; `place` says where on the canvas a fraction lies.
    pub fn draw(&self, canvas: &Canvas<'_>, place: impl Fn(f64) -> (f64, f64), color: Rgb) -> anyhow::Result<()> {
        if self.low() < self.high() {
            canvas.line(&[place(self.low()), place(self.high())], color, 1.75)?;
        }
        canvas.dot(place(self.mean), RADIUS, color)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiskers_end_where_accuracies_do() {
        let estimate = Estimate { mean: 0.9, deviation: 0.25 };
        assert_eq!((estimate.low(), estimate.high()), (0.65, 1.0));
        assert_eq!(Estimate { mean: 0.1, deviation: 0.25 }.low(), 0.0);
    }

    #[test]
    fn what_is_no_fraction_is_refused_by_name() {
        for (mean, deviation) in [(63.0, 0.0), (-0.1, 0.0), (f64::NAN, 0.0), (0.5, -0.1), (0.5, f64::INFINITY)] {
            let error = Estimate { mean, deviation }.check("rank 4").unwrap_err().to_string();
            assert!(error.starts_with("rank 4: the accuracy"), "{error}");
        }
        for mean in [0.0, 1.0] {
            Estimate { mean, deviation: 0.0 }.check("ends").unwrap();
        }
    }
}
