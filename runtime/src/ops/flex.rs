//! Bodies for the CPU: what a composed body does in ten operations, each a pass over memory, is one pass here. The
//! products stay burn's. The composed bodies are what these are tested against.

mod attention;
mod few_rows;
mod many_rows;
mod packed_rows;
mod parts;
mod simd;
mod tiles;

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::{AttentionMask, MoleOps, PackedLayout, host, lora};
use packed_rows::PackedRows;
use simd::dot;

type Floats = FloatTensor<Flex>;
type Ints = IntTensor<Flex>;

/// Sums are kept in so many parts, which the compiler puts side by side into a register.
const LANES: usize = 16;

impl MoleOps for Flex {
    fn mole_linear(x: Floats, weight: Floats) -> Floats {
        few_rows::linear(&x, &weight).unwrap_or_else(|| many_rows::linear(x, weight))
    }

    fn linear_bias(x: Floats, weight: Floats, bias: Floats) -> Floats {
        with_bias(Self::mole_linear(x, weight), bias)
    }

    fn linear_packed(x: Floats, words: Ints, layout: PackedLayout) -> Floats {
        let [_, in_features] = x.shape().dims();
        assert_eq!(in_features, layout.in_features, "linear: x and weight disagree");
        let words = words.to_contiguous();
        let weight = packed_rows(&words, layout);
        few_rows::linear_packed(&x, weight).unwrap_or_else(|| many_rows::linear_packed(&x, weight))
    }

    fn linear_packed_bias(x: Floats, words: Ints, bias: Floats, layout: PackedLayout) -> Floats {
        with_bias(Self::linear_packed(x, words, layout), bias)
    }

    fn linear_backward_input_packed(dy: Floats, words: Ints, layout: PackedLayout) -> Floats {
        let words = words.to_contiguous();
        many_rows::backward_input_packed(&dy, packed_rows(&words, layout), layout.in_features)
    }

    fn router_top1(x: Floats, weight: Floats, bias: Floats) -> (Floats, Ints) {
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let ([tokens, d_model], [experts, _]) = (x.shape().dims(), weight.shape().dims());
        let (mut probs, mut index) = (Vec::with_capacity(tokens * experts), Vec::with_capacity(tokens));
        let mut logits = vec![0.0; experts];
        for x in slice(&x).chunks_exact(d_model) {
            let rows = slice(&weight).chunks_exact(d_model).zip(slice(&bias));
            logits.iter_mut().zip(rows).for_each(|(logit, (row, bias))| *logit = dot(row, x) + bias);
            // Ties go to the lower index.
            let best = (1..experts).fold(0, |best, expert| if logits[expert] > logits[best] { expert } else { best });
            index.push(best as i32);
            let most = logits[best];
            logits.iter_mut().for_each(|logit| *logit = exp(*logit - most));
            let total = sum(&logits);
            probs.extend(logits.iter().map(|weight| weight / total));
        }
        let index = Self::int_from_data(TensorData::new(index, [tokens]), &Default::default());
        (tensor(probs, Shape::new([tokens, experts])), index)
    }

    fn lora(base: Floats, x: Floats, a: Floats, b: Floats, scale: f32) -> Floats {
        let few = few_rows::low_rank([&base, &x, &a, &b], scale, |_| (0, 1.0));
        few.unwrap_or_else(|| lora::composed::<Self>(base, x, a, b, scale))
    }

    fn lora_experts_few(
        base: Floats,
        x: Floats,
        a: Floats,
        b: Floats,
        gate: Floats,
        index: Ints,
        scale: f32,
    ) -> Floats {
        let (gate, index) = (host::floats::<Flex>(gate), host::ints::<Flex>(index));
        let of_token = |token: usize| (index[token] as usize, gate[token]);
        few_rows::low_rank([&base, &x, &a, &b], scale, of_token).expect("called for few tokens")
    }

