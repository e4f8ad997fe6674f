//! What a device did: how long it took by its own clock, how many kernels were launched, how much memory is held.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use burn::tensor::ProfileDuration;
use cubecl::logging::{LaunchObservation, LaunchObserver, TimingMethod, TimingRequest};
use web_time::Instant;

use super::ComputeDevice;
use crate::error::{Error, Result};

/// How long some work took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    /// From the first kernel's begin to the last one's end, by the device's timestamps; `None` where it has none.
    pub device: Option<f64>,
    /// By the wall clock, until the device has nothing left to do.
    pub wall: f64,
}

impl Elapsed {
    /// The device's own time where there is one.
    pub fn seconds(&self) -> f64 {
        self.device.unwrap_or(self.wall)
    }
}

impl ComputeDevice {
    /// Does `work` and says how long it took, from an idle device to an idle device.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn timed<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send) -> Result<(R, Elapsed)> {
        self.wait()?;
        let start = Instant::now();
        if !self.is_gpu() {
            let result = work();
            return Ok((result, Elapsed { device: None, wall: start.elapsed().as_secs_f64() }));
        }
        let (result, window) = self.burn.profile(work).map_err(|error| failed(&error))?;
        self.wait()?;
        let wall = start.elapsed().as_secs_f64();
        Ok((result, Elapsed { device: by_timestamps(window), wall }))
    }

    /// Does `work`, and hands all of it to the device without waiting for it: the host's time alone, in seconds.
    ///
    /// # Errors
    /// As [`ComputeDevice::timed`].
    pub fn encoding_time<R>(&self, work: impl FnOnce() -> R) -> Result<(R, f64)> {
        self.wait()?;
        let start = Instant::now();
        let result = work();
        self.burn.flush().map_err(|error| failed(&error))?;
        let seconds = start.elapsed().as_secs_f64();
        self.wait()?;
        Ok((result, seconds))
    }

    /// Waits until the device has nothing left to do.
    ///
    /// # Errors
    /// As [`ComputeDevice::timed`].
    pub fn wait(&self) -> Result<()> {
        self.burn.sync().map_err(|error| failed(&error))
    }

    /// Bytes that the allocator holds of the device's memory; on the CPU the most that the process held since
    /// [`ComputeDevice::forget_peak`]. Pools only grow between two clean-ups, so after some work this is its peak.
    pub fn held_bytes(&self) -> u64 {
        match self.burn.memory_pool_usage() {
            Some(usage) => usage.bytes_reserved,
            None => super::memory::process_peak(),
        }
    }

    /// Gives back what is free, so that [`ComputeDevice::held_bytes`] tells of what comes next.
    pub fn forget_peak(&self) {
        self.burn.memory_cleanup();
        super::memory::forget_process_peak();
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn by_timestamps(window: ProfileDuration) -> Option<f64> {
    if window.timing_method() != burn::tensor::TimingMethod::Device {
        return None;
    }
    let seconds = pollster::block_on(window.resolve())?.duration().as_secs_f64();
    // Drivers that know no time say zero.
    (seconds > 0.0).then_some(seconds)
}

#[cfg(target_arch = "wasm32")]
fn by_timestamps(_: ProfileDuration) -> Option<f64> {
    None
}

fn failed(error: &dyn std::fmt::Debug) -> Error {
    let text = format!("{error:?}");
    Error::Device(format!("the device failed while it was measured: {}", text.lines().next().unwrap_or_default()))
}

/// Kernels that captured graphs ran without launching them.
static REPLAYED: AtomicU64 = AtomicU64::new(0);

/// Told by whoever replays a captured graph of so many kernels, which no launch tells of.
pub fn replayed(dispatches: u64) {
    REPLAYED.fetch_add(dispatches, Ordering::Relaxed);
}

struct Counter(AtomicU64);

impl LaunchObserver for Counter {
    fn launched(&self, _: &'static str) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many kernels `work` launches or replays, ours and burn's, on any device of this process. Copies and uploads are
/// none. On the CPU there are no launches.
pub fn count_dispatches<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let (counter, before) = (Arc::new(Counter(AtomicU64::new(0))), REPLAYED.load(Ordering::Relaxed));
    let observation = LaunchObservation::new(counter.clone());
    let result = work();
    drop(observation);
    let replayed = REPLAYED.load(Ordering::Relaxed) - before;
    (result, counter.0.load(Ordering::Relaxed) + replayed)
}

/// What a kernel took in all its launches of one size.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct KernelTime {
    /// Its name; burn's kernels bear those of their types.
    pub kernel: String,
    /// Workgroups of a launch; `None` for burn's.
    pub workgroups: Option<u32>,
    /// How many times it ran.
    pub launches: u64,
    /// All of them together, one after the other.
    pub seconds: f64,
}

thread_local! {
    /// The kernel of ours that this thread is launching, and its workgroups: to cubecl they all have one name.
    static LAUNCHING: Cell<Option<(&'static str, u32)>> = const { Cell::new(None) };
}

/// Does `launch`, which launches so many workgroups of `kernel`.
pub(crate) fn launching(kernel: &'static str, workgroups: u32, launch: impl FnOnce()) {
    LAUNCHING.set(Some((kernel, workgroups)));
    launch();
    LAUNCHING.set(None);
}

/// Name and workgroups of a kernel; its launches and their time.
type KernelTimes = HashMap<(String, Option<u32>), (u64, f64)>;

struct Stopwatch(Mutex<KernelTimes>);

impl LaunchObserver for Stopwatch {
    fn launched(&self, _: &'static str) {}

    fn timing(&self) -> TimingRequest {
        TimingRequest::Resolved
    }

    fn timed(&self, kernel: &'static str, duration: Duration, _: TimingMethod) {
        let key = match LAUNCHING.get() {
            Some((name, workgroups)) => (name.to_string(), Some(workgroups)),
            None => (kernel.to_string(), None),
        };
        let mut times = self.0.lock().expect("nobody panics while holding it");
        let (launches, seconds) = times.entry(key).or_default();
        *launches += 1;
        *seconds += duration.as_secs_f64();
    }
}

/// What each kernel took that `work` launched, the longest first. Kernels wait for each other meanwhile, and each pays for
/// its start: the sum is more than the work takes by itself. What a captured graph replays is not seen.
pub fn time_kernels<R>(work: impl FnOnce() -> R) -> (R, Vec<KernelTime>) {
    let stopwatch = Arc::new(Stopwatch(Mutex::default()));
    let observation = LaunchObservation::new(stopwatch.clone());
    let result = work();
    drop(observation);
    let times = std::mem::take(&mut *stopwatch.0.lock().expect("nobody panics while holding it"));
    let one = |((kernel, workgroups), (launches, seconds))| KernelTime { kernel, workgroups, launches, seconds };
    let mut times: Vec<KernelTime> = times.into_iter().map(one).collect();
    times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    (result, times)
}
