//! Every kernel against its composed body, on sizes around the workgroup's, with outputs poisoned; those of attention
//! are in `attention`.
//!
//! Tolerances: sums of n products in another order differ by about sqrt(n) eps; the largest sums here have 600 terms of
//! size 1, so 2e-5 absolute and 1e-5 relative. Element-wise functions get 2e-6, the accuracy of `exp` on GPUs.

use std::ops::Range;

use burn::optim::{AdamWConfig, Optimizer};
use burn::tensor::{Device, Tensor};
use mole_runtime::device::ComputeDevice;
use mole_runtime::ops::{self, PackedFormat, SampleParams, SampleState, Weight, rotary_table, run_kernel};
use mole_shaders::{Binding, Kernel};
use mole_tests::{Tolerance, difference, floats, gpu, int_values, ints, numbers, values, weight_f32, weight_packed};

const SUM: Tolerance = Tolerance { absolute: 2e-5, relative: 1e-5 };
/// Sums of 1000 values near 30 are near 3e4, where floats are 2e-3 apart: the mean carries sqrt(1000) 1e-3 / 1000 = 3e-5.
const SHIFTED_SUM: Tolerance = Tolerance { absolute: 6e-5, relative: 1e-5 };
const ELEMENT: Tolerance = Tolerance { absolute: 2e-6, relative: 2e-6 };

fn cpu() -> Device {
    ComputeDevice::cpu().burn
}

/// Runs `op` on both devices and compares.
fn check<const D: usize>(what: &str, tolerance: Tolerance, op: impl Fn(&Device) -> Tensor<D>) {
    let Some(gpu) = gpu() else { return };
    let (actual, expected) = (op(&gpu), op(&cpu()));
    assert_eq!(actual.dims(), expected.dims(), "{what}");
    if let Some(difference) = difference(&values(actual), &values(expected), tolerance) {
        panic!("{what}: {difference}");
    }
}

fn weight(format: Option<PackedFormat>, rows: usize, columns: usize, device: &Device) -> Weight {
    match format {
        Some(format) => weight_packed(format, rows, columns, 2, device),
        None => weight_f32(rows, columns, 2, device),
    }
}

#[test]
fn linear() {
    // Rows around the row kernel's 4 and the tile's 64; features odd, around 64, and large.
    for rows in [1, 3, 4, 5, 63, 64, 65, 130] {
        let shapes = [(1, 2), (7, 34), (63, 64), (64, 62), (65, 66), (257, 600), (9, 32), (65, 96), (130, 352)];
        for (out_features, in_features) in shapes {
            for format in [None, Some(PackedFormat::F16), Some(PackedFormat::Q8), Some(PackedFormat::Q4)] {
                for bias in [false, true] {
                    let what = format!("{rows} x {in_features} -> {out_features}, {format:?}, bias {bias}");
                    check(&what, SUM, |device| {
                        let weight = weight(format, out_features, in_features, device);
                        let bias = bias.then(|| floats([out_features], 3, device));
                        // Scaled so that sums stay near 1.
                        let x = floats([rows, in_features], 1, device) / (in_features as f32).sqrt();
                        ops::linear(x, &weight, bias.as_ref())
                    });
                }
            }
        }
    }
}

#[test]
fn linear_takes_odd_input_features_in_f32() {
    for rows in [1, 70] {
        check(&format!("{rows} rows"), SUM, |device| {
            ops::linear(floats([rows, 33], 1, device), &weight_f32(5, 33, 2, device), None)
        });
    }
}

/// As a GPU in hardware decides, whatever the device.
#[test]
fn the_routers_choice_by_workgroups() {
    ops::always_by_workgroups();
    the_routers_choice();
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    // 66000 rows of 4 outputs in the element-wise and the row kernels: beyond 65535 workgroups.
    check("rms_norm", SUM, |device| ops::rms_norm(floats([66_000, 3], 1, device), &floats([3], 2, device), 1e-5));
    check("linear", SUM, |device| ops::linear(floats([1, 2], 1, device), &weight_f32(270_000, 2, 2, device), None));
    check("gelu", ELEMENT, |device| ops::gelu(floats([66_000, 64], 1, device)));
}

