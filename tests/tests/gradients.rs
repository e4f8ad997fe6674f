//! Every explicit gradient: against burn's autodiff of the composed body, against finite differences on both
//! devices, and on the GPU against the CPU, with outputs poisoned.
//!
//! A case is a function of flat inputs; its loss is a fixed random weighting of the output, so that every output element
//! has a gradient of its own. Tolerances are relative to the gradient's largest element: sums of n products in another
//! order differ by about sqrt(n) eps, 1e-5 at the sizes here. A central difference with step h in f32 is off by
//! eps |loss| / h from rounding and h^2 from curvature: about 1e-3 at a step of 5e-2 over all elements.

use burn::tensor::{Device, Tensor, TensorData};
use mole_runtime::device::{ComputeDevice, DeviceChoice, report};
use mole_runtime::ops::{
    self, AttentionMask, PackedFormat, Product, Weight, expert_group, rotary_table, with_composed_gradients,
};
use mole_tests::{gpu, ints, max_norm, numbers, values, weight_packed};

const EXACT: f32 = 2e-5;
const DIFFERENCE: f32 = 1e-2;

type Function<'a> = &'a dyn Fn(&Device, Vec<Tensor<1>>) -> Tensor<1>;

/// The output, and the gradient of each input.
fn gradients(device: &Device, inputs: &[Vec<f32>], function: Function<'_>) -> (Vec<f32>, Vec<Vec<f32>>) {
    let leaves: Vec<Tensor<1>> = inputs.iter().map(|input| leaf(device, input).autodiff().require_grad()).collect();
    let y = function(device, leaves.clone());
    let weights = leaf(device, &numbers(y.dims()[0], 99));
    let gradients = (y.clone() * weights).sum().backward();
    let of = |leaf: &Tensor<1>| values(leaf.grad(&gradients).expect("every input has a gradient"));
    (values(y.inner()), leaves.iter().map(of).collect())
}

fn leaf(device: &Device, input: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(input.to_vec(), [input.len()]), device)
}

/// The loss without any tape.
fn loss(device: &Device, inputs: &[Vec<f32>], function: Function<'_>) -> f64 {
    let y = values(function(device, inputs.iter().map(|input| leaf(device, input)).collect()));
    y.iter().zip(numbers(y.len(), 99)).map(|(y, w)| f64::from(*y) * f64::from(w)).sum()
}

fn close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    // A softmax over one key has no slope at all.
    if expected.iter().all(|&value| value == 0.0) {
        assert!(actual.iter().all(|value| value.abs() <= 1e-6), "{what}: {actual:?} instead of zeros");
        return;
    }
    let error = max_norm(actual, expected);
    assert!(error <= tolerance, "{what}: off by {error:e} of the largest element, {tolerance:e} allowed");
}

/// Checks a function whose inputs may be moved a little without a jump.
fn check(what: &str, inputs: &[Vec<f32>], function: Function<'_>) {
    let cpu = ComputeDevice::cpu().burn;
    let (y, explicit) = gradients(&cpu, inputs, function);
    let (composed_y, composed) = with_composed_gradients(|| gradients(&cpu, inputs, function));
    close(&format!("{what}, output"), &y, &composed_y, EXACT);
    for (index, (explicit, composed)) in explicit.iter().zip(&composed).enumerate() {
        close(&format!("{what}, input {index}, composed"), explicit, composed, EXACT);
    }
    check_slopes(what, &cpu, inputs, &explicit, function);
    let Some(gpu) = gpu() else { return };
    exact_products();
    let (gpu_y, on_gpu) = gradients(&gpu, inputs, function);
    close(&format!("{what}, output on the GPU"), &gpu_y, &y, EXACT);
    for (index, (on_gpu, explicit)) in on_gpu.iter().zip(&explicit).enumerate() {
        close(&format!("{what}, input {index} on the GPU"), on_gpu, explicit, EXACT);
    }
    let (_, composed) = with_composed_gradients(|| gradients(&gpu, inputs, function));
    for (index, (on_gpu, composed)) in on_gpu.iter().zip(&composed).enumerate() {
        close(&format!("{what}, input {index} on the GPU, composed"), on_gpu, composed, EXACT);
    }
    check_slopes(&format!("{what} on the GPU"), &gpu, inputs, &on_gpu, function);
}

/// Products in f32: what matrix units round, where there are some, is tested in `cooperative`.
fn exact_products() {
    let report = pollster::block_on(report(DeviceChoice::Gpu)).expect("it is open");
    if !report.cooperative_f16.is_empty() {
        Product::always(Some(Product::Wide));
    }
}

