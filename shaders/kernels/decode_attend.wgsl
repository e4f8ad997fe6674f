// One token's attention over the static cache, which it is appended to. Queries, keys and values come as W x and A x: the
// wide half of their adapters is added here, queries and the new key are rotated, and key and value are written into the
// cache. H query heads, G key/value heads, Dh head width (a multiple of 4, at most 256), C context, R rank, S splits.
// One workgroup per (head, split): a split is an equal part of the keys, with a softmax of its own; `decode_combine.wgsl`
// joins the splits by their logarithmic sums. The workgroup whose split the new key falls into uses its own copy of it:
// others may still be writing the cache.
// 256 threads take 64 keys at a time, four a key, and then as many keys at once as they are times wider than a head: reads
// are written out one by one, and without branches, so that none waits for another.
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

const WORKGROUP = 256u;
const MAX_HEAD_DIM = 256u;
const LOWEST = -3.4e38;

var<workgroup> projected: array<f32, 3u * MAX_HEAD_DIM>; // query, key, value
var<workgroup> query: array<vec4<f32>, 64>;
var<workgroup> new_key: array<vec4<f32>, 64>;
var<workgroup> parts: array<vec4<f32>, WORKGROUP>;

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

// Element d of a head that begins at `head` in `projected`, rotated to the token's position.
fn rotated(head: u32, d: u32, at: u32) -> f32 {
    let half = params.head_dim / 2u;
    let i = d % half;
    let cosine = table[at * params.head_dim + i];
    let sine = table[at * params.head_dim + half + i];
    let other = projected[head + select(d - half, d + half, d < half)];
    return projected[head + d] * cosine + select(other, -other, d < half) * sine;
}

fn rotated_quad(head: u32, quad: u32, at: u32) -> vec4<f32> {
    let d = 4u * quad;
    return vec4<f32>(rotated(head, d, at), rotated(head, d + 1u, at), rotated(head, d + 2u, at), rotated(head, d + 3u, at));
}

fn new_value(quad: u32) -> vec4<f32> {
    let d = 2u * MAX_HEAD_DIM + 4u * quad;
    return vec4<f32>(projected[d], projected[d + 1u], projected[d + 2u], projected[d + 3u]);
}

// Keys that are taken together, and threads that share one.
const KEYS = 64u;
const LANES = 4u;

var<workgroup> products: array<vec4<f32>, KEYS>; // [KEYS, LANES]
var<workgroup> scores: array<vec4<f32>, KEYS / 4u>;
var<workgroup> sums: array<f32, WORKGROUP>;

// Every `LANES`-th quad of the query from `quad` on, four of them, against those of a key in the cache at `base`. What others
// may be writing is read and thrown away.
fn four_products(base: u32, quad: u32, quads: u32, is_new: bool) -> f32 {
    let at = vec4<u32>(quad) + LANES * vec4<u32>(0u, 1u, 2u, 3u);
    // Beyond the head the last quad stands again, without weight.
    let index = min(at, vec4<u32>(quads - 1u));
    let cached = vec4<f32>(
        dot(query[index.x], keys[base + index.x]),
        dot(query[index.y], keys[base + index.y]),
        dot(query[index.z], keys[base + index.z]),
        dot(query[index.w], keys[base + index.w]),
    );
    let appended = vec4<f32>(
        dot(query[index.x], new_key[index.x]),
        dot(query[index.y], new_key[index.y]),
        dot(query[index.z], new_key[index.z]),
        dot(query[index.w], new_key[index.w]),
    );
    let all = select(vec4<f32>(), select(cached, appended, is_new), at == index);
    return dot(all, vec4<f32>(1.0));
}