#[test]
fn rms_norm() {
    for (tokens, d_model) in [(1, 1), (3, 7), (2, 127), (2, 128), (5, 129), (9, 1000)] {
        check(&format!("{tokens} x {d_model}"), SUM, |device| {
            ops::rms_norm(floats([tokens, d_model], 1, device), &floats([d_model], 2, device), 1e-2)
        });
    }
}

#[test]
fn layer_norm() {
    for (tokens, d_model) in [(1, 2), (3, 7), (2, 127), (2, 128), (5, 129), (9, 1000)] {
        check(&format!("{tokens} x {d_model}"), SHIFTED_SUM, |device| {
            // Far from zero: a variance by difference of squares would lose its digits.
            let x = floats([tokens, d_model], 1, device) + 30.0;
            ops::layer_norm(x, &floats([d_model], 2, device), &floats([d_model], 3, device), 1e-2)
        });
    }
}

#[test]
fn activations() {
    for (tokens, d_model) in [(1, 1), (1, 63), (1, 64), (5, 13), (40, 1000)] {
        let what = format!("{tokens} x {d_model}");
        let x = |seed, device: &Device| floats([tokens, d_model], seed, device) * 4.0;
        check(&what, ELEMENT, |device| ops::swiglu(x(1, device), x(2, device)));
        check(&what, ELEMENT, |device| ops::gelu(x(1, device)));
        check(&what, ELEMENT, |device| ops::quick_gelu(x(1, device)));
    }
}

#[test]
fn embedding() {
    for (vocab, d_model) in [(1, 2), (7, 62), (70, 64), (300, 66), (5, 96)] {
        let ids: Vec<i32> = (0..33).map(|i| (i * 17 + 5) % vocab as i32).collect();
        for tokens in [1, 33] {
            for format in [None, Some(PackedFormat::F16), Some(PackedFormat::Q8), Some(PackedFormat::Q4)] {
                check(
                    &format!("{vocab} x {d_model}, {tokens} tokens, {format:?}"),
                    Tolerance { absolute: 0.0, relative: 0.0 },
                    |device| {
                        let weight = weight(format, vocab, d_model, device);
                        ops::embedding(ints(&ids[..tokens], [tokens], device), &weight)
                    },
                );
            }
        }
    }
}

#[test]
fn an_id_outside_the_table_reads_inside_it() {
    check("-1 and 99", Tolerance { absolute: 0.0, relative: 0.0 }, |device| {
        ops::embedding(ints(&[-1, 99], [2], device), &weight_f32(7, 6, 2, device))
    });
}

#[test]
fn patch_embed() {
    for (images, height, width, patch) in [(1, 2, 2, 2), (2, 9, 7, 3), (1, 28, 42, 14), (3, 31, 30, 7)] {
        check(&format!("{images} x {height} x {width} / {patch}"), SUM, |device| {
            let pixels = floats([images, 3, height, width], 1, device);
            let weight = floats([5, 3 * patch * patch], 2, device) / (3.0 * (patch * patch) as f32).sqrt();
            ops::patch_embed(pixels, &Weight::F32(weight), patch)
        });
    }
}

#[test]
fn rotary() {
    for (batch, tokens, heads, head_dim) in [(1, 1, 1, 2), (1, 5, 3, 10), (2, 33, 4, 64), (1, 2, 32, 128)] {
        for position in [0, 7] {
            check(&format!("{batch} x {tokens} x {heads} x {head_dim} at {position}"), ELEMENT, |device| {
                let table = rotary_table(64, head_dim, 10_000.0, device);
                ops::rotary(
                    floats([batch, tokens, heads, head_dim], 1, device),
                    &table,
                    &ints(&[position], [1], device),
                )
            });
        }
    }
}

