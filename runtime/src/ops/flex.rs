//! Bodies for the CPU: what a composed body does in ten operations, each a pass over memory, is one pass here. The
//! products stay burn's. The composed bodies are what these are tested against.

mod few_rows;

use std::ops::Range;

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::attention::{AttentionMask, packed_sequences};
use super::{MoleOps, PackedLayout, host, kv_write, linear, lora};

type Floats = FloatTensor<Flex>;
type Ints = IntTensor<Flex>;

/// Sums are kept in so many parts, which the compiler puts side by side into a register.
const LANES: usize = 16;

impl MoleOps for Flex {
    fn mole_linear(x: Floats, weight: Floats) -> Floats {
        few_rows::linear(&x, &weight).unwrap_or_else(|| linear::composed::<Self>(x, weight, None))
    }

    fn linear_packed(x: Floats, words: Ints, layout: PackedLayout) -> Floats {
        few_rows::linear_packed(&x, &words, layout)
            .unwrap_or_else(|| linear::composed::<Self>(x, host::unpack::<Self>(words, layout), None))
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
        let (k, v) = (k.to_contiguous(), v.to_contiguous());
        let rows = batch_rows([&q, &k], key_range, position, mask).map(|mut row| {
            if row.queries == 1 {
                return row.one_query(&q, &k, &v);
            }
            // A cache is longer than what the last query, which sees most, sees of it.
            row.keys = row.seen(row.queries - 1).end.max(1).min(row.keys);
            let scores = Flex::float_matmul(row.queries(&q, row.scale), row.keys_of(&k).transpose(1, 2));
            let probs = row.softmax(scores);
            row.back(Flex::float_matmul(probs, row.keys_of(&v)), row.heads, row.queries)
        });
        Flex::float_cat(rows.collect(), rows_dim(mask))
    }

