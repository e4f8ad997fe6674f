#variants WHOLE_KEYS
// One token's attention over the static cache, which it is appended to. Queries, keys and values come as W x and A x: the
// wide half of their adapters is added here, queries and the new key are rotated, and key and value are written into the
// cache. H query heads, G key/value heads, Dh head width (a multiple of 4, at most 256), C context, R rank, S splits.
// One workgroup per (head, split): a split is an equal part of the keys, at most 1024 of them, with a softmax of its own;
// `decode_combine.wgsl` joins the splits by their logarithmic sums. Eight threads share a key, so that neighbours read
// neighbours; with WHOLE_KEYS one takes it by itself. The workgroup whose split the new key falls into uses its own copy
// of it: others may still be writing the cache.
// Source: Dao et al. 2023, "Flash-Decoding"; Su et al. 2021, arXiv 2104.09864.
#import grid

@group(0) @binding(0) var<storage, read_write> qkv: array<f32>; // [(H + 2 G) Dh], then [3 R]
@group(0) @binding(1) var<storage, read_write> b: array<f32>; // [(H + 2 G) Dh, R], times the adapters' scales
@group(0) @binding(2) var<storage, read_write> keys: array<vec4<f32>>; // [C, G, Dh]
@group(0) @binding(3) var<storage, read_write> values: array<vec4<f32>>; // [C, G, Dh]
@group(0) @binding(4) var<storage, read_write> table: array<f32>; // [C, Dh]: Dh / 2 cosines, then Dh / 2 sines
@group(0) @binding(5) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(6) var<storage, read_write> partial: array<f32>; // [H, S, Dh], then [H, S] logarithms of sums
@group(0) @binding(7) var<uniform> params: Params;

struct Params {
    heads: u32, // H
    kv_heads: u32, // G
    head_dim: u32, // Dh
    context: u32, // C
    rank: u32, // R
    splits: u32, // S
    scale: f32,
}

const WORKGROUP = 64u;
const MAX_HEAD_DIM = 256u;
const MAX_SPLIT = 1024u;
const LOWEST = -3.4e38;

var<workgroup> at_position: u32;
var<workgroup> projected: array<f32, MAX_HEAD_DIM>;
var<workgroup> query: array<vec4<f32>, 64>;
var<workgroup> new_key: array<vec4<f32>, 64>;
var<workgroup> new_value: array<vec4<f32>, 64>;
var<workgroup> weights: array<f32, MAX_SPLIT>;
var<workgroup> parts: array<vec4<f32>, WORKGROUP>;
#ifdef WHOLE_KEYS
#else
// Threads that share a key, and the shares of as many keys as there are threads.
const LANES = 8u;
var<workgroup> products: array<f32, 512>; // [WORKGROUP, LANES]
#endif

#import total
#import bounded

// Output `row` of the projection with its adapter, which is number `part` of q, k, v.
fn project(row: u32, part: u32) -> f32 {
    let h = (params.heads + 2u * params.kv_heads) * params.head_dim + part * params.rank;
    var sum = qkv[row];
    for (var j = 0u; j < bounded(params.rank, arrayLength(&b)); j++) {
        sum += b[row * params.rank + j] * qkv[h + j];
    }
    return sum;
}

// Puts a head's projection into `projected`. Ends with a barrier.
fn load_head(thread: u32, row: u32, part: u32) {
    // Whoever still reads the head before.
    workgroupBarrier();
    for (var d = thread; d < params.head_dim; d += WORKGROUP) {
        projected[d] = project(row + d, part);
    }
    workgroupBarrier();
}

// Element d of the head in `projected`, rotated to the token's position.
fn rotated(d: u32, at: u32) -> f32 {
    let half = params.head_dim / 2u;
    let i = d % half;
    let cosine = table[at * params.head_dim + i];
    let sine = table[at * params.head_dim + half + i];
    if (d < half) {
        return projected[d] * cosine - projected[d + half] * sine;
    }
    return projected[d] * cosine + projected[d - half] * sine;
}

fn rotated_quad(quad: u32, at: u32) -> vec4<f32> {
    let d = 4u * quad;
    return vec4<f32>(rotated(d, at), rotated(d + 1u, at), rotated(d + 2u, at), rotated(d + 3u, at));
}