/// Finite differences of the loss, in the direction of each input's own gradient.
fn check_slopes(what: &str, device: &Device, inputs: &[Vec<f32>], gradients: &[Vec<f32>], function: Function<'_>) {
    for (index, gradient) in gradients.iter().enumerate() {
        // Along the gradient's own signs, every element counts.
        let step = 5e-2 / (inputs[index].len() as f32).sqrt();
        let direction: Vec<f32> = gradient.iter().map(|g| g.signum()).collect();
        let moved = |by: f32| {
            let mut inputs = inputs.to_vec();
            for (value, d) in inputs[index].iter_mut().zip(&direction) {
                *value += by * d;
            }
            loss(device, &inputs, function)
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        let expected: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
        let error = (difference - expected).abs();
        let bound = f64::from(DIFFERENCE) * expected + 1e-3;
        assert!(error < bound, "{what}, input {index}: slope {difference}, gradient says {expected}");
    }
}

/// Numbers scaled so that sums of `width` products stay near 1.
fn scaled(len: usize, seed: u64, width: usize) -> Vec<f32> {
    numbers(len, seed).into_iter().map(|value| value / (width as f32).sqrt()).collect()
}

#[test]
fn linear() {
    for (rows, out_features, in_features) in [(1, 1, 2), (3, 5, 8), (65, 63, 66), (70, 130, 64), (9, 33, 96)] {
        let what = format!("{rows} x {in_features} -> {out_features}");
        let x = scaled(rows * in_features, 1, in_features);
        let (weight, bias) = (numbers(out_features * in_features, 2), numbers(out_features, 3));
        check(&what, &[x.clone(), weight.clone()], &|_, t| {
            let [x, weight]: [_; 2] = t.try_into().unwrap();
            let weight = Weight::F32(weight.reshape([out_features, in_features]));
            ops::linear(x.reshape([rows, in_features]), &weight, None).flatten(0, 1)
        });
        check(&format!("{what} with a bias"), &[x.clone(), weight, bias.clone()], &|_, t| {
            let [x, weight, bias]: [_; 3] = t.try_into().unwrap();
            let weight = Weight::F32(weight.reshape([out_features, in_features]));
            ops::linear(x.reshape([rows, in_features]), &weight, Some(&bias)).flatten(0, 1)
        });
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            check(&format!("{what} in {format:?}"), &[x.clone(), bias.clone()], &|device, t| {
                let [x, bias]: [_; 2] = t.try_into().unwrap();
                let weight = weight_packed(format, out_features, in_features, 2, device);
                let y = ops::linear(x.clone().reshape([rows, in_features]), &weight, Some(&bias));
                (y + ops::linear(x.reshape([rows, in_features]), &weight, None)).flatten(0, 1)
            });
        }
    }
}

#[test]
fn a_frozen_weight_gets_no_gradient_and_a_trained_one_does() {
    let cpu = ComputeDevice::cpu().burn;
    let x = leaf(&cpu, &numbers(6, 1)).reshape([2, 3]).autodiff().require_grad();
    let frozen = leaf(&cpu, &numbers(6, 2)).reshape([2, 3]);
    let y = ops::linear(x.clone(), &Weight::F32(frozen.clone()), None).sum().backward();
    assert!(x.grad(&y).is_some() && frozen.grad(&y).is_none());
}

#[test]
fn norms() {
    for (tokens, d_model) in [(1, 3), (3, 127), (2, 128), (5, 129), (4, 300)] {
        let what = format!("{tokens} x {d_model}");
        let (x, weight, bias) = (numbers(tokens * d_model, 1), numbers(d_model, 2), numbers(d_model, 3));
        check(&format!("rms_norm {what}"), &[x.clone(), weight.clone()], &|_, t| {
            let [x, weight]: [_; 2] = t.try_into().unwrap();
            ops::rms_norm(x.reshape([tokens, d_model]), &weight, 1e-2).flatten(0, 1)
        });
        check(&format!("layer_norm {what}"), &[x, weight, bias], &|_, t| {
            let [x, weight, bias]: [_; 3] = t.try_into().unwrap();
            ops::layer_norm(x.reshape([tokens, d_model]), &weight, &bias, 1e-2).flatten(0, 1)
        });
    }
}

