//! Repeated measurements: warm-up, median, spread.

use serde::Serialize;

use crate::device::Elapsed;
use crate::error::Result;

/// Runs that are thrown away: kernels are compiled, pools grow, caches and clocks warm up.
const WARM_UP: usize = 2;

/// After a run this long, in seconds, everything is warm.
const LONG: f64 = 1.0;

/// What repeated measurements say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// The median, in seconds, by the device's own clock where it has one.
    pub seconds: f64,
    /// The median by the wall clock, around a wait for the device.
    pub wall_seconds: f64,
    /// What `seconds` is by.
    pub clock: Clock,
    /// Largest minus smallest, as a share of the median.
    pub spread: f64,
}

/// What told the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Timestamps that the device writes.
    Timestamps,
    /// The wall clock, around a wait for the device.
    Wall,
}

/// Measures `work` in `rounds` rounds, after a warm-up.
///
/// # Errors
/// Whatever `work` can cause.
pub fn repeat(rounds: usize, mut work: impl FnMut() -> Result<Elapsed>) -> Result<Sample> {
    for _ in 0..WARM_UP {
        if work()?.wall > LONG {
            break;
        }
    }
    let elapsed = (0..rounds).map(|_| work()).collect::<Result<Vec<_>>>()?;
    Ok(Sample::of(&elapsed))
}

impl Sample {
    fn of(elapsed: &[Elapsed]) -> Self {
        // One clock for all: a window without timestamps says nothing beside those with them.
        let by_device: Option<Vec<f64>> = elapsed.iter().map(|elapsed| elapsed.device).collect();
        let wall: Vec<f64> = elapsed.iter().map(|elapsed| elapsed.wall).collect();
        let clock = if by_device.is_some() { Clock::Timestamps } else { Clock::Wall };
        let times = by_device.unwrap_or_else(|| wall.clone());
        let [least, most] = [f64::min, f64::max].map(|pick| times.iter().copied().reduce(pick).unwrap_or(0.0));
        let seconds = median(times);
        Self { seconds, wall_seconds: median(wall), clock, spread: (most - least) / seconds }
    }

    /// The same of one step, where so many were measured together.
    pub fn each(self, steps: usize) -> Self {
        let steps = steps as f64;
        Self { seconds: self.seconds / steps, wall_seconds: self.wall_seconds / steps, ..self }
    }
}

/// The shortest time of `work` in so many rounds, in seconds: what a device can do, whatever else disturbs it.
///
/// # Errors
/// Whatever `work` can cause.
pub fn fastest(rounds: usize, mut work: impl FnMut() -> Result<Elapsed>) -> Result<f64> {
    let first = work()?;
    let mut least = if first.wall > LONG { first.seconds() } else { f64::INFINITY };
    for _ in 0..rounds {
        least = least.min(work()?.seconds());
    }
    Ok(least)
}

/// The middle value; of an even number the lower of the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// One of several works that are compared.
pub struct Contender<'a> {
    /// What it is called.
    pub name: &'static str,
    /// Does it once.
    pub work: Box<dyn FnMut() -> Result<Elapsed> + 'a>,
}

/// Medians of rounds in which the contenders take turns, so that a machine that grows slower meanwhile favours none.
///
/// # Errors
/// Whatever a contender can cause.
pub fn in_turn(rounds: usize, contenders: &mut [Contender<'_>]) -> Result<Vec<f64>> {
    for contender in &mut *contenders {
        repeat(0, &mut contender.work)?;
    }
    let mut elapsed = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, elapsed) in contenders.iter_mut().zip(&mut elapsed) {
            elapsed.push((contender.work)()?);
        }
    }
    // All by one clock, or their ratio would say nothing.
    let all_by_device = elapsed.iter().flatten().all(|elapsed| elapsed.device.is_some());
    let seconds = |elapsed: Elapsed| if all_by_device { elapsed.seconds() } else { elapsed.wall };
    Ok(elapsed.into_iter().map(|runs| median(runs.into_iter().map(seconds).collect())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_one_clock_is_told() {
        let run = |device: Option<f64>, wall| Elapsed { device, wall };
        let sample = Sample::of(&[run(Some(2.0), 5.0), run(Some(1.0), 4.0), run(Some(4.0), 9.0)]);
        assert_eq!(sample, Sample { seconds: 2.0, wall_seconds: 5.0, clock: Clock::Timestamps, spread: 1.5 });
        let mixed = Sample::of(&[run(Some(2.0), 5.0), run(None, 4.0), run(Some(4.0), 9.0)]);
        assert_eq!((mixed.seconds, mixed.clock), (5.0, Clock::Wall));
        assert_eq!(sample.each(2).seconds, 1.0);
    }

    #[test]
    fn contenders_take_turns_and_the_warm_up_does_not_count() {
        let order = std::cell::RefCell::new(Vec::new());
        let contender = |name: &'static str, seconds: f64| Contender {
            name,
            work: Box::new({
                let order = &order;
                move || {
                    order.borrow_mut().push(name);
                    let warm = order.borrow().len() > 2 * WARM_UP;
                    Ok(Elapsed { device: None, wall: if warm { seconds } else { 0.1 } })
                }
            }),
        };
        let medians = in_turn(3, &mut [contender("a", 1.0), contender("b", 2.0)]).unwrap();
        assert_eq!(medians, [1.0, 2.0]);
        assert_eq!(order.borrow()[2 * WARM_UP..], ["a", "b", "a", "b", "a", "b"]);
    }
}