// The query against every lanes-th four of a key, from `lane` on.
fn product(lane: u32, lanes: u32, key: u32, kv_head: u32, quads: u32, new_at: u32) -> f32 {
    var sum = vec4<f32>();
    if (key == new_at) {
        for (var quad = lane; quad < quads; quad += lanes) {
            sum += query[quad] * new_key[quad];
        }
    } else {
        let base = (key * params.kv_heads + kv_head) * quads;
        for (var quad = lane; quad < quads; quad += lanes) {
            sum += query[quad] * keys[base + quad];
        }
    }
    return dot(sum, vec4<f32>(1.0));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (index >= params.heads * params.splits) {
        return;
    }
    let head = index / params.splits;
    let split = index % params.splits;
    let kv_head = head / (params.heads / params.kv_heads);
    let quads = bounded(params.head_dim / 4u, arrayLength(&keys));
    if (thread == 0u) {
        at_position = u32(max(position[0], 0));
    }
    // Every thread goes on with the same position, so that loop bounds and branches below are uniform.
    let new_at = workgroupUniformLoad(&at_position);
    let total_keys = min(new_at + 1u, params.context);
    let share = (total_keys + params.splits - 1u) / params.splits;
    let first = min(split * share, total_keys);
    let last = min(first + share, total_keys);
    // A step launched beyond the context neither writes nor reads its own key.
    let has_new = first <= new_at && new_at < last;
    let table_at = min(new_at, params.context - 1u);

    load_head(thread, head * params.head_dim, 0u);
    if (thread < quads) {
        query[thread] = params.scale * rotated_quad(thread, table_at);
    }
    if (has_new) {
        let writes = head % (params.heads / params.kv_heads) == 0u;
        let cached = (new_at * params.kv_heads + kv_head) * quads;
        load_head(thread, (params.heads + kv_head) * params.head_dim, 1u);
        if (thread < quads) {
            let key = rotated_quad(thread, table_at);
            new_key[thread] = key;
            if (writes) {
                keys[cached + thread] = key;
            }
        }
        load_head(thread, (params.heads + params.kv_heads + kv_head) * params.head_dim, 2u);
        if (thread < quads) {
            let d = 4u * thread;
            let value = vec4<f32>(projected[d], projected[d + 1u], projected[d + 2u], projected[d + 3u]);
            new_value[thread] = value;
            if (writes) {
                values[cached + thread] = value;
            }
        }
    }
    workgroupBarrier();

    var largest = LOWEST;
#ifdef WHOLE_KEYS
    for (var key = first + thread; key < last; key += WORKGROUP) {
        let score = product(0u, 1u, key, kv_head, quads, new_at);
        weights[key - first] = score;
        largest = max(largest, score);
    }
#else
    for (var key_0 = first; key_0 < last; key_0 += WORKGROUP) {
        for (var i = 0u; i < LANES; i++) {
            let at = i * WORKGROUP + thread;
            // A key beyond the split repeats its last: its score is not used.
            products[at] = product(thread % LANES, LANES, min(key_0 + at / LANES, last - 1u), kv_head, quads, new_at);
        }
        workgroupBarrier();
        if (key_0 + thread < last) {
            var score = 0.0;
            for (var lane = 0u; lane < LANES; lane++) {
                score += products[LANES * thread + lane];
            }
            weights[key_0 - first + thread] = score;
            largest = max(largest, score);
        }
        workgroupBarrier();
    }
#endif
    let top = workgroup_largest(thread, largest);
    var sum = 0.0;
    for (var key = thread; key < last - first; key += WORKGROUP) {
        let weight = exp(weights[key] - top);
        weights[key] = weight;
        sum += weight;
    }
    // Its barriers also publish the weights.
    let total = workgroup_total(thread, vec4<f32>(sum)).x;

    // A thread owns four columns and every stride-th key.
    let stride = WORKGROUP / quads;
    let quad = thread % quads;
    var y = vec4<f32>();
    if (thread < stride * quads) {
        for (var key = thread / quads; key < last - first; key += stride) {
            if (first + key == new_at) {
                y += weights[key] * new_value[quad];
            } else {
                y += weights[key] * values[((first + key) * params.kv_heads + kv_head) * quads + quad];
            }
        }
    }
    parts[thread] = y;
    workgroupBarrier();
    if (thread < quads) {
        for (var i = 1u; i < stride; i++) {
            y += parts[thread + i * quads];
        }
        // A split without keys counts for nothing.
        y = select(vec4<f32>(), y / total, total > 0.0);
        for (var i = 0u; i < 4u; i++) {
            partial[index * params.head_dim + 4u * thread + i] = y[i];
        }
    }
    if (thread == 0u) {
        let sums = params.heads * params.splits * params.head_dim;
        partial[sums + index] = select(LOWEST, top + log(total), total > 0.0);
    }
}