#[test]
fn activations() {
    for (tokens, width) in [(1, 1), (1, 64), (5, 13), (7, 100)] {
        let what = format!("{tokens} x {width}");
        let (x, up) = (numbers(tokens * width, 1), numbers(tokens * width, 2));
        check(&format!("swiglu {what}"), &[x.clone(), up], &|_, t| {
            let [gate, up]: [_; 2] = t.try_into().unwrap();
            ops::swiglu(gate.reshape([tokens, width]), up.reshape([tokens, width])).flatten(0, 1)
        });
        for (name, op) in [("gelu", ops::gelu as fn(Tensor<2>) -> Tensor<2>), ("quick_gelu", ops::quick_gelu)] {
            check(&format!("{name} {what}"), std::slice::from_ref(&x), &|_, mut t| {
                op(t.remove(0).reshape([tokens, width])).flatten(0, 1)
            });
        }
    }
}

#[test]
fn embedding() {
    for (vocab, d_model, tokens) in [(1, 2, 1), (7, 62, 33), (70, 64, 5)] {
        let ids: Vec<i32> = (0..tokens as i32).map(|i| (i * 17 + 5) % vocab as i32).collect();
        check(&format!("{vocab} x {d_model}, {tokens} tokens"), &[numbers(vocab * d_model, 1)], &|device, mut t| {
            let weight = Weight::F32(t.remove(0).reshape([vocab, d_model]));
            ops::embedding(ints(&ids, [tokens], device), &weight).flatten(0, 1)
        });
    }
}

#[test]
fn rotary() {
    for (tokens, heads, head_dim, position) in [(1, 1, 2, 0), (5, 3, 10, 7), (9, 2, 64, 0)] {
        check(
            &format!("{tokens} x {heads} x {head_dim}"),
            &[numbers(tokens * heads * head_dim, 1)],
            &|device, mut t| {
                let table = rotary_table(32, head_dim, 1e4, device);
                let x = t.remove(0).reshape([1, tokens, heads, head_dim]);
                ops::rotary(x, &table, &ints(&[position], [1], device)).flatten(0, 3)
            },
        );
    }
}

#[test]
fn attention() {
    // Batch, queries, keys, heads, key heads, head width; first valid key and one past the last; position of query 0.
    let cases = [
        ((1, 1, 1, 1, 1, 2), [(0, 1); 2], 0),
        ((1, 5, 5, 4, 2, 6), [(0, 5); 2], 0),
        ((2, 7, 9, 2, 1, 16), [(1, 9), (0, 4)], 2),
        ((1, 66, 130, 2, 2, 66), [(0, 130); 2], 64),
        // A row that sees nothing.
        ((2, 3, 4, 2, 2, 4), [(2, 2), (0, 4)], 0),
    ];
    for ((batch, queries, keys, heads, kv_heads, head_dim), ranges, position) in cases {
        let inputs = [
            numbers(batch * queries * heads * head_dim, 1),
            numbers(batch * keys * kv_heads * head_dim, 2),
            numbers(batch * keys * kv_heads * head_dim, 3),
        ];
        for mask in [AttentionMask::Full, AttentionMask::Causal] {
            let what = format!("{queries} x {keys}, {heads} / {kv_heads} heads of {head_dim}, {mask:?}");
            check(&what, &inputs, &|device, t| {
                let [q, k, v]: [_; 3] = t.try_into().unwrap();
                let ranges: Vec<i32> = ranges[..batch].iter().flat_map(|&(first, last)| [first, last]).collect();
                let (k, v) =
                    (k.reshape([batch, keys, kv_heads, head_dim]), v.reshape([batch, keys, kv_heads, head_dim]));
                let (ranges, position) = (ints(&ranges, [batch, 2], device), ints(&[position], [1], device));
                let q = q.reshape([batch, queries, heads, head_dim]);
                ops::attention(q, &k, &v, &ranges, &position, mask).flatten(0, 3)
            });
        }
    }
}

#[test]
fn dropout() {
    check("dropout", &[numbers(700, 1)], &|_, mut t| ops::dropout(t.remove(0).reshape([7, 100]), 5, 0.3).flatten(0, 1));
}