@compute @workgroup_size(WORKGROUP)
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
    let new_at = u32(max(position[0], 0));
    let total_keys = min(new_at + 1u, params.context);
    let share = (total_keys + params.splits - 1u) / params.splits;
    let first = min(split * share, total_keys);
    let last = min(first + share, total_keys);
    // A step launched beyond the context neither writes nor reads its own key.
    let has_new = first <= new_at && new_at < last;
    let table_at = min(new_at, params.context - 1u);

    for (var i = thread; i < 3u * params.head_dim; i += WORKGROUP) {
        let part = i / params.head_dim;
        let d = i % params.head_dim;
        let of_part = select(params.heads + (part - 1u) * params.kv_heads + kv_head, head, part == 0u);
        projected[part * MAX_HEAD_DIM + d] = project(of_part * params.head_dim + d, part);
    }
    workgroupBarrier();
    if (thread < quads) {
        query[thread] = params.scale * rotated_quad(0u, thread, table_at);
        let key = rotated_quad(MAX_HEAD_DIM, thread, table_at);
        new_key[thread] = key;
        if (has_new && head % (params.heads / params.kv_heads) == 0u) {
            let cached = (new_at * params.kv_heads + kv_head) * quads + thread;
            keys[cached] = key;
            values[cached] = new_value(thread);
        }
    }
    workgroupBarrier();

    // A thread owns four columns and every stride-th key.
    let stride = WORKGROUP / quads;
    let quad = thread % quads;
    var y = vec4<f32>();
    var top = LOWEST;
    var sum = 0.0;
    let fourth = vec4<u32>(0u, 1u, 2u, 3u);
    // As many rounds in every workgroup: barriers want uniform bounds, and the position is none.
    let most_keys = (params.context + params.splits - 1u) / params.splits;
    let rounds = bounded((most_keys + KEYS - 1u) / KEYS, arrayLength(&keys));
    for (var round = 0u; round < rounds; round++) {
        let key_0 = first + round * KEYS;
        let end = max(last, 1u) - 1u;
        // Beyond the split its last key stands again, without weight.
        let key = min(key_0 + thread / LANES, end);
        let base = (key * params.kv_heads + kv_head) * quads;
        var product = 0.0;
        for (var at = thread % LANES; at < quads; at += 4u * LANES) {
            product += four_products(base, at, quads, key == new_at);
        }
        products[thread / LANES][thread % LANES] = product;
        workgroupBarrier();
        if (thread < KEYS / 4u) {
            let at = 4u * thread;
            let all = vec4<f32>(
                dot(products[at], vec4<f32>(1.0)),
                dot(products[at + 1u], vec4<f32>(1.0)),
                dot(products[at + 2u], vec4<f32>(1.0)),
                dot(products[at + 3u], vec4<f32>(1.0)),
            );
            scores[thread] = select(vec4<f32>(LOWEST), all, key_0 + at + fourth < vec4<u32>(last));
        }
        workgroupBarrier();
        var most = scores[0];
        for (var i = 1u; i < KEYS / 4u; i++) {
            most = max(most, scores[i]);
        }
        let new_top = max(top, max(max(most.x, most.y), max(most.z, most.w)));
        let kept = exp(top - new_top);
        top = new_top;
        y *= kept;
        sum *= kept;
        for (var i = thread / quads; i < select(0u, KEYS, thread < stride * quads); i += 4u * stride) {
            let at = vec4<u32>(i) + stride * fourth;
            let taken = min(at, vec4<u32>(KEYS - 1u));
            let of_key = min(key_0 + taken, vec4<u32>(end));
            let begins = (of_key * params.kv_heads + kv_head) * quads + quad;
            let value_0 = values[begins.x];
            let value_1 = values[begins.y];
            let value_2 = values[begins.z];
            let value_3 = values[begins.w];
            let score = vec4<f32>(
                scores[taken.x / 4u][taken.x % 4u],
                scores[taken.y / 4u][taken.y % 4u],
                scores[taken.z / 4u][taken.z % 4u],
                scores[taken.w / 4u][taken.w % 4u],
            );
            let w = select(vec4<f32>(), exp(score - top), (at == taken) & (key_0 + at < vec4<u32>(last)));
            let own = new_value(quad);
            let is_new = of_key == vec4<u32>(new_at);
            y += w.x * select(value_0, own, is_new.x) + w.y * select(value_1, own, is_new.y)
                + w.z * select(value_2, own, is_new.z) + w.w * select(value_3, own, is_new.w);
            sum += dot(w, vec4<f32>(1.0));
        }
        // The next round writes what this one reads.
        workgroupBarrier();
    }
    parts[thread] = y;
    sums[thread] = sum;
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < stride; i++) {
        total += sums[i * quads];
    }
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
        let all = params.heads * params.splits * params.head_dim;
        partial[all + index] = select(LOWEST, top + log(total), total > 0.0);
    }
}