    fn kv_write(cache: Floats, value: Floats, position: Ints) -> Floats {
        let ([batch, context, ..], [_, tokens, kv_heads, head_dim]) = (cache.shape().dims::<4>(), value.shape().dims());
        // A cache that is all of its memory is written in place, if it is nobody else's too.
        if cache.as_slice::<f32>().is_none_or(|all| all.len() != cache.storage::<f32>().len()) {
            return kv_write::composed::<Self>(cache, value, position);
        }
        let first = host::ints::<Flex>(position)[0].max(0) as usize;
        let (value, width) = (value.to_contiguous(), kv_heads * head_dim);
        let mut cache = cache;
        let rows =
            cache.storage_mut::<f32>().chunks_exact_mut(context * width).zip(slice(&value).chunks(tokens * width));
        for (cached, value) in rows.take(batch) {
            // What would fall beyond the context is dropped.
            let written = tokens.min(context.saturating_sub(first)) * width;
            if written > 0 {
                cached[first * width..][..written].copy_from_slice(&value[..written]);
            }
        }
        cache
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
        let (mut dq, mut dk, mut dv) = (Vec::new(), Vec::new(), Vec::new());
        for row in batch_rows([&q, &k], key_range, position, mask) {
            let (q, dy, y) = (row.queries(&q, row.scale), row.queries(&dy, 1.0), row.queries(&y, 1.0));
            let (k, v) = (row.keys_of(&k), row.keys_of(&v));
            let probs = row.softmax(Flex::float_matmul(q.clone(), k.transpose(1, 2)));
            let dprobs = Flex::float_matmul(dy.clone(), v.transpose(1, 2));
            let dscores = row.softmax_backward(dprobs, &probs, &dy, &y);
            let dq_row = Flex::float_mul_scalar(Flex::float_matmul(dscores.clone(), k), row.scale.into());
            dq.push(row.back(dq_row, row.heads, row.queries));
            dk.push(row.back(Flex::float_matmul(dscores.transpose(1, 2), q), row.kv_heads, row.keys));
            dv.push(row.back(Flex::float_matmul(probs.transpose(1, 2), dy), row.kv_heads, row.keys));
        }
        let dim = rows_dim(mask);
        (Flex::float_cat(dq, dim), Flex::float_cat(dk, dim), Flex::float_cat(dv, dim))
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

/// The dimension along which the rows of a batch stand: packed sequences stand one behind the other.
fn rows_dim(mask: AttentionMask) -> usize {
    usize::from(mask == AttentionMask::Packed)
}

/// One row of a batch in attention, or one packed sequence. Heads of a group share a key head: their queries are rows of
/// one product.
struct BatchRow {
    /// The dimension along which rows stand, the row's first index there, and how many belong to it.
    place: [usize; 3],
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
    head_dim: usize,
    scale: f32,
    /// Valid keys.
    valid: Range<usize>,
    /// Where query 0 stands, if no query sees a key behind its own place.
    causal_from: Option<usize>,
}

fn batch_rows(
    [q, k]: [&Floats; 2],
    key_range: Ints,
    position: Ints,
    mask: AttentionMask,
) -> impl Iterator<Item = BatchRow> {
    let [batch, queries, heads, head_dim] = q.shape().dims();
    let [_, keys, kv_heads, _] = k.shape().dims::<4>();
    let scale = 1.0 / (head_dim as f32).sqrt();
    let ranges = host::ints::<Flex>(key_range);
    if mask == AttentionMask::Packed {
        let sequences = packed_sequences(&ranges).map(|Range { start, end }| {
            let (place, tokens, causal_from) = ([1, start, end - start], end - start, Some(0));
            let (queries, keys, valid) = (tokens, tokens, 0..tokens);
            BatchRow { place, heads, kv_heads, queries, keys, head_dim, scale, valid, causal_from }
        });
        return sequences.collect::<Vec<_>>().into_iter();
    }
    let position = host::ints::<Flex>(position)[0];
    let inside = move |key: i32| key.clamp(0, keys as i32) as usize;
    let rows = (0..batch).map(|index| BatchRow {
        place: [0, index, 1],
        heads,
        kv_heads,
        queries,
        keys,
        head_dim,
        scale,
        valid: inside(ranges[2 * index])..inside(ranges[2 * index + 1]).max(inside(ranges[2 * index])),
        causal_from: (mask == AttentionMask::Causal).then_some(position as usize),
    });
    rows.collect::<Vec<_>>().into_iter()
}

impl BatchRow {
    fn cut(&self, of: &Floats) -> Floats {
        let [dim, first, count] = self.place;
        of.narrow(dim, first, count)
    }

    /// `[1, T, H, Dh]` of the batch to `[G, H / G T, Dh]`, times a factor.
    fn queries(&self, of: &Floats, factor: f32) -> Floats {
        let rows = self.heads / self.kv_heads * self.queries;
        let tensor = self.cut(of).permute(&[0, 2, 1, 3]).to_contiguous();
        let tensor = tensor.reshape(Shape::new([self.kv_heads, rows, self.head_dim]));
        if factor == 1.0 { tensor } else { Flex::float_mul_scalar(tensor, factor.into()) }
    }

    /// The first keys of `[1, S, G, Dh]` of the batch to `[G, keys, Dh]`.
    fn keys_of(&self, of: &Floats) -> Floats {
        let tensor = self.cut(of).narrow(1, 0, self.keys).permute(&[0, 2, 1, 3]).to_contiguous();
        tensor.reshape(Shape::new([self.kv_heads, self.keys, self.head_dim]))
    }

    /// `[.., tokens, Dh]` of some heads back to `[1, tokens, heads, Dh]`.
    fn back(&self, tensor: Floats, heads: usize, tokens: usize) -> Floats {
        tensor.to_contiguous().reshape(Shape::new([1, heads, tokens, self.head_dim])).permute(&[0, 2, 1, 3])
    }

    /// The attention of a row's only query, straight from keys and values as they lie: `[1, 1, H, Dh]`.
    fn one_query(&self, q: &Floats, k: &Floats, v: &Floats) -> Floats {
        let (head_dim, group, first) = (self.head_dim, self.heads / self.kv_heads, self.place[1]);
        let q = self.cut(q).to_contiguous();
        let (k, v) = (slice(k), slice(v));
        let seen = self.seen(0);
        let token = |key: usize| (first * self.keys + key) * self.kv_heads;
        let mut weights = vec![0.0; seen.len()];
        let mut y = vec![0.0; self.heads * head_dim];
        for (head, (q, y)) in slice(&q).chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim)).enumerate() {
            let of_key = |key: usize| (token(key) + head / group) * head_dim;
            for (weight, key) in weights.iter_mut().zip(seen.clone()) {
                *weight = self.scale * dot(q, &k[of_key(key)..][..head_dim]);
            }
            let largest = largest(&weights);
            weights.iter_mut().for_each(|weight| *weight = exp(*weight - largest));
            // A query that sees no key yields zeros.
            let factor = if seen.is_empty() { 0.0 } else { 1.0 / sum(&weights) };
            for (weight, key) in weights.iter().zip(seen.clone()) {
                let values = &v[of_key(key)..][..head_dim];
                y.iter_mut().zip(values).for_each(|(y, value)| *y += factor * weight * value);
            }
        }
        tensor(y, Shape::new([1, 1, self.heads, head_dim]))
    }

    /// The keys that a row of scores sees.
    fn seen(&self, row: usize) -> Range<usize> {
        let end = self.causal_from.map_or(self.keys, |first| first + row % self.queries + 1).min(self.valid.end);
        self.valid.start..end.max(self.valid.start)
    }

    /// The softmax of each row over the keys that it sees, and zeros elsewhere.
    fn softmax(&self, scores: Floats) -> Floats {
        let shape = scores.shape();
        let mut values = host::floats::<Flex>(scores);
        for (index, row) in values.chunks_exact_mut(self.keys.max(1)).enumerate() {
            let seen = self.seen(index);
            row[..seen.start].fill(0.0);
            row[seen.end..].fill(0.0);
            let row = &mut row[seen];
            let largest = largest(row);
            row.iter_mut().for_each(|value| *value = exp(*value - largest));
            let factor = 1.0 / sum(row);
            row.iter_mut().for_each(|value| *value *= factor);
        }
        tensor(values, shape)
    }