    fn rms_norm(x: Floats, weight: Floats, eps: f32) -> Floats {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let weight = slice(&weight);
        rows(&x, weight.len(), |row, y| {
            let factor = 1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt();
            y.extend(row.iter().zip(weight).map(|(x, weight)| x * factor * weight));
        })
    }

    fn rms_norm_backward(dy: Floats, x: Floats, weight: Floats, eps: f32) -> Floats {
        let (dy, x, weight) = (dy.to_contiguous(), x.to_contiguous(), weight.to_contiguous());
        let weight = slice(&weight);
        let width = weight.len();
        let mut dys = slice(&dy).chunks_exact(width);
        let mut g = vec![0.0; width];
        rows(&x, width, |row, dx| {
            let dy = dys.next().expect("as many rows as x");
            g.iter_mut().zip(dy.iter().zip(weight)).for_each(|(g, (dy, weight))| *g = dy * weight);
            let mean = dot(row, row) / width as f32 + eps;
            let (factor, along) = (1.0 / mean.sqrt(), dot(&g, row) / width as f32 / mean);
            dx.extend(row.iter().zip(&g).map(|(x, g)| (g - x * along) * factor));
        })
    }

    fn mole_layer_norm(x: Floats, weight: Floats, bias: Floats, eps: f32) -> Floats {
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let (weight, bias) = (slice(&weight), slice(&bias));
        let mut z = vec![0.0; weight.len()];
        rows(&x, weight.len(), |row, y| {
            normed(row, eps, &mut z);
            y.extend(z.iter().zip(weight.iter().zip(bias)).map(|(z, (weight, bias))| z * weight + bias));
        })
    }

    fn layer_norm_backward(dy: Floats, x: Floats, weight: Floats, eps: f32) -> Floats {
        let (dy, x, weight) = (dy.to_contiguous(), x.to_contiguous(), weight.to_contiguous());
        let weight = slice(&weight);
        let width = weight.len();
        let mut dys = slice(&dy).chunks_exact(width);
        let (mut z, mut g) = (vec![0.0; width], vec![0.0; width]);
        rows(&x, width, |row, dx| {
            let dy = dys.next().expect("as many rows as x");
            g.iter_mut().zip(dy.iter().zip(weight)).for_each(|(g, (dy, weight))| *g = dy * weight);
            let factor = normed(row, eps, &mut z);
            let (mean, along) = (sum(&g) / width as f32, dot(&g, &z) / width as f32);
            dx.extend(z.iter().zip(&g).map(|(z, g)| (g - mean - z * along) * factor));
        })
    }

    fn swiglu(gate: Floats, up: Floats) -> Floats {
        pairs(&gate, &up, |gate, up| gate * sigmoid(gate) * up)
    }

    fn swiglu_backward(dy: Floats, gate: Floats, up: Floats) -> (Floats, Floats) {
        let silu = |gate: f32, dy: f32| dy * gate * sigmoid(gate);
        let slope = |gate: f32, dy: f32| {
            let s = sigmoid(gate);
            dy * s * (1.0 + gate * (1.0 - s))
        };
        (pairs(&pairs(&gate, &dy, slope), &up, |slope, up| slope * up), pairs(&gate, &dy, silu))
    }

    fn quick_gelu(x: Floats) -> Floats {
        let x = x.to_contiguous();
        tensor(slice(&x).iter().map(|&x| x * sigmoid(1.702 * x)).collect(), x.shape())
    }

    fn quick_gelu_backward(dy: Floats, x: Floats) -> Floats {
        pairs(&dy, &x, |dy, x| {
            let s = sigmoid(1.702 * x);
            dy * s * (1.0 + 1.702 * x * (1.0 - s))
        })
    }

    fn mole_attention(q: Floats, k: Floats, v: Floats, key_range: Ints, position: Ints, mask: AttentionMask) -> Floats {
        attention::forward(q, k, v, key_range, position, mask)
    }

    fn kv_write(cache: Floats, value: Floats, position: Ints) -> Floats {
        attention::kv_write(cache, value, position)
    }

