#variants CAUSAL|PACKED
// dk_s = scale sum_t ds_ts q_t and dv_s = sum_t p_ts dy_t over the queries t, of every head of the group, that see key s;
// p and ds as in attention_backward_q.
// B batch, T queries, S keys, H query heads, G key/value heads, Dh head width. One workgroup per (batch, key, key head);
// a thread scores one (query, head) of a tile of 64, then owns the elements thread, thread + 64, ... of both sums. The
// order of summation is fixed.
// Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<f32>; // [B, T, H, Dh]
@group(0) @binding(1) var<storage, read_write> k: array<f32>; // [B, S, G, Dh]
@group(0) @binding(2) var<storage, read_write> v: array<f32>; // [B, S, G, Dh]
@group(0) @binding(3) var<storage, read_write> dy: array<f32>; // [B, T, H, Dh]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [B, T, H, 2]: lse, delta
@group(0) @binding(5) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]
@group(0) @binding(6) var<storage, read_write> dkv: array<f32>; // [2, B, S, G, Dh]: dk, then dv
#ifdef CAUSAL
@group(0) @binding(7) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(8) var<uniform> params: Params;
#else
@group(0) @binding(7) var<uniform> params: Params;
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

var<workgroup> key_row: array<f32, MAX_HEAD_DIM>;
var<workgroup> value_row: array<f32, MAX_HEAD_DIM>;
var<workgroup> probs: array<f32, WORKGROUP>;
var<workgroup> dscores: array<f32, WORKGROUP>;

#import attention_range

// Row of q for pair `index` of (query, head of the group), counted from query `first`.
fn query_row(batch: u32, first: u32, kv_head: u32, index: u32) -> u32 {
    let group = params.heads / params.kv_heads;
    return (batch * params.queries + first + index / group) * params.heads + kv_head * group + index % group;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup_index(workgroup, count); // (batch, key, key head)
    let rows = params.batch * params.keys * params.kv_heads;
    // Uniform: depends on the workgroup alone.
    if (row >= rows) {
        return;
    }
    let kv_head = row % params.kv_heads;
    let key = (row / params.kv_heads) % params.keys;
    let batch = row / (params.kv_heads * params.keys);
    for (var d = thread; d < params.head_dim; d += WORKGROUP) {
        key_row[d] = k[row * params.head_dim + d] * params.scale;
        value_row[d] = v[row * params.head_dim + d];
    }
    // Its barrier also publishes the two rows above.
    let range = seeing_queries(thread, batch, key, key + 1u);
    let pairs = (range.y - range.x) * (params.heads / params.kv_heads);

    var dk_sums = vec4<f32>();
    var dv_sums = vec4<f32>();
    for (var first = 0u; first < pairs; first += WORKGROUP) {
        let pair = first + thread;
        var prob = 0.0;
        var dscore = 0.0;
        if (pair < pairs) {
            let query = query_row(batch, range.x, kv_head, pair);
            var score = 0.0;
            var dprob = 0.0;
            for (var d = 0u; d < params.head_dim; d++) {
                score += q[query * params.head_dim + d] * key_row[d];
                dprob += dy[query * params.head_dim + d] * value_row[d];
            }
            prob = exp(score - stats[2u * query]);
            dscore = prob * (dprob - stats[2u * query + 1u]);
        }
        probs[thread] = prob;
        dscores[thread] = dscore;
        workgroupBarrier();
        let tile = min(WORKGROUP, pairs - first);
        for (var part = 0u; part < 4u; part++) {
            let d = thread + part * WORKGROUP;
            if (d < params.head_dim) {
                for (var j = 0u; j < tile; j++) {
                    let at = query_row(batch, range.x, kv_head, first + j) * params.head_dim + d;
                    dk_sums[part] += dscores[j] * q[at];
                    dv_sums[part] += probs[j] * dy[at];
                }
            }
        }
        // Both are written again in the next round.
        workgroupBarrier();
    }
    for (var part = 0u; part < 4u; part++) {
        let d = thread + part * WORKGROUP;
        if (d < params.head_dim) {
            dkv[row * params.head_dim + d] = dk_sums[part] * params.scale;
            dkv[(rows + row) * params.head_dim + d] = dv_sums[part];
        }
    }
}
