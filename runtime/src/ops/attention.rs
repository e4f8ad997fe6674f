//! Attention over a static key/value cache: full or causal, grouped queries, padded keys.

mod backward;
mod tiles;

pub(super) use backward::{composed_backward, kernel_backward, tracked};

use std::ops::Range;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, FloatDType, Int, Shape, Slice, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::attention as attention_wgsl;

use super::launch::{contiguous, dims, launch, output};
use super::{MoleOps, host};

/// The widest head the kernel's workgroup memory holds.
pub const MAX_HEAD_DIM: usize = 256;

/// Which keys of its range a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionMask {
    /// All of them.
    Full,
    /// Those up to the query's own position.
    Causal,
    /// Several sequences stand one behind the other, queries and keys alike, in a batch of one: a token sees its own
    /// sequence up to itself.
    Packed,
}

/// `softmax(q k^T / sqrt(Dh) + mask) v`.
///
/// `q: [B, T, H, Dh]`; `k`, `v: [B, S, G, Dh]`, H a multiple of G; `key_range: [B, 2]` (i32), the first valid key and one
/// past the last, or with [`AttentionMask::Packed`] `[T, 2]`, every token's sequence, in order; `position: [1]` (i32), where
/// query 0 stands, which only [`AttentionMask::Causal`] asks for. Returns `[B, T, H, Dh]`. A query that sees no key yields
/// zeros. The kernels' memory is linear in the sequence (online softmax, arXiv 2205.14135).
pub fn attention(
    q: Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    key_range: &Tensor<2, Int>,
    position: &Tensor<1, Int>,
    mask: AttentionMask,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as MoleOps>::mole_attention(
        q.into_dispatch(),
        k.clone().into_dispatch(),
        v.clone().into_dispatch(),
        key_range.clone().into_dispatch(),
        position.clone().into_dispatch(),
        mask,
    ))
}

pub(super) fn composed<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    key_range: IntTensor<B>,
    position: IntTensor<B>,
    mask: AttentionMask,
) -> FloatTensor<B> {
    let [batch, queries, ..] = q.shape().dims::<4>();
    let [_, keys, ..] = k.shape().dims::<4>();
    let ranges = host::ints::<B>(key_range);
    if mask == AttentionMask::Packed {
        let sequences = packed_sequences(&ranges).map(|sequence| {
            let cut = |tensor: &FloatTensor<B>| B::float_slice(tensor.clone(), &[Slice::full(), range(&sequence)]);
            row::<B>(cut(&q), cut(&k), cut(&v), 0..sequence.len(), |t, key| key <= t)
        });
        return B::float_cat(sequences.collect(), 1);
    }
    let position = host::ints::<B>(position)[0];
    let rows = (0..batch)
        .map(|b| {
            let first = ranges[2 * b].max(0);
            let mut last = ranges[2 * b + 1].min(keys as i32);
            if mask == AttentionMask::Causal {
                last = last.min(position + queries as i32);
            }
            let visible = |t: usize, key: usize| mask == AttentionMask::Full || key as i32 <= position + t as i32;
            let one = |tensor: &FloatTensor<B>| B::float_slice(tensor.clone(), &[range(&(b..b + 1))]);
            row::<B>(one(&q), one(&k), one(&v), first as usize..last.max(first) as usize, visible)
        })
        .collect();
    B::float_cat(rows, 0)
}

/// The sequences of a packed batch, from every token's own: `[T, 2]`.
pub(super) fn packed_sequences(ranges: &[i32]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (first, last) = (*ranges.get(2 * at)? as usize, ranges[2 * at + 1] as usize);
        assert!(first == at && at < last && 2 * last <= ranges.len(), "packed sequences stand one behind the other");
        at = last;
        Some(first..last)
    })
}

