//! A curve of any length in a bounded room.

use crate::series::Series;

/// So many stretches at most: two points of each are more than a plot has pixels.
const MAX_STRETCHES: usize = 2048;

/// Values by step. Up to 2048 are kept as they are; after that every stretch of 2, 4, 8... values is kept as its lowest,
/// its highest and its mean, so that no spike is lost and averages stay right.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    stretches: Vec<Stretch>,
    /// Values in a full stretch.
    per_stretch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    low: (u64, f64),
    high: (u64, f64),
    last: (u64, f64),
    sum: f64,
    count: u64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { stretches: Vec::new(), per_stretch: 1 }
    }
}

impl Curve {
    /// Appends a value. One that is missing or not finite leaves a gap; one for a step that is there already replaces it
    /// and all behind it.
    pub fn push(&mut self, step: u64, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        self.rewind(step);
        let point = (step, value);
        let one = Stretch { low: point, high: point, last: point, sum: value, count: 1 };
        match self.stretches.last_mut().filter(|stretch| stretch.count < self.per_stretch) {
            Some(stretch) => stretch.join(&one),
            None => {
                self.make_room();
                self.stretches.push(one);
            }
        }
    }

    /// Forgets what came at this step and later: a resumed run repeats the steps since its checkpoint. In a long curve
    /// whatever shares a stretch with that step goes too.
    pub fn rewind(&mut self, step: u64) {
        while self.stretches.last().is_some_and(|stretch| stretch.last.0 >= step) {
            self.stretches.pop();
        }
    }

    fn make_room(&mut self) {
        if self.stretches.len() < MAX_STRETCHES {
            return;
        }
        for pair in 0..MAX_STRETCHES / 2 {
            let mut joined = self.stretches[2 * pair];
            joined.join(&self.stretches[2 * pair + 1]);
            self.stretches[pair] = joined;
        }
        self.stretches.truncate(MAX_STRETCHES / 2);
        self.per_stretch *= 2;
    }

    /// The newest value and its step.
    pub fn last(&self) -> Option<(u64, f64)> {
        self.stretches.last().map(|stretch| stretch.last)
    }

    /// The points to draw, of a long curve the lowest and the highest of each stretch.
    pub fn points(&self) -> Vec<(u64, f64)> {
        let mut points = Vec::with_capacity(2 * self.stretches.len());
        for stretch in &self.stretches {
            let (low, high) = (stretch.low, stretch.high);
            points.push(if low.0 <= high.0 { low } else { high });
            if low.0 != high.0 {
                points.push(if low.0 < high.0 { high } else { low });
            }
        }
        points
    }

    /// The moving average that the command line's `loss.svg` has, see [`Series::smoothed`]; of a long curve over the means
    /// of its stretches.
    pub fn smoothed(&self) -> Vec<(u64, f64)> {
        let mut means = Series::default();
        for stretch in &self.stretches {
            means.push(stretch.last.0, Some(stretch.sum / stretch.count as f64));
        }
        if means.points().is_empty() { Vec::new() } else { means.smoothed().points().to_vec() }
    }
}

impl Stretch {
    fn join(&mut self, later: &Self) {
        if later.low.1 < self.low.1 {
            self.low = later.low;
        }
        if later.high.1 > self.high.1 {
            self.high = later.high;
        }
        self.last = later.last;
        self.sum += later.sum;
        self.count += later.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(values: impl IntoIterator<Item = f64>) -> (Curve, Series) {
        let (mut curve, mut series) = (Curve::default(), Series::default());
        for (at, value) in values.into_iter().enumerate() {
            curve.push(at as u64 + 1, Some(value));
            series.push(at as u64 + 1, Some(value));
        }
        (curve, series)
    }

    fn noise(at: u32) -> f64 {
        f64::from(at.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24)
    }

    #[test]
    fn a_short_curve_is_whole_and_smoothed_as_in_the_picture() {
        let (curve, series) = both((0..2048).map(|at| 3.0 / f64::from(at + 1) + noise(at)));
        assert_eq!(curve.points(), series.points());
        assert_eq!(curve.smoothed(), series.smoothed().points());
        assert!(Curve::default().smoothed().is_empty() && Curve::default().points().is_empty());
    }

    #[test]
    fn a_long_curve_is_bounded_and_keeps_spikes_and_averages() {
        let value = |at: u32| match at {
            765_432 => 90.0,
            123_456 => -90.0,
            _ => 4.0 * (-f64::from(at) / 2e5).exp() + noise(at),
        };
        let (curve, series) = both((0..1_000_000).map(value));
        assert!(curve.stretches.len() <= MAX_STRETCHES && curve.stretches.len() > MAX_STRETCHES / 4);
        let points = curve.points();
        assert!(points.contains(&(765_433, 90.0)) && points.contains(&(123_457, -90.0)));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(curve.last(), series.points().last().copied());
        let exact = series.smoothed();
        for (step, value) in curve.smoothed() {
            let exact = exact.points()[step as usize - 1].1;
            assert!((value - exact).abs() < 0.02, "step {step}: {value} for {exact}");
        }
    }

    #[test]
    fn gaps_and_repeated_steps() {
        let mut curve = Curve::default();
        for (step, value) in [(1, Some(3.0)), (2, None), (3, Some(f64::NAN)), (4, Some(2.0)), (5, Some(1.0))] {
            curve.push(step, value);
        }
        curve.push(4, Some(2.5));
        assert_eq!(curve.points(), [(1, 3.0), (4, 2.5)]);
        curve.rewind(1);
        assert_eq!(curve, Curve::default());
        // A long one forgets by the stretch.
        let (mut curve, _) = both((0..5000).map(noise));
        curve.rewind(4000);
        assert!(curve.last().is_some_and(|(step, _)| (3990..4000).contains(&step)), "{:?}", curve.last());
    }
}