    fn attention_backward(
        dy: Floats,
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        key_range: Ints,
        position: Ints,
        mask: AttentionMask,
    ) -> (Floats, Floats, Floats) {
        attention::backward(dy, q, k, v, y, key_range, position, mask)
    }

    fn cross_entropy_chunk(logits: Floats, targets: Ints, before: Floats, first: usize) -> Floats {
        let [rows, columns] = logits.shape().dims();
        let (mut logits, before) = (host::floats::<Flex>(logits), host::floats::<Flex>(before));
        let targets = host::ints::<Flex>(targets);
        let mut stats = Vec::with_capacity(3 * rows);
        for ((row, before), target) in logits.chunks_exact_mut(columns).zip(before.chunks_exact(3)).zip(targets) {
            let column = usize::try_from(target).ok().and_then(|target| target.checked_sub(first));
            let target = column.and_then(|column| row.get(column)).copied().unwrap_or(before[2]);
            let most = largest(row).max(before[0]);
            row.iter_mut().for_each(|value| *value = exp(*value - most));
            stats.extend([most, sum(row) + before[1] * exp(before[0] - most), target]);
        }
        tensor(stats, Shape::new([rows, 3]))
    }

    fn cross_entropy_chunk_backward(
        logits: Floats,
        targets: Ints,
        stats: Floats,
        dloss: Floats,
        first: usize,
    ) -> Floats {
        let shape = logits.shape();
        let [_, columns] = shape.dims();
        let (mut values, stats) = (host::floats::<Flex>(logits), host::floats::<Flex>(stats));
        let (dloss, targets) = (host::floats::<Flex>(dloss), host::ints::<Flex>(targets));
        let of_rows = stats.chunks_exact(3).zip(dloss).zip(targets);
        for (row, ((stats, dloss), target)) in values.chunks_exact_mut(columns).zip(of_rows) {
            let (most, factor) = (stats[0], dloss / stats[1]);
            row.iter_mut().for_each(|value| *value = factor * exp(*value - most));
            let column = usize::try_from(target).ok().and_then(|target| target.checked_sub(first));
            if let Some(value) = column.and_then(|column| row.get_mut(column)) {
                *value -= dloss;
            }
        }
        tensor(values, shape)
    }
}

/// The rows of contiguous words.
fn packed_rows(words: &Ints, layout: PackedLayout) -> PackedRows<'_> {
    PackedRows::new(words.as_slice().expect("packed weights are u32"), layout)
}

fn with_bias(y: Floats, bias: Floats) -> Floats {
    let [features] = bias.shape().dims();
    Flex::float_add(y, Flex::float_reshape(bias, Shape::new([1, features])))
}

fn slice(tensor: &Floats) -> &[f32] {
    tensor.as_slice().expect("contiguous and f32")
}

fn tensor(values: Vec<f32>, shape: Shape) -> Floats {
    Floats::from_data(TensorData::new(values, shape))
}

/// A tensor like x, each row of which `body` appends.
fn rows(x: &Floats, width: usize, mut body: impl FnMut(&[f32], &mut Vec<f32>)) -> Floats {
    let values = slice(x);
    let mut y = Vec::with_capacity(values.len());
    values.chunks_exact(width).for_each(|row| body(row, &mut y));
    tensor(y, x.shape())
}

/// A function of each two elements.
fn pairs(a: &Floats, b: &Floats, function: impl Fn(f32, f32) -> f32) -> Floats {
    let (a, b) = (a.to_contiguous(), b.to_contiguous());
    tensor(slice(&a).iter().zip(slice(&b)).map(|(&a, &b)| function(a, b)).collect(), a.shape())
}

/// `(x - mean) / sqrt(var + eps)`; returns the factor.
fn normed(x: &[f32], eps: f32, z: &mut [f32]) -> f32 {
    let mean = sum(x) / x.len() as f32;
    z.iter_mut().zip(x).for_each(|(z, x)| *z = x - mean);
    let factor = 1.0 / (dot(z, z) / x.len() as f32 + eps).sqrt();
    z.iter_mut().for_each(|z| *z *= factor);
    factor
}

