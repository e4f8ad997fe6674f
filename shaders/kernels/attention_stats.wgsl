#variants CAUSAL|PACKED
// What the backward pass of attention needs of each query: the log of its softmax's denominator, and <dy, y>.
// B batch, T queries, S keys, H query heads, G key/value heads, Dh head width. One workgroup per (batch, query, head);
// a thread scores one key of 64 at a time. A query that sees no key gets a denominator beyond all scores.
// Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<f32>; // [B, T, H, Dh]
@group(0) @binding(1) var<storage, read_write> k: array<f32>; // [B, S, G, Dh]
@group(0) @binding(2) var<storage, read_write> dy: array<f32>; // [B, T, H, Dh]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [B, T, H, Dh]
@group(0) @binding(4) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]
@group(0) @binding(5) var<storage, read_write> stats: array<f32>; // [B, T, H, 2]
#ifdef CAUSAL
@group(0) @binding(6) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(7) var<uniform> params: Params;
#else
@group(0) @binding(6) var<uniform> params: Params;
#endif

struct Params {
    batch: u32, // B
    queries: u32, // T
    keys: u32, // S
    heads: u32, // H
    kv_heads: u32, // G
    head_dim: u32, // Dh, at most 256
    scale: f32,
}

const WORKGROUP = 64u;
const MAX_HEAD_DIM = 256u;
const LOWEST = -3.4e38;

var<workgroup> query: array<f32, MAX_HEAD_DIM>;

#import reduce
#import attention_range

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup_index(workgroup, count); // (batch, query, head)
    // Uniform: depends on the workgroup alone.
    if (row >= params.batch * params.queries * params.heads) {
        return;
    }
    let head = row % params.heads;
    let token = (row / params.heads) % params.queries;
    let batch = row / (params.heads * params.queries);
    let kv_head = head / (params.heads / params.kv_heads);

    var products = 0.0;
    for (var d = thread; d < params.head_dim; d += WORKGROUP) {
        query[d] = q[row * params.head_dim + d] * params.scale;
        products += dy[row * params.head_dim + d] * y[row * params.head_dim + d];
    }
    let delta = workgroup_sum(thread, products);
    let range = visible_keys(thread, batch, token, token);
    var largest = LOWEST;
    var total = 0.0;
    for (var first = range.x; first < range.y; first += WORKGROUP) {
        let key = first + thread;
        var score = LOWEST;
        if (key < range.y) {
            let base = ((batch * params.keys + key) * params.kv_heads + kv_head) * params.head_dim;
            score = 0.0;
            for (var d = 0u; d < params.head_dim; d++) {
                score += query[d] * k[base + d];
            }
        }
        let new_largest = max(largest, workgroup_max(thread, score));
        let weight = select(0.0, exp(score - new_largest), key < range.y);
        total = total * exp(largest - new_largest) + workgroup_sum(thread, weight);
        largest = new_largest;
    }
    if (thread == 0u) {
        stats[2u * row] = select(-LOWEST, largest + log(total), total > 0.0);
        stats[2u * row + 1u] = delta;
    }
}
