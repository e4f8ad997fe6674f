//! Attention by tiles against attention by queries and against burn's own operations, in turn, on a GPU.
//!
//! `cargo bench --workspace --bench attention -- [FILTER]`. A head costs the same as its neighbour, so that by default a few
//! of a model's heads are timed: `MOLE_BENCH_HEADS` (2), `MOLE_BENCH_ROUNDS` (3). The least time of a case's rounds counts.

use std::time::{Duration, Instant};

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor};
use mole_runtime::device::{ComputeDevice, DeviceChoice};
use mole_runtime::ops::{AttentionMask, Kernels, attention};
use mole_tests::{floats, ints, values};

struct Case {
    name: &'static str,
    queries: usize,
    keys: usize,
    head_dim: usize,
    mask: AttentionMask,
    pass: Pass,
}

#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Forward,
    ForwardBackward,
}

const fn forward(name: &'static str, queries: usize, keys: usize, head_dim: usize, mask: AttentionMask) -> Case {
    Case { name, queries, keys, head_dim, mask, pass: Pass::Forward }
}

const fn training(name: &'static str, tokens: usize) -> Case {
    Case { name, queries: tokens, keys: tokens, head_dim: 64, mask: AttentionMask::Causal, pass: Pass::ForwardBackward }
}

const CASES: [Case; 10] = [
    forward("few-1", 1, 512, 64, AttentionMask::Causal),
    forward("few-8", 8, 512, 64, AttentionMask::Causal),
    forward("few-16", 16, 512, 64, AttentionMask::Causal),
    forward("clip", 577, 577, 64, AttentionMask::Full),
    forward("prefill-512-64", 512, 512, 64, AttentionMask::Causal),
    forward("prefill-512-128", 512, 512, 128, AttentionMask::Causal),
    forward("prefill-2048-64", 512, 2048, 64, AttentionMask::Causal),
    forward("prefill-2048-128", 512, 2048, 128, AttentionMask::Causal),
    training("train-512", 512),
    training("train-2048", 2048),
];

#[derive(Clone, Copy)]
enum Way {
    Tiles,
    Queries,
    Generic,
}

impl Case {
    /// The time of one pass, until its numbers are there.
    fn time(&self, way: Way, heads: usize, device: &Device) -> Duration {
        match way {
            Way::Tiles | Way::Generic => Kernels::Fast.choose(),
            Way::Queries => Kernels::Plain.choose(),
        }
        let shape = |tokens| [1, tokens, heads, self.head_dim];
        let inputs = [(self.queries, 1), (self.keys, 2), (self.keys, 3)];
        let inputs = inputs.map(|(tokens, seed)| floats(shape(tokens), seed, device));
        for input in &inputs {
            values(input.clone().slice([0..1, 0..1, 0..1, 0..1]));
        }
        let start = Instant::now();
        let last = match self.pass {
            Pass::Forward => vec![self.attend(inputs, way, device)],
            Pass::ForwardBackward => {
                let leaves = inputs.map(|input| input.autodiff().require_grad());
                let gradients = self.attend(leaves.clone(), way, device).sum().backward();
                leaves.iter().map(|leaf| leaf.grad(&gradients).expect("a gradient")).collect()
            }
        };
        for tensor in last {
            values(tensor.slice([0..1, 0..1, 0..1, 0..1]));
        }
        start.elapsed()
    }

    fn attend(&self, [q, k, v]: [Tensor<4>; 3], way: Way, device: &Device) -> Tensor<4> {
        let position = self.keys - self.queries;
        if !matches!(way, Way::Generic) {
            let range = ints(&[0, self.keys as i32], [1, 2], device);
            return attention(q, &k, &v, &range, &ints(&[position as i32], [1], device), self.mask);
        }
        let (q, k, v) = (q.swap_dims(1, 2), k.swap_dims(1, 2), v.swap_dims(1, 2));
        let mut scores = q.matmul(k.transpose()) / (self.head_dim as f32).sqrt();
        if self.mask == AttentionMask::Causal {
            let hidden = Tensor::<2, Bool>::tril_mask([self.queries, self.keys], position as i64, device);
            scores = scores.mask_fill(hidden.unsqueeze::<4>(), f32::NEG_INFINITY);
        }
        softmax(scores, 3).matmul(v).swap_dims(1, 2)
    }
}

