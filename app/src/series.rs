//! A curve's points: gathered step by step, smoothed, thinned out for drawing.

/// Values by step, ascending, all finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series(Vec<(u64, f64)>);

impl Series {
    /// Appends a value. One that is missing or not finite leaves a gap; one for a step already there replaces it.
    pub fn push(&mut self, step: u64, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.rewind(step);
            self.0.push((step, value));
        }
    }

    /// Forgets what came at this step and later: a resumed run repeats the steps since its checkpoint.
    pub fn rewind(&mut self, step: u64) {
        while self.0.last().is_some_and(|(last, _)| *last >= step) {
            self.0.pop();
        }
    }

    /// The points.
    pub fn points(&self) -> &[(u64, f64)] {
        &self.0
    }

    /// The exponential moving average over about a twenty-fifth of the curve.
    ///
    /// The weights of the steps so far are made to sum to one (as in Adam's bias correction), so the curve starts where
    /// its values do instead of creeping up from zero. The first tenth of the window counts as its mean: an average
    /// over a step or two would be as wild as the steps.
    pub fn smoothed(&self) -> Self {
        let window = (self.0.len() as f64 / 25.0).max(1.0);
        let head = &self.0[..self.0.len().min((window / 10.0).ceil() as usize)];
        let start = head.iter().map(|(_, value)| value).sum::<f64>() / head.len() as f64;
        let keep = 1.0 - 2.0 / (1.0 + window);
        let (mut sum, mut weight) = (0.0, 0.0);
        let average = |(index, &(step, value)): (usize, &(u64, f64))| {
            let value = if index < head.len() { start } else { value };
            sum = keep * sum + (1.0 - keep) * value;
            weight = keep * weight + (1.0 - keep);
            (step, sum / weight)
        };
        Self(self.0.iter().enumerate().map(average).collect())
    }

    /// At most `limit` points that look the same: the first, the last, and of each stretch between the lowest and the
    /// highest, so that no spike is lost. `limit` is 4 or more.
    pub fn thinned(&self, limit: usize) -> Vec<(u64, f64)> {
        assert!(limit >= 4, "no room for the ends and a stretch");
        let [first, between @ .., last] = self.0.as_slice() else { return self.0.clone() };
        if self.0.len() <= limit {
            return self.0.clone();
        }
        let mut kept = vec![*first];
        for stretch in between.chunks(between.len().div_ceil((limit - 2) / 2)) {
            let value = |i: &usize| stretch[*i].1;
            let by_value = |a: &usize, b: &usize| value(a).total_cmp(&value(b));
            let low = (0..stretch.len()).min_by(by_value).unwrap_or(0);
            let high = (0..stretch.len()).max_by(by_value).unwrap_or(0);
            kept.push(stretch[low.min(high)]);
            if low != high {
                kept.push(stretch[low.max(high)]);
            }
        }
        kept.push(*last);
        kept
    }
}

/// Between which values a step is ordinary: as far beyond the highest and the lowest per cent as those are from the
/// median.
pub fn ordinary(points: &[(u64, f64)]) -> (f64, f64) {
    let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let (outside, last) = (values.len() / 100, values.len().saturating_sub(1));
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    let (low, median, high) = (at(outside), at(last / 2), at(last - outside));
    (2.0 * low - median, 2.0 * high - median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = f64>) -> Series {
        let mut series = Series::default();
        for (step, value) in values.into_iter().enumerate() {
            series.push(step as u64, Some(value));
        }
        series
    }

    #[test]
    fn gaps_and_repeated_steps() {
        let mut series = Series::default();
        for (step, value) in [(1, Some(3.0)), (2, None), (3, Some(f64::NAN)), (4, Some(2.0)), (5, Some(1.0))] {
            series.push(step, value);
        }
        series.push(4, Some(2.5));
        assert_eq!(series.points(), [(1, 3.0), (4, 2.5)]);
    }

    #[test]
    fn smoothing_starts_at_the_first_value_and_keeps_a_constant() {
        let flat = series(vec![2.0; 500]);
        assert!(flat.smoothed().points().iter().all(|(_, value)| (value - 2.0).abs() < 1e-12));
        // 75 points: a window of 3, so half the weight stays. Of 1 then 0: 1, then (0.5 1 + 0) / 1.5.
        let mut values = vec![0.0; 75];
        values[0] = 1.0;
        let smooth = series(values).smoothed();
        assert_eq!(smooth.points()[0].1, 1.0);
        assert!((smooth.points()[1].1 - 1.0 / 3.0).abs() < 1e-12);
        // 500 points: a window of 20, whose first two are averaged.
        let (mut values, half) = (vec![0.5; 500], 0.5);
        (values[0], values[1]) = (1.0, 0.0);
        assert!(series(values).smoothed().points().iter().all(|(_, value)| (value - half).abs() < 1e-12));
        let short = series([3.0, 1.0, 2.0]);
        assert_eq!(short.smoothed(), short, "nothing to average over");
    }

    #[test]
    fn thinning_keeps_the_ends_and_the_spikes() {
        let mut values: Vec<f64> = (0..100_000).map(|i| (f64::from(i) * 0.01).sin()).collect();
        values[54_321] = 9.0;
        values[77_777] = -9.0;
        let thin = series(values.clone()).thinned(2000);
        assert!(thin.len() <= 2000 && thin.len() > 1000, "{}", thin.len());
        assert_eq!(thin[0], (0, values[0]));
        assert_eq!(*thin.last().unwrap(), (99_999, values[99_999]));
        assert!(thin.contains(&(54_321, 9.0)) && thin.contains(&(77_777, -9.0)));
        assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
    }

    #[test]
    fn short_curves_stay_whole() {
        for len in [0, 1, 2, 3, 4, 2000] {
            assert_eq!(series(vec![1.0; len]).thinned(2000).len(), len);
        }
        assert!(series((0..2001).map(f64::from)).thinned(2000).len() <= 2000);
        assert!(series((0..9).map(f64::from)).thinned(4).len() <= 4);
    }
}
