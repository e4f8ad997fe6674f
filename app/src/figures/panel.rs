//! A pair of axes on a canvas: a frame in pixels, the range it shows, grid, ticks and what is drawn inside.

use super::canvas::{Anchor, Canvas};
use llava_mole::palette::{GRID, MUTED, Rgb};

const LABEL: f64 = 12.0;

/// Where a picture shows which values.
pub struct Panel<'a, 'b> {
    /// What is drawn on.
    pub canvas: &'a Canvas<'b>,
    /// Left and right end in pixels.
    pub x: (f64, f64),
    /// Upper and lower end in pixels.
    pub y: (f64, f64),
    /// First and last step.
    pub steps: (f64, f64),
    /// Lowest and highest value.
    pub values: (f64, f64),
}

impl Panel<'_, '_> {
    /// Grid, ticks with `label` for their values, and the vertical axis' name beside them.
    pub fn values_axis(&self, name: &str, count: usize, label: impl Fn(f64, f64) -> String) -> anyhow::Result<()> {
        let (at, step) = ticks(self.values, count, 0.0);
        for value in at {
            let (_, y) = self.place((self.steps.0, value));
            self.canvas.line(&[(self.x.0, y), (self.x.1, y)], GRID, 1.0)?;
            self.canvas.text(&label(value, step), (self.x.0 - 8.0, y), Anchor::End, LABEL, MUTED)?;
        }
        let middle = (self.y.0 + self.y.1) / 2.0;
        self.canvas.text(name, (self.x.0 - 56.0, middle), Anchor::Upwards, LABEL + 1.0, MUTED)
    }

    /// The lower edge with a tick for steps; labels only if `named`.
    pub fn steps_axis(&self, name: Option<&str>) -> anyhow::Result<()> {
        let bottom = self.y.1;
        self.canvas.line(&[(self.x.0, bottom), (self.x.1, bottom)], MUTED, 1.0)?;
        for step in ticks(self.steps, 8, 1.0).0 {
            let (x, _) = self.place((step, self.values.0));
            self.canvas.line(&[(x, bottom), (x, bottom + 5.0)], MUTED, 1.0)?;
            if name.is_some() {
                self.canvas.text(&grouped(step), (x, bottom + 15.0), Anchor::Middle, LABEL, MUTED)?;
            }
        }
        if let Some(name) = name {
            let middle = (self.x.0 + self.x.1) / 2.0;
            self.canvas.text(name, (middle, bottom + 37.0), Anchor::Middle, LABEL + 1.0, MUTED)?;
        }
        Ok(())
    }

    /// A curve; a single point is a dot.
    pub fn curve(&self, points: &[(u64, f64)], color: Rgb, width: f64) -> anyhow::Result<()> {
        let places: Vec<_> = points.iter().map(|&(step, value)| self.place((step as f64, value))).collect();
        match places.as_slice() {
            [] => Ok(()),
            [only] => self.canvas.dot(*only, width + 2.0, color),
            _ => self.canvas.line(&places, color, width),
        }
    }

    /// A dot at each point.
    pub fn dots(&self, points: &[(u64, f64)], color: Rgb, radius: f64) -> anyhow::Result<()> {
        points.iter().try_for_each(|&(step, value)| self.canvas.dot(self.place((step as f64, value)), radius, color))
    }

    /// Where a value lies; one outside the range is drawn at the frame.
    fn place(&self, (step, value): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(0.0, 1.0);
        let x = self.x.0 + share(step, self.steps) * (self.x.1 - self.x.0);
        let y = self.y.1 - share(value, self.values) * (self.y.1 - self.y.0);
        (x, y)
    }
}

/// Round values inside a range, about `count` of them, and their distance: 1, 2 or 5 times a power of ten, at least
/// `smallest`.
pub fn ticks((low, high): (f64, f64), count: usize, smallest: f64) -> (Vec<f64>, f64) {
    let rough = (high - low) / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    let step = (factor * power).max(smallest);
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    ((first..=last).map(|i| i as f64 * step).collect(), step)
}

/// A tick of an axis with so many decimals as its distance needs; there is room for seven characters.
pub fn decimal(value: f64, step: f64) -> String {
    if !(1e-4..1e5).contains(&step) {
        return scientific(value, step);
    }
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    format!("{:.decimals$}", value + 0.0)
}

/// A tick of a learning rate: `2e-4`.
pub fn scientific(value: f64, _step: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}").replace(".0e", "e") }
}

/// A whole number with separators.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 10.0), 5, 0.0), (vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0], 2.0));
        assert_eq!(ticks((1.0, 3.0), 8, 1.0), (vec![1.0, 2.0, 3.0], 1.0));
        assert_eq!(ticks((0.0, 100_000.0), 8, 1.0).1, 20_000.0);
        let (at, step) = ticks((0.0, 2e-4), 3, 0.0);
        assert_eq!((at.len(), step), (3, 1e-4));
    }

    #[test]
    fn labels() {
        assert_eq!(decimal(1.5, 0.5), "1.5");
        assert_eq!(decimal(0.25, 0.05), "0.25");
        assert_eq!(decimal(20.0, 20.0), "20");
        assert_eq!(decimal(-0.0, 1.0), "0");
        assert_eq!(decimal(2e30, 1e30), "2e30");
        assert_eq!(scientific(1.5e-4, 5e-5), "1.5e-4");
        assert_eq!(scientific(3.0 * 1e-4, 1e-4), "3e-4");
        assert_eq!(scientific(0.0, 1.0), "0");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(999.0), "999");
    }
}
