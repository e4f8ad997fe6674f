// One token's attention over the static cache, which it is appended to, for devices where threads that meet cost more than
// they save: what `decode_attend.wgsl` computes, by one thread per (head, split) without workgroup memory. H query heads,
// G key/value heads, Dh head width (a multiple of 4), C context, R rank (a multiple of 4), S splits of equal parts of the
// keys, K = ceil(C / S / 4) quads of keys at most in one.
// Queries and the new key are rotated into scratch memory of the thread's own, which the scores of its keys follow. Of the
// query heads that share a key/value head the first writes the cache; each takes the new key and value from its own copy.
// Source: Dao et al. 2023, "Flash-Decoding"; Su et al. 2021, arXiv 2104.09864.
#import grid

@group(0) @binding(0) var<storage, read_write> qkv: array<vec4<f32>>; // [(H + 2 G) Dh], then [3 R]
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>; // [(H + 2 G) Dh, R], times the adapters' scales
@group(0) @binding(2) var<storage, read_write> keys: array<vec4<f32>>; // [C, G, Dh]
@group(0) @binding(3) var<storage, read_write> values: array<vec4<f32>>; // [C, G, Dh]
@group(0) @binding(4) var<storage, read_write> table: array<f32>; // [C, Dh]: Dh / 2 cosines, then Dh / 2 sines
@group(0) @binding(5) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(6) var<storage, read_write> partial: array<f32>; // [H, S, Dh], then [H, S] logarithms of sums
@group(0) @binding(7) var<storage, read_write> scratch: array<vec4<f32>>; // [H, S, Dh / 4 + K], then [H, 2, Dh / 4]
@group(0) @binding(8) var<uniform> params: Params;

struct Params {
    heads: u32, // H
    kv_heads: u32, // G
    head_dim: u32, // Dh
    context: u32, // C
    rank: u32, // R
    splits: u32, // S
    scale: f32,
}

// Few: there are not many splits, and each is to be somebody's.
const WORKGROUP = 8u;
const LOWEST = -3.4e38;

#import bounded

// Output `row` of the projection with its adapter, which is number `part` of q, k, v.
fn project(row: u32, part: u32) -> f32 {
    let quads = bounded(params.rank / 4u, arrayLength(&b));
    let h = (params.heads + 2u * params.kv_heads) * (params.head_dim / 4u) + part * quads;
    var sum = vec4<f32>();
    for (var j = 0u; j < quads; j++) {
        sum += b[row * quads + j] * qkv[h + j];
    }
    return qkv[row / 4u][row % 4u] + dot(sum, vec4<f32>(1.0));
}

// A head of the projection from `row` on, rotated to position `at`, into the scratch memory from quad `to` on.
fn rotate_into(to: u32, row: u32, part: u32, at: u32) {
    let half = bounded(params.head_dim / 2u, arrayLength(&table));
    for (var i = 0u; i < half; i++) {
        let low = project(row + i, part);
        let high = project(row + half + i, part);
        let cosine = table[at * params.head_dim + i];
        let sine = table[at * params.head_dim + half + i];
        scratch[to + i / 4u][i % 4u] = low * cosine - high * sine;
        scratch[to + (half + i) / 4u][(half + i) % 4u] = high * cosine + low * sine;
    }
}

