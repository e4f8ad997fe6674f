//! The gradients of attention: scores are made again from queries and keys, so that memory stays linear in the sequence
//! (arXiv 2205.14135, algorithm 4).

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata};
use burn::tensor::{DType, Shape, Slice, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    Kernel, attention_backward_kv as kv_wgsl, attention_backward_q as q_wgsl, attention_stats as stats_wgsl,
};

use super::{AttentionMask, check_ranges, packed_sequences, range, tiles};
use crate::ops::launch::{contiguous, dims, launch, output};
use crate::ops::tape::record;
use crate::ops::{MoleOps, host};

/// The gradients of queries, keys and values.
type Gradients<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

pub(in crate::ops) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    q: FloatTensor<Autodiff<B, C>>,
    k: FloatTensor<Autodiff<B, C>>,
    v: FloatTensor<Autodiff<B, C>>,
    key_range: IntTensor<B>,
    position: IntTensor<B>,
    mask: AttentionMask,
) -> FloatTensor<Autodiff<B, C>> {
    let ((q, q_node), (k, k_node), (v, v_node)) = (q.into_parts(), k.into_parts(), v.into_parts());
    let y = B::mole_attention(q.clone(), k.clone(), v.clone(), key_range.clone(), position.clone(), mask);
    let saved = (q, k, v, y.clone(), key_range, position, mask);
    record::<B, C, _, 3>([q_node, k_node, v_node], y, saved, |(q, k, v, y, key_range, position, mask), dy, _| {
        let (dq, dk, dv) = B::attention_backward(dy, q, k, v, y, key_range, position, mask);
        [Some(dq), Some(dk), Some(dv)]
    })
}

/// With `P` the softmax and `dS = P (dy v^T - <dy, y>)`: `dq = scale dS k`, `dk = scale dS^T q`, `dv = P^T dy`; heads of
/// one group add up in dk and dv.
#[expect(clippy::too_many_arguments, reason = "an operation names all its inputs")]
pub(in crate::ops) fn composed_backward<B: Backend>(
    dy: FloatTensor<B>,
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    y: FloatTensor<B>,
    key_range: IntTensor<B>,
    position: IntTensor<B>,
    mask: AttentionMask,
) -> Gradients<B> {
    let [batch, ..] = q.shape().dims::<4>();
    let ranges = host::ints::<B>(key_range);
    let tensors = [dy, q, k, v, y];
    if mask == AttentionMask::Packed {
        let sequences = packed_sequences(&ranges).map(|sequence| {
            let cut = |tensor: &FloatTensor<B>| B::float_slice(tensor.clone(), &[Slice::full(), range(&sequence)]);
            row_backward::<B>(tensors.each_ref().map(cut), |t, key| key <= t)
        });
        return join::<B>(sequences, 1);
    }
    let position = host::ints::<B>(position)[0];
    let rows = (0..batch).map(|b| {
        let one = |tensor: &FloatTensor<B>| B::float_slice(tensor.clone(), &[range(&(b..b + 1))]);
        row_backward::<B>(tensors.each_ref().map(one), |t, key| {
            let key = key as i32;
            let in_range = (ranges[2 * b]..ranges[2 * b + 1]).contains(&key);
            in_range && (mask == AttentionMask::Full || key <= position + t as i32)
        })
    });
    join::<B>(rows, 0)
}

/// The gradients of parts of the batch, one behind the other along `dim`.
fn join<B: Backend>(parts: impl Iterator<Item = Gradients<B>>, dim: usize) -> Gradients<B> {
    let (mut dq, mut dk, mut dv) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        dq.push(part.0);
        dk.push(part.1);
        dv.push(part.2);
    }
    (B::float_cat(dq, dim), B::float_cat(dk, dim), B::float_cat(dv, dim))
}

/// One batch row: dy, q and y of `[1, T, H, Dh]`, k and v of `[1, S, G, Dh]`.
fn row_backward<B: Backend>(
    [dy, q, k, v, y]: [FloatTensor<B>; 5],
    visible: impl Fn(usize, usize) -> bool,
) -> Gradients<B> {
    let [_, queries, heads, head_dim] = q.shape().dims();
    let [_, keys, kv_heads, _] = k.shape().dims::<4>();
    let group = heads / kv_heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    // Queries and their gradients as [G, group T, Dh]: heads of one group share a key head.
    let by_query = |tensor| {
        let shape = Shape::new([kv_heads, group * queries, head_dim]);
        B::float_reshape(B::float_permute(tensor, &[0, 2, 1, 3]), shape)
    };
    let by_key =
        |tensor| B::float_reshape(B::float_permute(tensor, &[0, 2, 1, 3]), Shape::new([kv_heads, keys, head_dim]));
    let (q, dy, y) = (B::float_mul_scalar(by_query(q), scale.into()), by_query(dy), by_query(y));
    let (k, v) = (by_key(k), by_key(v));

    let seen: Vec<f32> = (0..group * queries)
        .flat_map(|row| (0..keys).map(move |key| (row % queries, key)))
        .map(|(t, key)| if visible(t, key) { 1.0 } else { 0.0 })
        .collect();
    let seen = B::float_from_data(TensorData::new(seen, [1, group * queries, keys]), &q.device());
    let hidden = B::float_mul_scalar(B::float_sub_scalar(seen.clone(), 1.0.into()), 1e30.into());
    let scores = B::float_matmul(q.clone(), B::float_swap_dims(k.clone(), 1, 2));
    let probs = B::float_mul(B::softmax(B::float_add(scores, hidden), 2), seen);

    let delta = B::float_sum_dim(B::float_mul(dy.clone(), y), 2);
    let dprobs = B::float_matmul(dy.clone(), B::float_swap_dims(v, 1, 2));
    let dscores = B::float_mul(probs.clone(), B::float_sub(dprobs, delta));
    // Back to [1, tokens, heads, Dh].
    let back = |tensor, heads: usize, tokens: usize| {
        B::float_permute(B::float_reshape(tensor, Shape::new([1, heads, tokens, head_dim])), &[0, 2, 1, 3])
    };
    let dq = B::float_mul_scalar(B::float_matmul(dscores.clone(), k), scale.into());
    let dk = B::float_matmul(B::float_swap_dims(dscores, 1, 2), q);
    let dv = B::float_matmul(B::float_swap_dims(probs, 1, 2), dy);
    (back(dq, heads, queries), back(dk, kv_heads, keys), back(dv, kv_heads, keys))
}

