//! A run's curves as points to draw: made once for each snapshot, drawn many times.

use std::fmt::{self, Debug};

use egui_plot::PlotPoint;

use crate::series::ordinary;
use crate::training::{Curve, Curves};

/// How losses are spread over their axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their power of ten.
    Logarithmic,
}

impl Scale {
    /// Where a value lies; none where the scale has no place for it.
    pub fn place(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => Some(value),
            Self::Logarithmic => (value > 0.0).then(|| value.log10()),
        }
    }

    /// The value at a place.
    pub fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Logarithmic => 10f64.powf(place),
        }
    }
}

/// Which layers' experts are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// The mean over all.
    #[default]
    All,
    /// One.
    One(usize),
}

/// A curve twice: as it is, and smoothed; with the points of its evaluations.
#[derive(Clone)]
pub struct Lines {
    /// Each step. Single ones far from all others are drawn at the edge, so that they do not flatten the rest.
    pub raw: Vec<PlotPoint>,
    /// The moving average.
    pub smoothed: Vec<PlotPoint>,
    /// The held-out loss.
    pub held_out: Vec<PlotPoint>,
    /// The newest value of the moving average.
    pub last: Option<f64>,
    /// The newest held-out loss.
    pub last_held_out: Option<f64>,
}

/// Everything that is drawn.
pub struct Picture {
    /// The whole loss.
    pub loss: Lines,
    /// The losses by dataset.
    pub datasets: Vec<(String, Lines)>,
    /// The learning rate.
    pub lr: Lines,
    /// Positions a second.
    pub tokens_per_second: Lines,
    /// The gradients' norm.
    pub grad_norm: Lines,
    /// The share of each expert.
    pub experts: Vec<Vec<PlotPoint>>,
    /// Steps that were skipped.
    pub skipped: Vec<u64>,
}

impl Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picture").field("datasets", &self.datasets.len()).finish_non_exhaustive()
    }
}

impl Picture {
    /// The points of all curves.
    pub fn of(curves: &Curves, scale: Scale, layers: Layers) -> Self {
        let nothing = Curve::default();
        let of = |curve: &Curve| Lines::of(curve, &nothing, Scale::Linear);
        let datasets = curves.datasets.iter();
        Self {
            loss: Lines::of(&curves.loss, &curves.held_out, scale),
            datasets: datasets
                .map(|(name, data)| (name.clone(), Lines::of(&data.loss, &data.held_out, scale)))
                .collect(),
            lr: of(&curves.lr),
            tokens_per_second: of(&curves.tokens_per_second),
            grad_norm: of(&curves.grad_norm),
            experts: experts(curves, layers),
            skipped: curves.skipped_steps.clone(),
        }
    }
}

impl Lines {
    fn of(curve: &Curve, held_out: &Curve, scale: Scale) -> Self {
        let (mut points, smoothed, held_out) = (curve.points(), curve.smoothed(), held_out.points());
        let bounds = smoothed.iter().fold(ordinary(&points), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
        for (_, y) in &mut points {
            *y = y.clamp(bounds.0, bounds.1);
        }
        Self {
            last: smoothed.last().map(|(_, value)| *value),
            last_held_out: held_out.last().map(|(_, value)| *value),
            raw: placed(&points, scale),
            smoothed: placed(&smoothed, scale),
            held_out: placed(&held_out, scale),
        }
    }
}

fn placed(points: &[(u64, f64)], scale: Scale) -> Vec<PlotPoint> {
    points.iter().filter_map(|(x, y)| Some(PlotPoint::new(*x as f64, scale.place(*y)?))).collect()
}

fn experts(curves: &Curves, layers: Layers) -> Vec<Vec<PlotPoint>> {
    let loads = &curves.loads;
    let of_expert = |expert: usize| match layers {
        Layers::One(layer) if layer < loads.layers() => placed(&loads.points(layer, expert), Scale::Linear),
        _ => {
            let mut mean = loads.points(0, expert);
            for layer in 1..loads.layers() {
                for ((_, sum), (_, more)) in mean.iter_mut().zip(loads.points(layer, expert)) {
                    *sum += more;
                }
            }
            for (_, share) in &mut mean {
                *share /= loads.layers() as f64;
            }
            placed(&mean, Scale::Linear)
        }
    };
    (0..loads.experts()).map(of_expert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves() -> Curves {
        let mut curves = Curves::default();
        for step in 1..=200 {
            let loss = if step == 77 { 1e6 } else { 2.0 };
            let line = format!(
                "{{\"step\":{step},\"loss\":{loss},\"lr\":0.1,\"expert_load\":[[0.25,0.75],[0.75,0.25]],\"by_data\":{{\"a\":0}}}}"
            );
            curves.add(line.as_bytes());
        }
        curves
    }

    #[test]
    fn a_spike_does_not_flatten_the_rest() {
        let picture = Picture::of(&curves(), Scale::Linear, Layers::All);
        let highest = picture.loss.raw.iter().map(|point| point.y).fold(0.0, f64::max);
        let smooth = picture.loss.smoothed.iter().map(|point| point.y).fold(0.0, f64::max);
        assert_eq!(highest, smooth, "as high as the average, which the spike is in");
        assert_eq!(picture.loss.raw.len(), 200);
    }

    #[test]
    fn a_logarithmic_scale_has_no_place_for_nothing() {
        let picture = Picture::of(&curves(), Scale::Logarithmic, Layers::All);
        assert!((picture.loss.raw[0].y - 2f64.log10()).abs() < 1e-12);
        assert!(picture.datasets[0].1.raw.is_empty(), "the loss is 0");
        assert!((Scale::Logarithmic.value(picture.loss.raw[0].y) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn layers_are_averaged_or_chosen() {
        let shares = |layers| -> Vec<f64> {
            Picture::of(&curves(), Scale::Linear, layers).experts.iter().map(|points| points[0].y).collect()
        };
        assert_eq!(shares(Layers::All), [0.5, 0.5]);
        assert_eq!(shares(Layers::One(1)), [0.75, 0.25]);
        assert_eq!(shares(Layers::One(7)), [0.5, 0.5], "a layer that is not there");
    }
}