fn sum(values: &[f32]) -> f32 {
    let (parts, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value));
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

fn largest(values: &[f32]) -> f32 {
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let (parts, rest) = values.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    parts.iter().for_each(|part| most.iter_mut().zip(part).for_each(|(most, &value)| *most = greater(*most, value)));
    most.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, greater)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `e^x` to about two units in the last place, without a branch, so that it is computed for many at once: `2^n e^r` with
/// a whole n, `|r| <= ln 2 / 2`, and the Taylor polynomial of `e^r`. Below -87 it is `e^-87`, above 88 `e^88`.
fn exp(x: f32) -> f32 {
    // Added to a number below 2^22, it leaves the whole part in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: n times the first is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    let taylor = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    taylor.into_iter().fold(1.0 / 5040.0, |sum, term| sum * r + term) * power
}

#[cfg(test)]
mod tests {
    use super::super::{activation, cross_entropy, expert_group, lora, lora_experts, norm, router_top1};
    use super::*;

    /// Numbers around zero that do not repeat.
    pub(super) fn numbers(shape: &[usize], seed: u32) -> Floats {
        let count = shape.iter().product::<usize>() as u32;
        let number = |index| host::pcg(host::pcg(seed) ^ index) as f32 / u32::MAX as f32 * 6.0 - 3.0;
        tensor((0..count).map(number).collect(), Shape::from(shape.to_vec()))
    }

    pub(super) fn ints(values: &[i32], shape: &[usize]) -> Ints {
        Flex::int_from_data(TensorData::new(values.to_vec(), shape.to_vec()), &Default::default())
    }

    pub(super) fn close(what: &str, ours: Floats, composed: Floats) {
        assert_eq!(ours.shape(), composed.shape(), "{what}");
        let (ours, composed) = (host::floats::<Flex>(ours), host::floats::<Flex>(composed));
        assert!(composed.iter().any(|value| value.abs() > 0.1), "{what}: the oracle is all but zero");
        for (index, (a, b)) in ours.iter().zip(&composed).enumerate() {
            assert!((a - b).abs() <= 3e-6 * (1.0 + b.abs()), "{what}, {index}: {a}, composed {b}");
        }
    }