fn put(at: u32, y: vec4<f32>) {
    partial[at] = y.x;
    partial[at + 1u] = y.y;
    partial[at + 2u] = y.z;
    partial[at + 3u] = y.w;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = WORKGROUP * workgroup_index(workgroup, count) + thread;
    if (index >= params.heads * params.splits) {
        return;
    }
    let head = index / params.splits;
    let split = index % params.splits;
    let sharing = params.heads / params.kv_heads;
    let kv_head = head / sharing;
    let quads = bounded(params.head_dim / 4u, arrayLength(&keys));
    let split_quads = ((params.context + params.splits - 1u) / params.splits + 3u) / 4u;
    let fourth = vec4<u32>(0u, 1u, 2u, 3u);

    let new_at = u32(max(position[0], 0));
    let total_keys = min(new_at + 1u, params.context);
    let share = (total_keys + params.splits - 1u) / params.splits;
    let first = min(split * share, total_keys);
    let last = min(first + share, total_keys);
    // A step launched beyond the context neither writes nor reads its own key, which is the last of all.
    let has_new = first <= new_at && new_at < last;
    let end = min(last, new_at);
    let table_at = min(new_at, params.context - 1u);

    let query = index * (quads + split_quads);
    let scores = query + quads;
    let new_key = params.heads * params.splits * (quads + split_quads) + head * 2u * quads;
    let new_value = new_key + quads;
    rotate_into(query, head * params.head_dim, 0u, table_at);

    var top = LOWEST;
    var new_score = LOWEST;
    if (has_new) {
        let key_row = (params.heads + kv_head) * params.head_dim;
        let value_row = key_row + params.kv_heads * params.head_dim;
        rotate_into(new_key, key_row, 1u, table_at);
        let cached = (new_at * params.kv_heads + kv_head) * quads;
        var sum = vec4<f32>();
        for (var quad = 0u; quad < quads; quad++) {
            let row = value_row + 4u * quad;
            let value = vec4<f32>(project(row, 2u), project(row + 1u, 2u), project(row + 2u, 2u), project(row + 3u, 2u));
            let key = scratch[new_key + quad];
            scratch[new_value + quad] = value;
            if (head % sharing == 0u) {
                keys[cached + quad] = key;
                values[cached + quad] = value;
            }
            sum += scratch[query + quad] * key;
        }
        new_score = params.scale * dot(sum, vec4<f32>(1.0));
        top = new_score;
    }

    // Four keys at once: beyond the split its last key stands again, without weight.
    let groups = (max(end, first) - first + 3u) / 4u;
    for (var group = 0u; group < groups; group++) {
        let key = first + 4u * group + fourth;
        let begins = (min(key, vec4<u32>(end - 1u)) * params.kv_heads + kv_head) * quads;
        var sum_0 = vec4<f32>();
        var sum_1 = vec4<f32>();
        var sum_2 = vec4<f32>();
        var sum_3 = vec4<f32>();
        for (var quad = 0u; quad < quads; quad++) {
            let q = scratch[query + quad];
            sum_0 += q * keys[begins.x + quad];
            sum_1 += q * keys[begins.y + quad];
            sum_2 += q * keys[begins.z + quad];
            sum_3 += q * keys[begins.w + quad];
        }
        let one = vec4<f32>(1.0);
        let all = params.scale * vec4<f32>(dot(sum_0, one), dot(sum_1, one), dot(sum_2, one), dot(sum_3, one));
        let score = select(vec4<f32>(LOWEST), all, key < vec4<u32>(end));
        scratch[scores + group] = score;
        top = max(top, max(max(score.x, score.y), max(score.z, score.w)));
    }
    var total = 0.0;
    for (var group = 0u; group < groups; group++) {
        let weight = exp(scratch[scores + group] - top);
        scratch[scores + group] = weight;
        total += dot(weight, vec4<f32>(1.0));
    }
    let new_weight = select(0.0, exp(new_score - top), has_new);
    total += new_weight;

    // Four quads of the values at once: beyond the head its last quad stands again.
    for (var quad = 0u; quad < quads; quad += 4u) {
        let taken = min(quad + fourth, vec4<u32>(quads - 1u));
        var y_0 = vec4<f32>();
        var y_1 = vec4<f32>();
        var y_2 = vec4<f32>();
        var y_3 = vec4<f32>();
        for (var group = 0u; group < groups; group++) {
            var weight = scratch[scores + group];
            for (var i = 0u; i < 4u; i++) {
                let key = min(first + 4u * group + i, end - 1u);
                let begins = (key * params.kv_heads + kv_head) * quads + taken;
                y_0 += weight.x * values[begins.x];
                y_1 += weight.x * values[begins.y];
                y_2 += weight.x * values[begins.z];
                y_3 += weight.x * values[begins.w];
                weight = weight.yzwx;
            }
        }
        if (has_new) {
            y_0 += new_weight * scratch[new_value + taken.x];
            y_1 += new_weight * scratch[new_value + taken.y];
            y_2 += new_weight * scratch[new_value + taken.z];
            y_3 += new_weight * scratch[new_value + taken.w];
        }
        // A split without keys counts for nothing.
        let inverse = select(0.0, 1.0 / total, total > 0.0);
        let to = index * params.head_dim + 4u * taken;
        put(to.x, inverse * y_0);
        put(to.y, inverse * y_1);
        put(to.z, inverse * y_2);
        put(to.w, inverse * y_3);
    }
    let sums = params.heads * params.splits * params.head_dim;
    partial[sums + index] = select(LOWEST, top + log(total), total > 0.0);
}
