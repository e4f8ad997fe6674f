//! The gradients of a window's micro-batches: on a GPU one after the other, on the CPU one for each core at a time.
//!
//! Cores share the work of a micro-batch badly: its products are small, and what is between them runs on one core. They
//! share a window well. Each micro-batch's gradients are summed by themselves and then added in order, so that the sum
//! is the same to the last bit however many cores there are.

use std::ops::ControlFlow;

use burn::tensor::Device;

use super::gradients::GradientStore;
use super::step::{LoadedSample, MicroLosses, Objective, accumulate};
use crate::error::Result;
use crate::model::Llava;

/// Who computes micro-batches.
pub(super) struct Workers {
    /// One thread each: the products inside a micro-batch are not to be spread over the cores of the others.
    #[cfg(not(target_arch = "wasm32"))]
    pools: Vec<rayon::ThreadPool>,
}

/// One micro-batch and the seed of its dropout.
pub(super) type MicroBatch<'a> = (&'a [LoadedSample], u64);

impl Workers {
    /// As many as the device's host has cores, if that is what the device is.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(device: &Device) -> Self {
        let cores = if *device == Device::flex() { cores() } else { 1 };
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build().ok();
        // Where the system gives no threads, the micro-batches wait for one another.
        Self { pools: (0..cores).map_while(pool).collect() }
    }

    /// A page has one thread.
    #[cfg(target_arch = "wasm32")]
    pub fn new(_: &Device) -> Self {
        Self {}
    }

    /// The gradients of all micro-batches together, and each one's losses; `None` if `on_micro_batch`, asked before
    /// each, stopped it.
    pub fn accumulate(
        &self,
        model: &Llava,
        micro_batches: &[MicroBatch<'_>],
        objective: &Objective,
        on_micro_batch: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<(GradientStore, Vec<MicroLosses>)>> {
        let (mut store, mut losses) = (GradientStore::default(), Vec::with_capacity(micro_batches.len()));
        for group in micro_batches.chunks(self.at_once()) {
            for _ in group {
                if on_micro_batch().is_break() {
                    return Ok(None);
                }
            }
            for computed in self.compute(group, |&(samples, seed)| {
                let mut store = GradientStore::default();
                accumulate(model, samples, objective, seed, &mut store).map(|losses| (store, losses))
            }) {
                let (gradients, micro) = computed?;
                store.merge(gradients);
                losses.push(micro);
            }
        }
        Ok(Some((store, losses)))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn at_once(&self) -> usize {
        self.pools.len().max(1)
    }

    #[cfg(target_arch = "wasm32")]
    fn at_once(&self) -> usize {
        1
    }

    /// The results of at most [`Workers::at_once`] micro-batches, in order.
    #[cfg(not(target_arch = "wasm32"))]
    fn compute<R: Send>(&self, group: &[MicroBatch<'_>], work: impl Fn(&MicroBatch<'_>) -> R + Sync) -> Vec<R> {
        // One alone has all cores.
        if let [only] = group {
            return vec![work(only)];
        }
        let work = &work;
        std::thread::scope(|scope| {
            let started: Vec<_> = (group.iter().zip(&self.pools))
                .map(|(micro_batch, pool)| scope.spawn(move || pool.install(|| work(micro_batch))))
                .collect();
            let joined = started.into_iter().map(|thread| thread.join());
            joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    #[cfg(target_arch = "wasm32")]
    fn compute<R>(&self, group: &[MicroBatch<'_>], work: impl Fn(&MicroBatch<'_>) -> R) -> Vec<R> {
        group.iter().map(work).collect()
    }
}

/// Micro-batches that the CPU computes at once.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn cores() -> usize {
    rayon::current_num_threads()
}

/// A page has one thread.
#[cfg(target_arch = "wasm32")]
pub(super) fn cores() -> usize {
    1
}