#[expect(clippy::too_many_arguments, reason = "an operation names all its inputs")]
pub(in crate::ops) fn kernel_backward(
    dy: CubeTensor,
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    y: CubeTensor,
    key_range: CubeTensor,
    position: CubeTensor,
    mask: AttentionMask,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (dy, q, k, v, y) = (contiguous(dy), contiguous(q), contiguous(k), contiguous(v), contiguous(y));
    let (key_range, position) = (contiguous(key_range), contiguous(position));
    let [batch, queries, heads, head_dim] = dims(&q);
    let [_, keys, kv_heads, _] = dims(&k);
    check_ranges(&key_range, [batch, queries, keys], mask);
    let stats = output(&q, [batch, queries, heads, 2].map(|dim| dim as usize), DType::F32);
    let dq = output(&q, q.shape(), DType::F32);
    // One buffer for both: a kernel may bind eight.
    let dkv = output(&k, [2, batch, keys, kv_heads, head_dim].map(|dim| dim as usize), DType::F32);
    let inputs = Inputs { q: &q, k: &k, v: &v, dy: &dy, y: &y, key_range: &key_range, position: &position, mask };
    match tiles::win(queries, head_dim) {
        true => tiles::backward(&inputs, &stats, &dq, &dkv),
        false => by_query_and_key(&inputs, &stats, &dq, &dkv),
    }
    let half = |i: isize| {
        let part = CubeBackend::float_slice(dkv.clone(), &[Slice::new(i, Some(i + 1), 1)]);
        CubeBackend::float_reshape(part, k.shape())
    };
    (dq, half(0), half(1))
}

/// What the backward pass of attention reads, contiguous.
pub(super) struct Inputs<'a> {
    pub(super) q: &'a CubeTensor,
    pub(super) k: &'a CubeTensor,
    pub(super) v: &'a CubeTensor,
    pub(super) dy: &'a CubeTensor,
    pub(super) y: &'a CubeTensor,
    pub(super) key_range: &'a CubeTensor,
    pub(super) position: &'a CubeTensor,
    pub(super) mask: AttentionMask,
}

/// One workgroup per query of a head, or per key of a key head. Fills `stats: [B, T, H, 2]`, `dq`, and
/// `dkv: [2, B, S, G, Dh]`.
fn by_query_and_key(inputs: &Inputs<'_>, stats: &CubeTensor, dq: &CubeTensor, dkv: &CubeTensor) {
    let &Inputs { q, k, v, dy, y, key_range, position, mask } = inputs;
    let [batch, queries, heads, head_dim] = dims(q);
    let [_, keys, kv_heads, _] = dims(k);
    let scale = 1.0 / (head_dim as f32).sqrt();
    let run = |[full, causal, packed]: [&'static Kernel; 3], buffers: &[&CubeTensor], params, workgroups| match mask {
        AttentionMask::Full => launch(full, buffers, params, workgroups),
        AttentionMask::Packed => launch(packed, buffers, params, workgroups),
        AttentionMask::Causal => launch(causal, &[buffers, &[position]].concat(), params, workgroups),
    };
    let per_query = batch * queries * heads;
    let params = stats_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    run(
        [&stats_wgsl::PLAIN, &stats_wgsl::CAUSAL, &stats_wgsl::PACKED],
        &[q, k, dy, y, key_range, stats],
        params,
        per_query,
    );
    let params = q_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    run([&q_wgsl::PLAIN, &q_wgsl::CAUSAL, &q_wgsl::PACKED], &[q, k, v, dy, stats, key_range, dq], params, per_query);
    let params = kv_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let buffers = [q, k, v, dy, stats, key_range, dkv];
    run([&kv_wgsl::PLAIN, &kv_wgsl::CAUSAL, &kv_wgsl::PACKED], &buffers, params, batch * keys * kv_heads);
}
