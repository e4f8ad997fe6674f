//! The axis of accuracies: a range in per cent that holds them all, rounded outwards, and where it lies in pixels.

use super::estimate::Estimate;
use super::panel::{decimal, ticks};

/// The axis' name.
pub const NAME: &str = "accuracy in %";

/// The least shown, in points: closer in, chance would look like a difference.
const MIN_SPAN: f64 = 5.0;
/// About so many ticks.
const TICKS: usize = 6;
/// How near a tick, in steps, a whisker may end before the range goes on to the next.
const AIR: f64 = 0.05;

/// From fractions to pixels.
pub struct PercentAxis {
    low: f64,
    high: f64,
    step: f64,
    pixels: (f64, f64),
}

impl PercentAxis {
    /// An axis between two pixels for these estimates; 0 to 100 % if there are none.
    pub fn new<'a>(estimates: impl Iterator<Item = &'a Estimate>, pixels: (f64, f64)) -> Self {
        let (low, high) = estimates.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), estimate| {
            (low.min(100.0 * estimate.low()), high.max(100.0 * estimate.high()))
        });
        let (low, high) = if low <= high { widened((low, high)) } else { (0.0, 100.0) };
        // Steps are 1, 2, 5, 10 or 20 points, of which 0 and 100 are multiples.
        let step = ticks((low, high), TICKS, 1.0).1;
        let low = ((low / step - AIR).floor() * step).max(0.0);
        let high = ((high / step + AIR).ceil() * step).min(100.0);
        Self { low, high, step, pixels }
    }

    /// The pixel of a fraction.
    pub fn place(&self, fraction: f64) -> f64 {
        let (from, to) = self.pixels;
        from + (100.0 * fraction - self.low) / (self.high - self.low) * (to - from)
    }

    /// The ticks' labels and pixels, from the lowest; the first and the last are the ends of the axis.
    pub fn ticks(&self) -> Vec<(String, f64)> {
        let steps = ((self.high - self.low) / self.step).round() as usize;
        let values = (0..=steps).map(|index| self.low + self.step * index as f64);
        values.map(|value| (decimal(value, self.step), self.place(value / 100.0))).collect()
    }
}

/// At least [`MIN_SPAN`] wide, and still within 0 to 100.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let room = (MIN_SPAN - (high - low)).max(0.0) / 2.0;
    let low = (low - room).clamp(0.0, 100.0 - MIN_SPAN);
    (low, (high + room).min(100.0).max(low + MIN_SPAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[(f64, f64)]) -> Vec<String> {
        let estimates: Vec<_> = values.iter().map(|&(mean, deviation)| Estimate { mean, deviation }).collect();
        let axis = PercentAxis::new(estimates.iter(), (100.0, 500.0));
        let ticks = axis.ticks();
        assert!((ticks[0].1 - 100.0).abs() < 1e-9 && (ticks[ticks.len() - 1].1 - 500.0).abs() < 1e-9, "{ticks:?}");
        for end in estimates.iter().flat_map(|estimate| [estimate.low(), estimate.high()]) {
            assert!((99.999..500.001).contains(&axis.place(end)), "{end} is outside {ticks:?}");
        }
        ticks.into_iter().map(|(label, _)| label).collect()
    }

    #[test]
    fn ranges_are_rounded_outwards() {
        assert_eq!(labels(&[(0.413, 0.0), (0.778, 0.01)]), ["40", "50", "60", "70", "80"]);
        assert_eq!(labels(&[(0.0, 0.0), (1.0, 0.2)]), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&[]), ["0", "20", "40", "60", "80", "100"]);
        // A whisker that ends at a tick has a step more.
        assert_eq!(labels(&[(0.5, 0.0), (0.9, 0.0)]), ["40", "50", "60", "70", "80", "90", "100"]);
    }

    #[test]
    fn equal_values_still_have_a_range() {
        assert_eq!(labels(&[(0.5, 0.0); 3]), ["47", "48", "49", "50", "51", "52", "53"]);
        assert_eq!(labels(&[(0.0, 0.0)])[0], "0");
        assert_eq!(labels(&[(1.0, 0.0)]).last().map(String::as_str), Some("100"));
    }
}
