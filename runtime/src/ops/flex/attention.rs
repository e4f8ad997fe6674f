//! Attention on the CPU: a row of a batch, or a packed sequence, at a time.

use std::ops::Range;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Shape;

use super::super::attention::packed_sequences;
use super::super::{AttentionMask, host};
use super::{Floats, Ints, dot, exp, largest, slice, sum, tensor};

/// `softmax(scale q k^T) v`: a token by itself straight from the cache, many by products.
pub(super) fn forward(q: Floats, k: Floats, v: Floats, key_range: Ints, position: Ints, mask: AttentionMask) -> Floats {
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

/// Writes into the cache in place, where it is nobody else's.
pub(super) fn kv_write(cache: Floats, value: Floats, position: Ints) -> Floats {
    let ([batch, context, ..], [_, tokens, kv_heads, head_dim]) = (cache.shape().dims::<4>(), value.shape().dims());
    // A cache that is all of its memory is written in place, if it is nobody else's too.
    if cache.as_slice::<f32>().is_none_or(|all| all.len() != cache.storage::<f32>().len()) {
        return super::super::kv_write::composed::<Flex>(cache, value, position);
    }
    let first = host::ints::<Flex>(position)[0].max(0) as usize;
    let (value, width) = (value.to_contiguous(), kv_heads * head_dim);
    let mut cache = cache;
    let rows = cache.storage_mut::<f32>().chunks_exact_mut(context * width).zip(slice(&value).chunks(tokens * width));
    for (cached, value) in rows.take(batch) {
        // What would fall beyond the context is dropped.
        let written = tokens.min(context.saturating_sub(first)) * width;
        if written > 0 {
            cached[first * width..][..written].copy_from_slice(&value[..written]);
        }
    }
    cache
}

#[expect(clippy::too_many_arguments, reason = "an operation names all its inputs")]
pub(super) fn backward(
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

#[cfg(test)]
mod tests {
    use super::super::super::{MoleOps, attention, kv_write};
    use super::super::tests::{close, ints, numbers};
    use super::*;

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
