//! How much each expert of each layer got, step by step, in a bounded room.

/// So many stretches at most: each holds a number for every expert of every layer.
const MAX_STRETCHES: usize = 512;

/// At most so many experts of all layers together are followed; a line with more is no run's.
const MAX_EXPERTS: usize = 16_384;

/// The part of the newest step in what is shown as "of late", as in the run's own picture of its routing.
const NEWEST: f32 = 0.05;

/// The experts' loads, averaged over stretches of 1, 2, 4... steps, so that there are at most 512.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loads {
    layers: usize,
    experts: usize,
    stretches: Vec<Stretch>,
    per_stretch: u64,
    recent: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    last: u64,
    count: u64,
    /// `[layers][experts]`, summed over the steps.
    sum: Vec<f32>,
}

impl Loads {
    /// Appends a step's loads, `[layer][expert]`. A run without experts has none. Loads of another shape begin anew.
    pub fn push(&mut self, step: u64, load: &[Vec<f32>]) {
        let Some(experts) = load.first().map(Vec::len).filter(|experts| *experts > 0) else { return };
        let sum: Vec<f32> = load.iter().flatten().copied().collect();
        if sum.len() != load.len() * experts || sum.len() > MAX_EXPERTS {
            return;
        }
        if (self.layers, self.experts) != (load.len(), experts) {
            *self = Self { layers: load.len(), experts, per_stretch: 1, recent: sum.clone(), ..Self::default() };
        }
        self.rewind(step);
        for (recent, new) in self.recent.iter_mut().zip(&sum) {
            *recent += NEWEST * (new - *recent);
        }
        match self.stretches.last_mut().filter(|stretch| stretch.count < self.per_stretch) {
            Some(stretch) => stretch.join(&Stretch { last: step, count: 1, sum }),
            None => {
                self.make_room();
                self.stretches.push(Stretch { last: step, count: 1, sum });
            }
        }
    }

    /// Forgets what came at this step and later, and what shares a stretch with it.
    pub fn rewind(&mut self, step: u64) {
        while self.stretches.last().is_some_and(|stretch| stretch.last >= step) {
            self.stretches.pop();
        }
    }

    fn make_room(&mut self) {
        if self.stretches.len() < MAX_STRETCHES {
            return;
        }
        let old = std::mem::take(&mut self.stretches);
        self.stretches = old
            .chunks(2)
            .map(|pair| {
                let mut joined = pair[0].clone();
                pair[1..].iter().for_each(|later| joined.join(later));
                joined
            })
            .collect();
        self.per_stretch *= 2;
    }

    /// How many layers have experts; 0 where none has.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// How many experts a layer has.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// One expert's share of one layer's tokens: the last step of each stretch, and the mean over it.
    pub fn points(&self, layer: usize, expert: usize) -> Vec<(u64, f64)> {
        let at = layer * self.experts + expert;
        self.stretches.iter().map(|s| (s.last, f64::from(s.sum[at]) / s.count as f64)).collect()
    }

    /// An expert's share of late: over about the last twenty steps.
    pub fn recent(&self, layer: usize, expert: usize) -> f32 {
        self.recent[layer * self.experts + expert]
    }
}

impl Stretch {
    fn join(&mut self, later: &Self) {
        self.last = later.last;
        self.count += later.count;
        for (sum, more) in self.sum.iter_mut().zip(&later.sum) {
            *sum += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_layer_and_expert() {
        let mut loads = Loads::default();
        loads.push(1, &[vec![0.25, 0.75], vec![1.0, 0.0]]);
        loads.push(2, &[vec![0.5, 0.5], vec![0.0, 1.0]]);
        assert_eq!((loads.layers(), loads.experts()), (2, 2));
        assert_eq!(loads.points(0, 1), [(1, 0.75), (2, 0.5)]);
        assert_eq!(loads.points(1, 0), [(1, 1.0), (2, 0.0)]);
        assert!((loads.recent(1, 0) - 0.95).abs() < 1e-6);
        loads.push(2, &[vec![0.0, 1.0], vec![0.0, 1.0]]);
        assert_eq!(loads.points(0, 1), [(1, 0.75), (2, 1.0)], "a repeated step replaces");
    }

    #[test]
    fn a_long_run_is_bounded_and_means_stay() {
        let mut loads = Loads::default();
        for step in 1..=100_000 {
            let share = if step % 2 == 0 { 0.0 } else { 1.0 };
            loads.push(step, &[vec![share, 1.0 - share]]);
        }
        let points = loads.points(0, 0);
        assert!(points.len() <= MAX_STRETCHES && points.len() > MAX_STRETCHES / 4, "{}", points.len());
        assert!(points.iter().all(|(_, share)| (share - 0.5).abs() < 1e-6));
        assert_eq!(points.last().map(|(step, _)| *step), Some(100_000));
    }

    #[test]
    fn what_is_no_table_is_left_out() {
        let mut loads = Loads::default();
        for load in [vec![], vec![vec![]], vec![vec![0.5, 0.5], vec![1.0]], vec![vec![0.0; MAX_EXPERTS + 1]]] {
            loads.push(1, &load);
            assert_eq!(loads, Loads::default());
        }
    }
}