    /// `P (dP - <dy, y>)`.
    fn softmax_backward(&self, dprobs: Floats, probs: &Floats, dy: &Floats, y: &Floats) -> Floats {
        let shape = dprobs.shape();
        let mut values = host::floats::<Flex>(dprobs);
        let pairs = slice(dy).chunks_exact(self.head_dim).zip(slice(y).chunks_exact(self.head_dim));
        let rows = values.chunks_exact_mut(self.keys.max(1)).zip(slice(probs).chunks_exact(self.keys.max(1)));
        for ((row, probs), (dy, y)) in rows.zip(pairs) {
            let delta = dot(dy, y);
            row.iter_mut().zip(probs).for_each(|(value, prob)| *value = prob * (*value - delta));
        }
        tensor(values, shape)
    }
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

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
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
    use super::super::{
        activation, attention, cross_entropy, expert_group, kv_write, lora, lora_experts, norm, router_top1,
    };
    use super::*;

    /// Numbers around zero that do not repeat.
    fn numbers(shape: &[usize], seed: u32) -> Floats {
        let count = shape.iter().product::<usize>() as u32;
        let number = |index| host::pcg(host::pcg(seed) ^ index) as f32 / u32::MAX as f32 * 6.0 - 3.0;
        tensor((0..count).map(number).collect(), Shape::from(shape.to_vec()))
    }

    fn ints(values: &[i32], shape: &[usize]) -> Ints {
        Flex::int_from_data(TensorData::new(values.to_vec(), shape.to_vec()), &Default::default())
    }

    fn close(what: &str, ours: Floats, composed: Floats) {
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

    #[test]
    fn the_cache_is_written_as_the_composed_body_does() {
        for (tokens, position) in [(1, 0), (1, 6), (3, 2), (3, 5), (1, 7), (2, 9)] {
            let (cache, value) = (numbers(&[2, 7, 3, 4], 1), numbers(&[2, tokens, 3, 4], 2));
            let at = ints(&[position], &[1]);
            let kept = cache.clone();
            let expected = kv_write::composed::<Flex>(cache.clone(), value.clone(), at.clone());
            close("kv_write", Flex::kv_write(cache, value, at), expected);
            close("what another holds", kept, numbers(&[2, 7, 3, 4], 1));
        }
    }

    #[test]
    fn attention_agrees_with_the_composed_one() {
        let full = [0, 19, 0, 19];
        // Keys that are not there at either end, and a row that has none.
        let cut = [3, 17, 0, 0];
        for (mask, ranges, position, queries) in [
            (AttentionMask::Full, full, 0, 19),
            (AttentionMask::Full, cut, 0, 5),
            (AttentionMask::Causal, full, 0, 19),
            (AttentionMask::Causal, cut, 9, 4),
            (AttentionMask::Causal, full, 18, 1),
            (AttentionMask::Causal, cut, 10, 1),
            (AttentionMask::Full, cut, 0, 1),
            (AttentionMask::Packed, full, 0, 19),
        ] {
            // Packed sequences of 12, 1 and 6 tokens, in a batch of one.
            let (batch, ranges) = match mask == AttentionMask::Packed {
                true => (1, [[0, 12].repeat(12), vec![12, 13], [13, 19].repeat(6)].concat()),
                false => (2, ranges.to_vec()),
            };
            let q = numbers(&[batch, queries, 6, 8], 1);
            let [k, v] = [2, 3].map(|seed| numbers(&[batch, 19, 3, 8], seed));
            let (range, at) = (ints(&ranges, &[ranges.len() / 2, 2]), ints(&[position], &[1]));
            let what = format!("{mask:?} {ranges:?} from {position}");
            let inputs = || (q.clone(), k.clone(), v.clone(), range.clone(), at.clone());
            let (q_, k_, v_, r, p) = inputs();
            let y = attention::composed::<Flex>(q_, k_, v_, r, p, mask);
            let (q_, k_, v_, r, p) = inputs();
            close(&what, Flex::mole_attention(q_, k_, v_, r, p, mask), y.clone());
            let dy = numbers(&[batch, queries, 6, 8], 4);
            let (q_, k_, v_, r, p) = inputs();
            let ours = Flex::attention_backward(dy.clone(), q_, k_, v_, y.clone(), r, p, mask);
            let (q_, k_, v_, r, p) = inputs();
            let right = attention::composed_backward::<Flex>(dy, q_, k_, v_, y, r, p, mask);
            close(&format!("{what}, dq"), ours.0, right.0);
            close(&format!("{what}, dk"), ours.1, right.1);
            close(&format!("{what}, dv"), ours.2, right.2);
        }
    }
}
