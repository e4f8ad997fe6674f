//! What the device can do at best: its copy bandwidth and its best matrix rate, as measured, not as its maker says. Of all
//! ways and runs the fastest counts.

use std::hint::black_box;

use burn::tensor::{DType, Distribution, FloatDType, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use super::Cost;
use super::rounds::fastest;
use crate::device::{AdapterKind, ComputeDevice};
use crate::error::Result;
use crate::model::{Precision, RandomWeights};
use crate::ops::{Weight, linear};

/// Runs of which the fastest counts.
const RUNS: usize = 5;

/// The edge of the smallest square product that is tried.
const SMALLEST_EDGE: usize = 256;

/// No larger product is tried after one that takes this long, in seconds.
const LONG_ENOUGH: f64 = 0.02;

/// The largest edge of a square product that is tried.
const LARGEST_EDGE: usize = 8192;

/// What every share is a share of.
#[derive(Clone, Debug, Serialize)]
pub struct Ceilings {
    /// Bytes read and written while copying, or read where that is faster, in 10^9 a second.
    pub copy_gb_s: f64,
    /// What copied so fast.
    pub copy_by: &'static str,
    /// Operations of a large product, in 10^9 a second.
    pub matmul_gflop_s: f64,
    /// Whose product was so fast.
    pub matmul_by: &'static str,
    /// Edge of the square product it was measured with.
    pub matmul_edge: usize,
}

impl Ceilings {
    /// Measures both: every way that is known, of which the fastest counts.
    ///
    /// # Errors
    /// A device that fails.
    pub fn measure(device: &ComputeDevice) -> Result<Self> {
        // On a thread of its own, which is a stream of its own: the pools that the phases allocate from are those of a
        // program that measured nothing.
        let measured = std::thread::scope(|scope| scope.spawn(|| Self::measure_here(device)).join());
        let ceilings = measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        device.forget_peak();
        Ok(ceilings)
    }

    fn measure_here(device: &ComputeDevice) -> Result<Self> {
        let best = |a: &(f64, _), b: &(f64, _)| a.0.total_cmp(&b.0);
        let (copy_gb_s, copy_by) = copies(device)?.into_iter().max_by(best).expect("there is always one way");
        let best = |a: &(f64, _), b: &(f64, _)| a.0.total_cmp(&b.0);
        let product = products(device)?.into_iter().max_by(best).expect("there is always one way");
        let (matmul_gflop_s, (matmul_by, matmul_edge)) = product;
        Ok(Self { copy_gb_s, copy_by, matmul_gflop_s, matmul_by, matmul_edge })
    }

    /// The higher of two measurements.
    pub fn max(self, other: Self) -> Self {
        let (copy, product) = match (other.copy_gb_s > self.copy_gb_s, other.matmul_gflop_s > self.matmul_gflop_s) {
            (false, false) => return self,
            (true, true) => return other,
            (true, false) => (&other, &self),
            (false, true) => (&self, &other),
        };
        Self { copy_gb_s: copy.copy_gb_s, copy_by: copy.copy_by, ..product.clone() }
    }

    /// The least time that moving the bytes of `cost` takes, and that computing its products takes, in seconds. The two
    /// go on side by side.
    pub fn least_seconds(&self, cost: Cost) -> [f64; 2] {
        [cost.bytes as f64 / (1e9 * self.copy_gb_s), cost.flops as f64 / (1e9 * self.matmul_gflop_s)]
    }
}

fn copies(device: &ComputeDevice) -> Result<Vec<(f64, &'static str)>> {
    let mib = match device.report.kind {
        AdapterKind::Discrete | AdapterKind::Virtual => 512,
        AdapterKind::Integrated => 256,
        AdapterKind::Software | AdapterKind::Cpu => 64,
    };
    let bytes = (mib << 20).min(device.report.max_binding_bytes / 2) as usize;
    let mut rates = Vec::new();
    let mut add = |by, seconds: f64| rates.push((2.0 * bytes as f64 / seconds / 1e9, by));
    let x = Tensor::<1>::ones([bytes / 4], &device.burn);
    let scaled = fastest(RUNS, || Ok(device.timed(|| drop(x.clone() * 1.5))?.1))?;
    add("burn, scaled", scaled);
    let expanded = fastest(RUNS, || {
        let shape = [2, bytes / 8];
        let half = x.clone().slice(0..bytes / 8);
        // Half is read, all is written.
        Ok(device.timed(|| drop(half.unsqueeze::<2>().expand(shape).reshape([bytes / 4])))?.1)
    })?;
    add("burn, repeated", expanded / 0.75);
    // Reading alone may be faster than copying, and a decoder does little else.
    let summed = fastest(RUNS, || Ok(device.timed(|| drop(x.clone().sum()))?.1))?;
    add("burn, summed", 2.0 * summed);
    if !device.is_gpu() {
        let (from, mut to) = (vec![1u64; bytes / 8], vec![0u64; bytes / 8]);
        let piece = from.len().div_ceil(rayon::current_num_threads());
        let copied = fastest(RUNS, || {
            let pieces = to.par_chunks_mut(piece).zip(from.par_chunks(piece));
            Ok(device.timed(|| pieces.for_each(|(to, from)| black_box(to).copy_from_slice(from)))?.1)
        })?;
        add("memcpy", copied);
        let read = fastest(RUNS, || {
            let pieces = from.par_chunks(piece).map(|piece| piece.iter().fold(0u64, |sum, word| sum ^ word));
            Ok(device.timed(|| black_box(pieces.sum::<u64>()))?.1)
        })?;
        add("read", 2.0 * read);
    }
    Ok(rates)
}

/// Whose product, of square matrices with this edge.
type Product = (&'static str, usize);

fn products(device: &ComputeDevice) -> Result<Vec<(f64, Product)>> {
    let mut rates = Vec::new();
    let mut ways = vec!["burn, f32", "ours, f32", "ours, f16 weights"];
    if device.is_gpu() && device.report.shader_f16 && device.burn.supports_dtype(FloatDType::F16) {
        ways.push("burn, f16");
    }
    for by in ways {
        let mut edge = SMALLEST_EDGE;
        while edge <= LARGEST_EDGE {
            let mut once = product(device, by, edge);
            let seconds = fastest(RUNS, || Ok(device.timed(&mut once)?.1))?;
            rates.push((2.0 * (edge as f64).powi(3) / seconds / 1e9, (by, edge)));
            if seconds >= LONG_ENOUGH {
                break;
            }
            edge *= 2;
        }
    }
    Ok(rates)
}

/// A product of square matrices, to be done again and again.
fn product(device: &ComputeDevice, by: &str, edge: usize) -> Box<dyn FnMut() + Send> {
    let random = || Tensor::<2>::random([edge, edge], Distribution::Uniform(-1.0, 1.0), &device.burn);
    let (x, w) = (random(), random());
    match by {
        "burn, f16" => {
            let (x, w) = (x.cast(DType::F16), w.cast(DType::F16));
            Box::new(move || drop(x.clone().matmul(w.clone())))
        }
        "burn, f32" => Box::new(move || drop(x.clone().matmul(w.clone()))),
        "ours, f32" => {
            let w = Weight::F32(w);
            Box::new(move || drop(linear(x.clone(), &w, None)))
        }
        _ => {
            let w = RandomWeights::square(edge, Precision::F16, &device.burn);
            Box::new(move || drop(linear(x.clone(), &w, None)))
        }
    }
}