#[test]
fn kv_write() {
    // The last two would run over the end: what does not fit is dropped.
    for (batch, tokens, context, position) in [(1, 1, 1, 0), (1, 1, 9, 8), (2, 4, 9, 3), (2, 5, 8, 6), (1, 3, 4, 4)] {
        check(&format!("{batch} x {tokens} at {position} of {context}"), ELEMENT, |device| {
            let cache = floats([batch, context, 3, 10], 1, device);
            ops::kv_write(cache, floats([batch, tokens, 3, 10], 2, device), &ints(&[position], [1], device))
        });
    }
}

#[test]
fn sample_agrees_with_its_definition() {
    let Some(gpu) = gpu() else { return };
    let params =
        |temperature, top_k, top_p, repetition_penalty| SampleParams { temperature, top_k, top_p, repetition_penalty };
    let settings = [
        params(0.0, 0, 1.0, 1.0),
        params(0.0, 0, 1.0, 1.5),
        params(1.0, 0, 1.0, 1.0),
        params(0.7, 5, 1.0, 1.0),
        params(1.3, 0, 0.8, 1.0),
        params(0.9, 50, 0.9, 1.2),
        params(2.0, 1, 1.0, 1.0),
        params(1.0, 0, 0.0, 1.0),
    ];
    for vocab in [1, 2, 255, 256, 257, 5000] {
        for settings in settings {
            let draw = |device: &Device| {
                let mut state = Some(SampleState::new(vocab, &[0, 3, 1, -200], 7, device));
                (0..6)
                    .map(|step| {
                        let logits = floats([vocab], step, device) * 3.0;
                        let (token, next) = ops::sample(logits, state.take().unwrap(), settings);
                        state = Some(next);
                        int_values(token)[0]
                    })
                    .collect::<Vec<_>>()
            };
            let (actual, expected) = (draw(&gpu), draw(&cpu()));
            assert_eq!(actual, expected, "vocabulary {vocab}, {settings:?}");
            assert!(actual.iter().all(|&token| (0..vocab as i32).contains(&token)));
        }
    }
}

#[test]
fn sampling_follows_the_distribution_on_both_devices() {
    // Three tokens of probability 0.6, 0.3, 0.1; 1500 draws; a deviation of 4 sigma is 0.05.
    let logits = [0.6f32.ln(), 0.3f32.ln(), 0.1f32.ln()];
    let mut devices = vec![cpu()];
    devices.extend(gpu());
    for device in devices {
        let mut state = SampleState::new(3, &[], 11, &device);
        let mut counts = [0usize; 3];
        let params = SampleParams { temperature: 1.0, ..SampleParams::default() };
        for _ in 0..1500 {
            let logits = Tensor::<1>::from_floats(logits, &device);
            let (token, next) = ops::sample(logits, state, params);
            state = next;
            counts[int_values(token)[0] as usize] += 1;
        }
        for (count, probability) in counts.iter().zip([0.6, 0.3, 0.1]) {
            let share = *count as f64 / 1500.0;
            assert!((share - probability).abs() < 0.05, "{counts:?} on {device:?}");
        }
    }
}

#[test]
fn logits_without_a_number_yield_no_token() {
    let mut devices = vec![cpu()];
    devices.extend(gpu());
    for device in devices {
        for temperature in [0.0, 1.0] {
            let logits = Tensor::<1>::from_floats([f32::NAN; 5], &device);
            let params = SampleParams { temperature, top_k: 3, top_p: 0.9, repetition_penalty: 1.1 };
            let (token, _) = ops::sample(logits, SampleState::new(5, &[1], 0, &device), params);
            assert_eq!(int_values(token), [ops::NO_TOKEN], "temperature {temperature} on {device:?}");
        }
    }
}

