//! Attention by tiles of queries and keys: a tile's keys are read once for all its queries, and the heads of one group
//! share them (Dao 2023, arXiv 2307.08691). For many queries; few of them leave most of a tile empty.

use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    Kernel, attention_delta as delta_wgsl, attention_tile as forward_wgsl, attention_tile_backward_kv as kv_wgsl,
    attention_tile_backward_q as q_wgsl,
};

use super::AttentionMask;
use super::backward::Inputs;
use crate::ops::kernels::Kernels;
use crate::ops::launch::{dims, launch, per_element};

/// From so many queries on tiles are faster: of 512 keys, 8 heads of 64, on llvmpipe, 4 queries take 19 ms either way,
/// 8 take 40 ms by themselves and 19 ms as a tile, 32 take 158 and 19.
const TILE_QUERIES: u32 = 5;

/// Whether tiles are what runs for so many queries. They read vectors of 4 along a head.
pub(super) fn win(queries: u32, head_dim: u32) -> bool {
    Kernels::chosen() == Kernels::Fast && queries >= TILE_QUERIES && head_dim.is_multiple_of(4)
}

/// How a kernel cuts its work: the constants of the same names in its text.
#[derive(Clone, Copy)]
struct Tile {
    /// Rows (queries of one head each) or keys that a workgroup owns.
    rows: u32,
    /// Elements of a head that a workgroup owns.
    columns: u32,
}

/// A kernel for each mask (full, causal, packed), and its tile; the first for heads up to 64 wide, the second for others.
type Variants = [([&'static Kernel; 3], Tile); 2];

const FORWARD: Variants = [
    ([&forward_wgsl::PLAIN, &forward_wgsl::CAUSAL, &forward_wgsl::PACKED], Tile { rows: 64, columns: 64 }),
    ([&forward_wgsl::WIDE, &forward_wgsl::CAUSAL_WIDE, &forward_wgsl::PACKED_WIDE], Tile { rows: 32, columns: 128 }),
];
const BACKWARD_Q: Variants = [
    ([&q_wgsl::PLAIN, &q_wgsl::CAUSAL, &q_wgsl::PACKED], Tile { rows: 64, columns: 64 }),
    ([&q_wgsl::WIDE, &q_wgsl::CAUSAL_WIDE, &q_wgsl::PACKED_WIDE], Tile { rows: 32, columns: 128 }),
];
const BACKWARD_KV: Variants = [
    ([&kv_wgsl::PLAIN, &kv_wgsl::CAUSAL, &kv_wgsl::PACKED], Tile { rows: 32, columns: 64 }),
    ([&kv_wgsl::WIDE, &kv_wgsl::CAUSAL_WIDE, &kv_wgsl::PACKED_WIDE], Tile { rows: 16, columns: 128 }),
];

/// Launches `variants` over `rows` rows of each of `heads` (batch, key head)s.
fn run(
    variants: &Variants,
    buffers: &[&CubeTensor],
    params: Vec<u32>,
    [heads, rows, head_dim]: [u32; 3],
    (mask, position): (AttentionMask, &CubeTensor),
) {
    let ([full, causal, packed], tile) = variants[usize::from(head_dim > 64)];
    let workgroups = heads * head_dim.div_ceil(tile.columns) * rows.div_ceil(tile.rows);
    match mask {
        AttentionMask::Full => launch(full, buffers, params, workgroups),
        AttentionMask::Packed => launch(packed, buffers, params, workgroups),
        AttentionMask::Causal => launch(causal, &[buffers, &[position]].concat(), params, workgroups),
    }
}

/// Fills `y`, of the shape of q, from contiguous tensors.
pub(super) fn forward(
    [q, k, v]: [&CubeTensor; 3],
    key_range: &CubeTensor,
    position: &CubeTensor,
    mask: AttentionMask,
    y: &CubeTensor,
) {
    let [batch, queries, heads, head_dim] = dims(q);
    let [_, keys, kv_heads, _] = dims(k);
    let scale = 1.0 / (head_dim as f32).sqrt();
    let params = forward_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let rows = [batch * kv_heads, queries * (heads / kv_heads), head_dim];
    run(&FORWARD, &[q, k, v, key_range, y], params, rows, (mask, position));
}

/// Fills `stats: [B, T, H, 2]`, `dq`, and `dkv: [2, B, S, G, Dh]`.
pub(super) fn backward(inputs: &Inputs<'_>, stats: &CubeTensor, dq: &CubeTensor, dkv: &CubeTensor) {
    let &Inputs { q, k, v, dy, y, key_range, position, mask } = inputs;
    let [batch, queries, heads, head_dim] = dims(q);
    let [_, keys, kv_heads, _] = dims(k);
    let scale = 1.0 / (head_dim as f32).sqrt();

    let lines = batch * queries * heads;
    let params = delta_wgsl::Params { lines, head_dim }.words();
    launch(&delta_wgsl::PLAIN, &[dy, y, stats], params, per_element(lines as usize));
    let params = q_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let rows = [batch * kv_heads, queries * (heads / kv_heads), head_dim];
    run(&BACKWARD_Q, &[q, k, v, dy, stats, key_range, dq], params, rows, (mask, position));
    let params = kv_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let rows = [batch * kv_heads, keys, head_dim];
    run(&BACKWARD_KV, &[q, k, v, dy, stats, key_range, dkv], params, rows, (mask, position));
}