#[test]
fn lora() {
    for (tokens, in_features, rank, out_features) in [(1, 2, 1, 3), (4, 40, 4, 33), (5, 33, 5, 64), (70, 65, 33, 40)] {
        let inputs = [
            numbers(tokens * out_features, 1),
            scaled(tokens * in_features, 2, in_features),
            numbers(rank * in_features, 3),
            scaled(out_features * rank, 4, rank),
        ];
        check(&format!("{tokens} x {in_features} -> {rank} -> {out_features}"), &inputs, &|_, t| {
            let [base, x, a, b]: [_; 4] = t.try_into().unwrap();
            let (base, x) = (base.reshape([tokens, out_features]), x.reshape([tokens, in_features]));
            let (a, b) = (a.reshape([rank, in_features]), b.reshape([out_features, rank]));
            ops::lora(base, x, &a, &b, 0.7).flatten(0, 1)
        });
    }
}

#[test]
fn lora_experts() {
    for (tokens, in_features, rank, out_features) in [(1, 2, 1, 3), (4, 40, 4, 33), (5, 33, 5, 64), (100, 65, 33, 40)] {
        for experts in [1, 2, 3, 16] {
            // One expert stays idle where there are several.
            let index: Vec<i32> = (0..tokens).map(|t| (t * t + 3) as i32 % (experts as i32 - 1).max(1)).collect();
            let inputs = [
                numbers(tokens * out_features, 1),
                scaled(tokens * in_features, 2, in_features),
                numbers(experts * rank * in_features, 3),
                scaled(experts * out_features * rank, 4, rank),
                numbers(tokens, 5),
            ];
            let what = format!("{tokens} x {in_features} -> {rank} -> {out_features}, {experts} experts");
            check(&what, &inputs, &|device, t| {
                let [base, x, a, b, gate]: [_; 5] = t.try_into().unwrap();
                let (base, x) = (base.reshape([tokens, out_features]), x.reshape([tokens, in_features]));
                let a = a.reshape([experts, rank, in_features]);
                let b = b.reshape([experts, out_features, rank]);
                let groups = expert_group(ints(&index, [tokens], device), experts);
                ops::lora_experts(base, x, &a, &b, &gate, &groups, 0.7).flatten(0, 1)
            });
        }
    }
}

#[test]
fn router() {
    for (tokens, d_model, experts) in [(1, 3, 1), (5, 63, 2), (9, 64, 3), (70, 65, 16), (3, 130, 64)] {
        let inputs = [numbers(tokens * d_model, 1), scaled(experts * d_model, 2, d_model), numbers(experts, 3)];
        let function = |_: &Device, t: Vec<Tensor<1>>| {
            let [x, weight, bias]: [_; 3] = t.try_into().unwrap();
            let (x, weight) = (x.reshape([tokens, d_model]), weight.reshape([experts, d_model]));
            ops::router_top1(x, &weight, &bias).0.flatten::<1>(0, 1)
        };
        check(&format!("{tokens} x {d_model}, {experts} experts"), &inputs, &function);
    }
}

#[test]
fn cross_entropy() {
    // The last goes over three chunks of the vocabulary.
    for (rows, d_model, vocab) in [(1, 2, 2), (5, 32, 33), (3, 4, 16_400)] {
        let targets: Vec<i32> = (0..rows).map(|r| ((r * 7919 + vocab - 1) % vocab) as i32).collect();
        let what = format!("{rows} x {d_model}, {vocab} tokens");
        let hidden = numbers(rows * d_model, 1);
        check(&what, &[hidden.clone(), numbers(vocab * d_model, 2)], &|device, t| {
            let [hidden, weight]: [_; 2] = t.try_into().unwrap();
            let weight = Weight::F32(weight.reshape([vocab, d_model]));
            ops::cross_entropy(hidden.reshape([rows, d_model]), &weight, &ints(&targets, [rows], device))
        });
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            check(&format!("{what} in {format:?}"), std::slice::from_ref(&hidden), &|device, mut t| {
                let weight = weight_packed(format, vocab, d_model, 2, device);
                let hidden = t.remove(0).reshape([rows, d_model]);
                ops::cross_entropy(hidden, &weight, &ints(&targets, [rows], device))
            });
        }
    }
}

/// As a GPU in hardware computes them, whatever the device.
#[test]
fn low_rank_products_by_workgroups() {
    ops::always_by_workgroups();
    lora();
    lora_experts();
    router();
}

#[test]
fn a_wrong_gradient_is_found() {
    let wrong = std::panic::catch_unwind(|| {
        check("a wrong gradient", &[numbers(6, 1)], &|_, mut t| {
            let x = t.remove(0);
            // The forward pass doubles what the tape does not know of.
            x.clone() + x.inner()
        });
    });
    let message = *wrong.expect_err("a wrong gradient passed").downcast::<String>().expect("a formatted message");
    assert!(message.contains("gradient says"), "{message}");
}