/// `rms_norm` with its epsilon left out, and one thread's share never written.
static BROKEN: Kernel = Kernel {
    name: "rms_norm_broken",
    source: "
struct Params { tokens: u32, d_model: u32, eps: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>) {
    let base = workgroup.x * params.d_model;
    var squares = 0.0;
    for (var d = 0u; d < params.d_model; d++) { squares += x[base + d] * x[base + d]; }
    let scale = 1.0 / sqrt(squares / f32(params.d_model) + SKIP * params.eps);
    for (var d = 0u; d < params.d_model - UNWRITTEN; d++) { y[base + d] = x[base + d] * scale * weight[d]; }
}
const SKIP = 0.0;
const UNWRITTEN = 1u;
",
    workgroup_size: [1, 1, 1],
    bindings: &[
        Binding { name: "x", element: "f32" },
        Binding { name: "weight", element: "f32" },
        Binding { name: "y", element: "f32" },
    ],
    needs: None,
};

#[test]
fn a_broken_kernel_is_found() {
    let Some(gpu) = gpu() else { return };
    let (tokens, d_model) = (5, 129);
    let params = mole_shaders::rms_norm::Params { tokens, d_model, eps: 1e-2 }.words();
    let inputs = |device: &Device| [floats([5 * 129], 1, device), floats([129], 2, device)];
    let broken = values(run_kernel(&BROKEN, &inputs(&gpu), 5 * 129, params, tokens));
    let [x, weight] = inputs(&cpu());
    let expected = values(ops::rms_norm(x.reshape([5, 129]), &weight, 1e-2));
    let found = difference(&broken, &expected, SUM).expect("a missing epsilon is outside the tolerance");
    assert!(found.starts_with("index 0:"), "{found}");
    assert!(broken[128].is_nan(), "an element that no thread writes shows as NaN");
}

#[test]
fn the_comparison_itself_can_fail() {
    let expected = numbers(9, 1);
    assert_eq!(difference(&expected, &expected, SUM), None);
    let mut wrong = expected.clone();
    wrong[4] += 1e-3;
    assert!(difference(&wrong, &expected, SUM).unwrap().starts_with("index 4:"));
    wrong[4] = f32::NAN;
    assert!(difference(&wrong, &expected, SUM).is_some());
    assert!(difference(&expected[1..], &expected, SUM).is_some());
}

#[test]
fn expert_group() {
    let Some(gpu) = gpu() else { return };
    for tokens in [5, 63, 64, 255, 256, 257, 1000] {
        for experts in [1, 2, 3, 64] {
            let index: Vec<i32> = (0..tokens as i32).map(|t| (t * t + t / 3) % experts).collect();
            let groups = ops::expert_group(ints(&index, [tokens], &gpu), experts as usize);
            let sorted = groups.sorted.expect("more tokens than a row kernel takes");
            let mut expected: Vec<i32> = (0..tokens as i32).collect();
            expected.sort_by_key(|&token| index[token as usize]);
            assert_eq!(int_values(sorted.permutation), expected, "{tokens} tokens, {experts} experts");
            let below = |e: i32| index.iter().filter(|&&expert| expert < e).count() as i32;
            let offsets: Vec<i32> = (0..=experts).map(below).collect();
            assert_eq!(int_values(sorted.offsets), offsets, "{tokens} tokens, {experts} experts");
        }
    }
}

#[test]
fn expert_load() {
    for experts in [1, 3, 16, 17, 64] {
        for ends in [&[5][..], &[700], &[1, 18, 300]] {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let sequences: Vec<Range<usize>> = starts.zip(ends.iter().copied()).map(|(from, to)| from..to).collect();
            let tokens = ends[ends.len() - 1];
            let load = |device: &Device| {
                let index: Vec<i32> = (0..tokens).map(|t| (t * t % 7 % experts) as i32).collect();
                let probs = floats([tokens, experts], 1, device);
                let (fractions, means) = ops::expert_load(probs, ints(&index, [tokens], device), &sequences);
                Tensor::cat(vec![fractions, means], 0)
            };
            check(&format!("{experts} experts, {sequences:?}"), ELEMENT, load);
        }
    }
}

