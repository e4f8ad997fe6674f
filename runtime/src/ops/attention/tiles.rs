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

/// From so many queries on tiles are faster.
const TILE_QUERIES: u32 = 16;

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

/// A kernel without and with its causal mask, and its tile; the first for heads up to 64 wide, the second for others.
type Variants = [([&'static Kernel; 2], Tile); 2];

const FORWARD: Variants = [
    ([&forward_wgsl::PLAIN, &forward_wgsl::CAUSAL], Tile { rows: 64, columns: 64 }),
    ([&forward_wgsl::WIDE, &forward_wgsl::CAUSAL_WIDE], Tile { rows: 32, columns: 128 }),
];
const BACKWARD_Q: Variants = [
    ([&q_wgsl::PLAIN, &q_wgsl::CAUSAL], Tile { rows: 64, columns: 64 }),
    ([&q_wgsl::WIDE, &q_wgsl::CAUSAL_WIDE], Tile { rows: 32, columns: 128 }),
];
const BACKWARD_KV: Variants = [
    ([&kv_wgsl::PLAIN, &kv_wgsl::CAUSAL], Tile { rows: 32, columns: 64 }),
    ([&kv_wgsl::WIDE, &kv_wgsl::CAUSAL_WIDE], Tile { rows: 16, columns: 128 }),
];

/// Launches `variants` over `rows` rows of each of `heads` (batch, key head)s.
fn run(
    variants: &Variants,
    buffers: &[&CubeTensor],
    params: Vec<u32>,
    [heads, rows, head_dim]: [u32; 3],
    causal: Option<&CubeTensor>,
) {
    let ([full, masked], tile) = variants[usize::from(head_dim > 64)];
    let workgroups = heads * head_dim.div_ceil(tile.columns) * rows.div_ceil(tile.rows);
    match causal {
        None => launch(full, buffers, params, workgroups),
        Some(position) => launch(masked, &[buffers, &[position]].concat(), params, workgroups),
    }
}

/// The queries' position, where the mask asks for it.
fn causal(mask: AttentionMask, position: &CubeTensor) -> Option<&CubeTensor> {
    (mask == AttentionMask::Causal).then_some(position)
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
    run(&FORWARD, &[q, k, v, key_range, y], params, rows, causal(mask, position));
}

/// Fills `stats: [B, T, H, 2]`, `dq`, and `dkv: [2, B, S, G, Dh]`.
pub(super) fn backward(inputs: &Inputs<'_>, stats: &CubeTensor, dq: &CubeTensor, dkv: &CubeTensor) {
    let &Inputs { q, k, v, dy, y, key_range, position, mask } = inputs;
    let [batch, queries, heads, head_dim] = dims(q);
    let [_, keys, kv_heads, _] = dims(k);
    let scale = 1.0 / (head_dim as f32).sqrt();
    let causal = causal(mask, position);

    let lines = batch * queries * heads;
    let params = delta_wgsl::Params { lines, head_dim }.words();
    launch(&delta_wgsl::PLAIN, &[dy, y, stats], params, per_element(lines as usize));
    let params = q_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let rows = [batch * kv_heads, queries * (heads / kv_heads), head_dim];
    run(&BACKWARD_Q, &[q, k, v, dy, stats, key_range, dq], params, rows, causal);
    let params = kv_wgsl::Params { batch, queries, keys, heads, kv_heads, head_dim, scale }.words();
    let rows = [batch * kv_heads, keys, head_dim];
    run(&BACKWARD_KV, &[q, k, v, dy, stats, key_range, dkv], params, rows, causal);
}
