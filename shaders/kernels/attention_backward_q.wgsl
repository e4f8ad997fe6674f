#variants CAUSAL|PACKED
// dq = scale sum_s ds_s k_s, ds_s = p_s (<dy, v_s> - delta), p_s = exp(scale <q, k_s> - lse): the queries' gradient of
// attention, scores made again instead of kept.
// B batch, T queries, S keys, H query heads, G key/value heads, Dh head width. One workgroup per (batch, query, head);
// a thread scores one key of a tile of 64, then owns the elements thread, thread + 64, ... of dq.
// Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<f32>; // [B, T, H, Dh]
@group(0) @binding(1) var<storage, read_write> k: array<f32>; // [B, S, G, Dh]
@group(0) @binding(2) var<storage, read_write> v: array<f32>; // [B, S, G, Dh]
@group(0) @binding(3) var<storage, read_write> dy: array<f32>; // [B, T, H, Dh]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [B, T, H, 2]: lse, delta
@group(0) @binding(5) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]
@group(0) @binding(6) var<storage, read_write> dq: array<f32>; // [B, T, H, Dh]
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

var<workgroup> query: array<f32, MAX_HEAD_DIM>;
var<workgroup> gradient: array<f32, MAX_HEAD_DIM>;
var<workgroup> dscores: array<f32, WORKGROUP>;

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
    for (var d = thread; d < params.head_dim; d += WORKGROUP) {
        query[d] = q[row * params.head_dim + d] * params.scale;
        gradient[d] = dy[row * params.head_dim + d];
    }
    // Its barrier also publishes the two rows above.
    let range = visible_keys(thread, batch, token, token);
    let lse = stats[2u * row];
    let delta = stats[2u * row + 1u];

    var sums = vec4<f32>();
    for (var first = range.x; first < range.y; first += WORKGROUP) {
        let key = first + thread;
        var dscore = 0.0;
        if (key < range.y) {
            let base = ((batch * params.keys + key) * params.kv_heads + kv_head) * params.head_dim;
            var score = 0.0;
            var dprob = 0.0;
            for (var d = 0u; d < params.head_dim; d++) {
                score += query[d] * k[base + d];
                dprob += gradient[d] * v[base + d];
            }
            dscore = exp(score - lse) * (dprob - delta);
        }
        dscores[thread] = dscore;
        workgroupBarrier();
        let tile = min(WORKGROUP, range.y - first);
        for (var part = 0u; part < 4u; part++) {
            let d = thread + part * WORKGROUP;
            if (d < params.head_dim) {
                var sum = sums[part];
                for (var j = 0u; j < tile; j++) {
                    let base = ((batch * params.keys + first + j) * params.kv_heads + kv_head) * params.head_dim;
                    sum += dscores[j] * k[base + d];
                }
                sums[part] = sum;
            }
        }
        // `dscores` is written again in the next round.
        workgroupBarrier();
    }
    for (var part = 0u; part < 4u; part++) {
        let d = thread + part * WORKGROUP;
        if (d < params.head_dim) {
            dq[row * params.head_dim + d] = sums[part] * params.scale;
        }
    }
}