/// Against burn's AdamW, over some steps of a parameter whose gradient is clipped.
#[test]
fn adamw() {
    let Some(gpu) = gpu() else { return };
    for (len, decay) in [(1, 0.0), (63, 0.01), (1000, 0.1)] {
        let optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay).build();
        let (mut expected, mut state) = (floats([len], 1, &cpu()), None);
        let (mut actual, mut moments) = (floats([len], 1, &gpu), None);
        for time in 1..=4 {
            let (rate, scale) = (0.01 * time as f64, 1.0 / time as f32);
            let gradient = |device: &Device| floats([len], 10 + time as u64, device);
            (expected, state) = optimizer.step(rate, expected, gradient(&cpu()) * scale, state);
            let kept = (1.0 - rate * f64::from(decay)) as f32;
            let step = ops::AdamWStep { scale, betas: [0.9, 0.999], time, epsilon: 1e-8, rate: rate as f32, kept };
            let before = moments.as_ref().map(|[first, second]: &[Tensor<1>; 2]| [first, second]);
            let [new, first, second] = ops::adamw(&actual, &gradient(&gpu), before, step).expect("a GPU");
            (actual, moments) = (new, Some([first, second]));
        }
        let tolerance = Tolerance { absolute: 1e-6, relative: 1e-5 };
        if let Some(difference) = difference(&values(actual), &values(expected), tolerance) {
            panic!("{len} elements: {difference}");
        }
    }
}

#[test]
fn square_sums() {
    let Some(gpu) = gpu() else { return };
    let lens = [1, 255, 4096, 4097, 70_001, 300_000];
    let tensors: Vec<Tensor<1>> = (1..).zip(lens).map(|(seed, len)| floats([len], seed, &gpu)).collect();
    let sums = values(ops::square_sums(tensors.iter()).expect("a GPU"));
    let sum: f64 = sums.into_iter().map(f64::from).sum();
    let of_host = tensors.into_iter().flat_map(values).map(|value| f64::from(value) * f64::from(value));
    let expected: f64 = of_host.sum();
    assert!((sum / expected - 1.0).abs() < 1e-6, "{sum}, not {expected}");
}

#[test]
fn the_routers_choice() {
    for experts in [1, 2, 3, 17, 64] {
        let index = |device: &Device| {
            let (x, weight) = (floats([33, 65], 1, device), floats([experts, 65], 2, device));
            int_values(ops::router_top1(x, &weight, &floats([experts], 3, device)).1)
        };
        let Some(gpu) = gpu() else { return };
        assert_eq!(index(&gpu), index(&cpu()), "{experts} experts");
        // Equal rows tie: the lower index wins.
        for device in [&gpu, &cpu()] {
            let weight = floats([1, 65], 2, device).repeat_dim(0, experts);
            let bias = floats([1], 3, device).repeat_dim(0, experts);
            let (_, tied) = ops::router_top1(floats([33, 65], 1, device), &weight, &bias);
            assert_eq!(int_values(tied), [0; 33]);
        }
    }
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let y = values(ops::dropout(Tensor::<2>::ones([100, 1000], &cpu()), 7, 0.3));
    let dropped = y.iter().filter(|&&value| value == 0.0).count() as f32 / 1e5;
    assert!((dropped - 0.3).abs() < 0.01, "{dropped}");
    assert!(y.iter().all(|&value| value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-6));
    let other = values(ops::dropout(Tensor::<2>::ones([100, 1000], &cpu()), 8, 0.3));
    let same = y.iter().zip(&other).filter(|(a, b)| a == b).count() as f32 / 1e5;
    assert!((same - 0.58).abs() < 0.02, "masks of two seeds agree on {same}, by chance 0.58");
}