    #[test]
    fn the_exponential_is_right_to_the_last_bits() {
        for step in -870_000..=880_000 {
            let x = step as f32 / 1e4;
            let (ours, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / right - 1.0).abs() < 3e-7, "exp({x}) is {ours}, not {right}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn norms_agree_with_the_composed_ones() {
        for (width, seed) in [(1, 1), (15, 2), (16, 3), (50, 4), (192, 5)] {
            let [x, dy] = [0, 1].map(|more| numbers(&[7, width], 10 * seed + more));
            let [weight, bias] = [2, 3].map(|more| numbers(&[width], 10 * seed + more));
            let eps = 1e-5;
            let (a, b, c) = (x.clone(), weight.clone(), bias.clone());
            close("rms", Flex::rms_norm(a.clone(), b.clone(), eps), norm::composed_rms::<Flex>(a, b, eps));
            if width == 1 {
                continue; // Its norm is zero.
            }
            let (a, b) = (x.clone(), weight.clone());
            let ours = Flex::mole_layer_norm(a.clone(), b.clone(), c.clone(), eps);
            close("layer", ours, norm::composed_layer::<Flex>(a, b, c, eps));
            let inputs = || (dy.clone(), x.clone(), weight.clone(), eps);
            let (d, a, b, e) = inputs();
            let ours = Flex::rms_norm_backward(d.clone(), a.clone(), b.clone(), e);
            close("rms backward", ours, norm::composed_rms_backward::<Flex>(d, a, b, e));
            let (d, a, b, e) = inputs();
            let ours = Flex::layer_norm_backward(d.clone(), a.clone(), b.clone(), e);
            close("layer backward", ours, norm::composed_layer_backward::<Flex>(d, a, b, e));
        }
    }

    #[test]
    fn activations_agree_with_the_composed_ones_on_views_too() {
        let [x, up, dy] = [0, 1, 2].map(|seed| numbers(&[9, 37], seed).transpose(0, 1));
        let (a, b, d) = (x, up, dy);
        close("swiglu", Flex::swiglu(a.clone(), b.clone()), activation::composed_swiglu::<Flex>(a.clone(), b.clone()));
        close("quick gelu", Flex::quick_gelu(a.clone()), activation::composed_quick_gelu::<Flex>(a.clone()));
        let ours = Flex::quick_gelu_backward(d.clone(), a.clone());
        close("quick gelu backward", ours, activation::composed_quick_gelu_backward::<Flex>(d.clone(), a.clone()));
        let (dgate, dup) = Flex::swiglu_backward(d.clone(), a.clone(), b.clone());
        let (expected_gate, expected_up) = activation::composed_swiglu_backward::<Flex>(d, a, b);
        close("swiglu backward, gate", dgate, expected_gate);
        close("swiglu backward, up", dup, expected_up);
    }

    #[test]
    fn a_chunk_of_the_loss_agrees_with_the_composed_one() {
        // The target is in this chunk, before it, and behind it.
        let targets = ints(&[103, 40, 200], &[3]);
        let (logits, dloss) = (numbers(&[3, 37], 1), numbers(&[3], 2));
        let before = tensor(vec![1.0, 4.0, 0.5, -3.4e38, 0.0, 0.0, 9.0, 2.0, -1.0], Shape::new([3, 3]));
        let stats = cross_entropy::composed_chunk::<Flex>(logits.clone(), targets.clone(), before.clone(), 100);
        let ours = Flex::cross_entropy_chunk(logits.clone(), targets.clone(), before, 100);
        close("statistics", ours, stats.clone());
        let inputs = (logits, targets, stats, dloss);
        let (a, b, c, d) = inputs.clone();
        let ours = Flex::cross_entropy_chunk_backward(a, b, c, d, 100);
        let (a, b, c, d) = inputs;
        close("gradient", ours, cross_entropy::composed_chunk_backward::<Flex>(a, b, c, d, 100));
    }

    #[test]
    fn the_router_agrees_with_the_composed_one() {
        for experts in [1, 3, 17] {
            let (x, weight) = (numbers(&[9, 20], 1), numbers(&[experts, 20], 2));
            let bias = numbers(&[experts], 3);
            let (probs, index) = Flex::router_top1(x.clone(), weight.clone(), bias.clone());
            let (expected_probs, expected) = router_top1::composed::<Flex>(x, weight, bias);
            close("probabilities", probs, expected_probs);
            assert_eq!(host::ints::<Flex>(index), host::ints::<Flex>(expected));
        }
    }

    #[test]
    fn low_rank_products_of_few_tokens_agree_with_the_composed_ones() {
        for tokens in [1, 4] {
            let (base, x) = (numbers(&[tokens, 37], 1), numbers(&[tokens, 20], 2));
            let (a, b) = (numbers(&[3, 20], 3), numbers(&[37, 3], 4));
            let ours = Flex::lora(base.clone(), x.clone(), a.clone(), b.clone(), 0.02);
            close("LoRA", ours, lora::composed::<Flex>(base.clone(), x.clone(), a, b, 0.02));
            let (a, b, gate) = (numbers(&[5, 3, 20], 5), numbers(&[5, 37, 3], 6), numbers(&[tokens], 7));
            let experts = &[4, 0, 4, 2][..tokens];
            let groups = expert_group::HostGroups::sort(experts, 5);
            let index = ints(experts, &[tokens]);
            let ours = Flex::lora_experts_few(base.clone(), x.clone(), a.clone(), b.clone(), gate.clone(), index, 0.02);
            close("experts", ours, lora_experts::composed::<Flex>(base, x, a, b, gate, &groups, 0.02));
        }
    }
}
