#variants CAUSAL|PACKED
// softmax(scale q k^T + mask) v with an online softmax: memory is linear in the sequence.
// B batch, T queries, S keys (the static cache's length), H query heads, G key/value heads (H is a multiple of G),
// Dh head width. One workgroup per (batch, query, head); a tile of 64 keys at a time: a thread scores one key, then
// owns the output elements thread, thread + 64, ...
// A query sees the keys of key_range[b]; with CAUSAL, query t stands at position[0] + t and sees only those up to itself;
// with PACKED (B is 1, S is T) query t sees the keys of key_range[t] up to itself.
// A query that sees no key yields zeros.
// Source: Dao et al. 2022, arXiv 2205.14135; online softmax of Milakov and Gimelshein 2018, arXiv 1805.02867.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<f32>; // [B, T, H, Dh]
@group(0) @binding(1) var<storage, read_write> k: array<f32>; // [B, S, G, Dh]
@group(0) @binding(2) var<storage, read_write> v: array<f32>; // [B, S, G, Dh]
@group(0) @binding(3) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]: first key, one past the last
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [B, T, H, Dh]
#ifdef CAUSAL
@group(0) @binding(5) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(6) var<uniform> params: Params;
#else
@group(0) @binding(5) var<uniform> params: Params;
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
var<workgroup> weights: array<f32, WORKGROUP>;

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

    for (var d = thread; d < params.head_dim; d += WORKGROUP) {
        query[d] = q[row * params.head_dim + d] * params.scale;
    }
    // Its barrier also publishes the query.
    let range = visible_keys(thread, batch, token, token);

    var largest = LOWEST;
    var total = 0.0;
    var sums = vec4<f32>();
    for (var first = range.x; first < range.y; first += WORKGROUP) {
        let key = first + thread;
        var score = LOWEST;
        if (key < range.y) {
            let base = ((batch * params.keys + key) * params.kv_heads + kv_head) * params.head_dim;
            var dot = 0.0;
            for (var d = 0u; d < params.head_dim; d++) {
                dot += query[d] * k[base + d];
            }
            score = dot;
        }
        let new_largest = max(largest, workgroup_max(thread, score));
        let rescale = exp(largest - new_largest);
        let weight = select(0.0, exp(score - new_largest), key < range.y);
        weights[thread] = weight;
        total = total * rescale + workgroup_sum(thread, weight);
        largest = new_largest;

        let tile = min(WORKGROUP, range.y - first);
        for (var part = 0u; part < 4u; part++) {
            let d = thread + part * WORKGROUP;
            if (d < params.head_dim) {
                var sum = sums[part] * rescale;
                for (var j = 0u; j < tile; j++) {
                    let base = ((batch * params.keys + first + j) * params.kv_heads + kv_head) * params.head_dim;
                    sum += weights[j] * v[base + d];
                }
                sums[part] = sum;
            }
        }
        // `weights` is written again in the next round.
        workgroupBarrier();
    }

    for (var part = 0u; part < 4u; part++) {
        let d = thread + part * WORKGROUP;
        if (d < params.head_dim) {
            y[row * params.head_dim + d] = select(0.0, sums[part] / total, total > 0.0);
        }
    }
}