/// Packed sequences, forward and backward: in one launch, or each by itself.
fn packed_time(lengths: &[usize], one_launch: bool, heads: usize, device: &Device) -> Duration {
    Kernels::Fast.choose();
    let tokens = lengths.iter().sum();
    let inputs = [1, 2, 3].map(|seed| floats([1, tokens, heads, 64], seed, device));
    for input in &inputs {
        values(input.clone().slice([0..1, 0..1, 0..1, 0..1]));
    }
    let start = Instant::now();
    let leaves = inputs.map(|input| input.autodiff().require_grad());
    let [q, k, v] = leaves.clone();
    let position = ints(&[0], [1], device);
    let (mut ranges, mut parts, mut at) = (Vec::new(), Vec::new(), 0);
    for &length in lengths {
        match one_launch {
            true => ranges.extend([at as i32, (at + length) as i32].repeat(length)),
            false => {
                let [q, k, v] = [&q, &k, &v].map(|tensor| tensor.clone().narrow(1, at, length));
                let range = ints(&[0, length as i32], [1, 2], device);
                parts.push(attention(q, &k, &v, &range, &position, AttentionMask::Causal));
            }
        }
        at += length;
    }
    let y = match one_launch {
        true => attention(q, &k, &v, &ints(&ranges, [tokens, 2], device), &position, AttentionMask::Packed),
        false => Tensor::cat(parts, 1),
    };
    let gradients = y.sum().backward();
    for leaf in leaves {
        values(leaf.grad(&gradients).expect("a gradient").slice([0..1, 0..1, 0..1, 0..1]));
    }
    start.elapsed()
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    let (heads, rounds) = (setting("MOLE_BENCH_HEADS", 2), setting("MOLE_BENCH_ROUNDS", 3));
    let device = pollster::block_on(ComputeDevice::open(DeviceChoice::Gpu)).expect("a GPU");
    println!("{}, {heads} heads, least of {rounds} rounds", device.report.name);
    println!("{:18} {:>10} {:>10} {:>10}   tiles are faster", "ms", "tiles", "queries", "generic");
    for case in CASES.iter().filter(|case| case.name.contains(&filter)) {
        let mut least = [f64::MAX; 3];
        // The first round compiles.
        for round in 0..=rounds {
            for (least, way) in least.iter_mut().zip([Way::Tiles, Way::Queries, Way::Generic]) {
                let time = case.time(way, heads, &device.burn).as_secs_f64() * 1e3;
                if round > 0 {
                    *least = least.min(time);
                }
            }
        }
        let [tiles, queries, generic] = least;
        let (by_queries, by_generic) = (queries / tiles, generic / tiles);
        println!("{:18} {tiles:10.2} {queries:10.2} {generic:10.2}   x{by_queries:.2}, x{by_generic:.2}", case.name);
    }
    for (name, lengths) in
        [("packed-8x64", vec![64; 8]), ("packed-16x32", vec![32; 16]), ("packed-2x256", vec![256; 2])]
    {
        if !name.contains(&filter) {
            continue;
        }
        let mut least = [f64::MAX; 2];
        for round in 0..=rounds {
            for (least, one_launch) in least.iter_mut().zip([true, false]) {
                let time = packed_time(&lengths, one_launch, heads, &device.burn).as_secs_f64() * 1e3;
                if round > 0 {
                    *least = least.min(time);
                }
            }
        }
        let [together, apart] = least;
        println!("{name:18} {together:10.2} in one launch, {apart:.2} each by itself: x{:.2}", apart / together);
    }
}