/// One batch row: `q: [1, T, H, Dh]`, `k`, `v: [1, S, G, Dh]`, and the keys that may be seen at all.
fn row<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    keys: Range<usize>,
    visible: impl Fn(usize, usize) -> bool,
) -> FloatTensor<B> {
    let [_, queries, heads, head_dim] = q.shape().dims::<4>();
    let [_, _, kv_heads, _] = k.shape().dims::<4>();
    if keys.is_empty() {
        return B::float_zeros(q.shape(), &q.device(), FloatDType::F32);
    }
    let (group, key_count) = (heads / kv_heads, keys.len());
    // Heads of one group share a key head: their queries become rows of one product.
    let q = B::float_permute(B::float_mul_scalar(q, (1.0 / (head_dim as f32).sqrt()).into()), &[0, 2, 1, 3]);
    let q = B::float_reshape(q, Shape::new([kv_heads, group * queries, head_dim]));
    let cut = |tensor| {
        let tensor = B::float_slice(tensor, &[Slice::full(), range(&keys)]);
        B::float_reshape(B::float_permute(tensor, &[0, 2, 1, 3]), Shape::new([kv_heads, key_count, head_dim]))
    };
    let scores = B::float_matmul(q, B::float_swap_dims(cut(k), 1, 2));

    let seen: Vec<f32> = (0..queries)
        .flat_map(|t| keys.clone().map(move |key| (t, key)))
        .map(|(t, key)| if visible(t, key) { 1.0 } else { 0.0 })
        .collect();
    let probs = if seen.iter().all(|&seen| seen == 1.0) {
        B::softmax(scores, 2)
    } else {
        let device = scores.device();
        let seen = B::float_from_data(TensorData::new(seen, [1, 1, queries, key_count]), &device);
        let scores = B::float_reshape(scores, Shape::new([kv_heads, group, queries, key_count]));
        // (seen - 1) * 1e30 rather than -inf: a row that sees nothing must come out as zeros, not NaN.
        let hidden = B::float_mul_scalar(B::float_sub_scalar(seen.clone(), 1.0.into()), 1e30.into());
        let probs = B::softmax(B::float_add(scores, hidden), 3);
        B::float_reshape(B::float_mul(probs, seen), Shape::new([kv_heads, group * queries, key_count]))
    };
    let y = B::float_reshape(B::float_matmul(probs, cut(v)), Shape::new([1, heads, queries, head_dim]));
    B::float_permute(y, &[0, 2, 1, 3])
}

fn range(range: &Range<usize>) -> Slice {
    Slice::new(range.start as isize, Some(range.end as isize), 1)
}

pub(super) fn kernel(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    key_range: CubeTensor,
    position: CubeTensor,
    mask: AttentionMask,
) -> CubeTensor {
    let (q, k, v) = (contiguous(q), contiguous(k), contiguous(v));
    let (key_range, position) = (contiguous(key_range), contiguous(position));
    let [batch, queries, heads, head_dim] = dims(&q);
    let [_, keys, kv_heads, _] = dims(&k);
    assert!(head_dim as usize <= MAX_HEAD_DIM && heads % kv_heads == 0, "attention: refused by the config's checks");
    check_ranges(&key_range, [batch, queries, keys], mask);
    let y = output(&q, q.shape(), DType::F32);
    if tiles::win(queries, head_dim) {
        tiles::forward([&q, &k, &v], &key_range, &position, mask, &y);
        return y;
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    let params = attention_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let workgroups = batch * queries * heads;
    let buffers = [&q, &k, &v, &key_range, &y];
    match mask {
        AttentionMask::Full => launch(&attention_wgsl::PLAIN, &buffers, params, workgroups),
        AttentionMask::Packed => launch(&attention_wgsl::PACKED, &buffers, params, workgroups),
        AttentionMask::Causal => {
            launch(&attention_wgsl::CAUSAL, &[&q, &k, &v, &key_range, &y, &position], params, workgroups);
        }
    }
    y
}

/// # Panics
/// If `key_range` has not the rows that the mask asks for: the kernels would read past its end.
fn check_ranges(key_range: &CubeTensor, [batch, queries, keys]: [u32; 3], mask: AttentionMask) {
    let rows = match mask {
        AttentionMask::Packed => {
            assert!(batch == 1 && queries == keys, "packed attention is a batch of one, of queries and keys alike");
            queries
        }
        AttentionMask::Full | AttentionMask::Causal => batch,
    };
    assert_eq!(dims(key_range), [rows, 2], "attention: one range of keys a row");
}
