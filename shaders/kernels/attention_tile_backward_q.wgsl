#variants CAUSAL|PACKED WIDE
// dq = scale sum_s ds_s k_s, ds_s = p_s (<dy, v_s> - delta), p_s = exp(scale <q, k_s> - lse): the queries' gradient of
// attention for many queries, and lse for attention_tile_backward_kv. As attention_backward_q, but a tile of queries by a
// tile of keys at a time, and lse is found on the way: with an online softmax ds and its sum are exact up to a factor.
// B batch, T queries, S keys, H query heads, G key/value heads, Dh head width. A row is a query of one head of the group
// that shares a key head. One workgroup owns ROWS rows of one (batch, key head) and COLUMNS of Dh; thread (ty, tx) of
// QY x QX scores 4 rows, QY apart, by 8 keys, QX apart, then owns those rows by 16 columns of dq. Vectors of 4 go along Dh,
// which must divide by 4. WIDE is for Dh over 64. Columns from COLUMNS on are another workgroup's, which scores anew; the
// first columns' writes lse.
// Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4; online softmax of Milakov and Gimelshein 2018, arXiv 1805.02867.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<vec4<f32>>; // [B, T, H, Dh / 4]
@group(0) @binding(1) var<storage, read_write> k: array<vec4<f32>>; // [B, S, G, Dh / 4]
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>; // [B, S, G, Dh / 4]
@group(0) @binding(3) var<storage, read_write> dy: array<vec4<f32>>; // [B, T, H, Dh / 4]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [B, T, H, 2]: lse (written), delta (read)
@group(0) @binding(5) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]
@group(0) @binding(6) var<storage, read_write> dq: array<vec4<f32>>; // [B, T, H, Dh / 4]
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
    head_dim: u32, // Dh
    scale: f32,
}

#ifdef WIDE
const QX = 8u;
#else
const QX = 4u;
#endif
const WORKGROUP = 64u;
const QY = WORKGROUP / QX;
const ROWS = 4u * QY;
const KEYS = 8u * QX;
const COLUMNS = 16u * QX;
const STEP = 2u; // vectors of Dh at a time, in q k^T and dy v^T
const K_KEYS = 8u; // keys at a time, in ds k

var<workgroup> lines: array<u32, ROWS>; // of q, for each row of the tile
var<workgroup> query_tile: array<vec4<f32>, 2u * STEP * ROWS>; // q, dy: [2, STEP, ROWS]; then [QY, QX]
var<workgroup> key_tile: array<vec4<f32>, 2u * STEP * KEYS>; // k, v: [2, STEP, KEYS]; then k: [K_KEYS, COLUMNS / 4]
var<workgroup> dscores: array<vec4<f32>, KEYS * QY>; // [KEYS, QY], four rows each

#import attention_range
#import attention_tile
#import attention_softmax

// `d` counts vectors.
fn q_or_zero(row: u32, d: u32) -> vec4<f32> {
    let line = lines[row];
    if (line != NONE && d < head_vectors()) {
        return q[line * head_vectors() + d] * params.scale;
    }
    return vec4<f32>();
}

fn dy_or_zero(row: u32, d: u32) -> vec4<f32> {
    let line = lines[row];
    if (line != NONE && d < head_vectors()) {
        return dy[line * head_vectors() + d];
    }
    return vec4<f32>();
}

// `key` counts from the batch row's first, `end` is one past the last that the tile sees.
fn k_or_zero(head: u32, key: u32, end: u32, d: u32) -> vec4<f32> {
    if (key < end && d < head_vectors()) {
        return k[(head + key * params.kv_heads) * head_vectors() + d];
    }
    return vec4<f32>();
}

fn v_or_zero(head: u32, key: u32, end: u32, d: u32) -> vec4<f32> {
    if (key < end && d < head_vectors()) {
        return v[(head + key * params.kv_heads) * head_vectors() + d];
    }
    return vec4<f32>();
}

fn key_products(a: mat4x4<f32>, at: u32) -> mat4x4<f32> {
    return products(a, key_tile[at], key_tile[at + QX], key_tile[at + 2u * QX], key_tile[at + 3u * QX]);
}

fn delta_or_zero(row: u32) -> f32 {
    let line = lines[row];
    if (line != NONE) {
        return stats[2u * line + 1u];
    }
    return 0.0;
}

fn store(row: u32, d: u32, values: vec4<f32>) {
    let line = lines[row];
    if (line != NONE && d < head_vectors()) {
        dq[line * head_vectors() + d] = values;
    }
}

fn query_lines(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(query_tile[at], query_tile[at + QY], query_tile[at + 2u * QY], query_tile[at + 3u * QY]);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rows = params.queries * group_size();
    let tiles = (rows + ROWS - 1u) / ROWS;
    let parts = (params.head_dim + COLUMNS - 1u) / COLUMNS;
    let index = workgroup_index(workgroup, count); // (batch, key head, part, tile)
    // Uniform: depends on the workgroup alone.
    if (index >= params.batch * params.kv_heads * parts * tiles) {
        return;
    }
    let row0 = (index % tiles) * ROWS;
    let column0 = ((index / tiles) % parts) * (COLUMNS / 4u);
    let kv_head = (index / (tiles * parts)) % params.kv_heads;
    let batch = index / (tiles * parts * params.kv_heads);
    let tx = thread % QX;
    let ty = thread / QX;
    if (thread < ROWS) {
        lines[thread] = query_line(batch, kv_head, row0 + thread);
    }
    // Its barrier also publishes `lines`.
    let range = visible_keys(thread, batch, row0 / group_size(), (min(row0 + ROWS, rows) - 1u) / group_size());
    let sight = row_sight(batch, row0 + ty, QY);
    let head = batch * params.keys * params.kv_heads + kv_head;
    let delta = vec4<f32>(
        delta_or_zero(ty), delta_or_zero(ty + QY), delta_or_zero(ty + 2u * QY), delta_or_zero(ty + 3u * QY));

    var largest = vec4<f32>(FLOOR);
    var total = vec4<f32>();
    var dq0 = mat4x4<f32>();
    var dq1 = mat4x4<f32>();
    var dq2 = mat4x4<f32>();
    var dq3 = mat4x4<f32>();
    // All loops with barriers have uniform bounds: the range comes through workgroupUniformLoad, the rest are parameters.
    for (var first = range.x; first < range.y; first += KEYS) {
        var s0 = mat4x4<f32>();
        var s1 = mat4x4<f32>();
        var dp0 = mat4x4<f32>();
        var dp1 = mat4x4<f32>();
        for (var d0 = 0u; d0 < head_vectors(); d0 += STEP) {
            // Neighbouring threads read neighbouring d.
            for (var slot = thread; slot < STEP * ROWS; slot += WORKGROUP) {
                let at = (slot % STEP) * ROWS + slot / STEP;
                query_tile[at] = q_or_zero(slot / STEP, d0 + slot % STEP);
                query_tile[STEP * ROWS + at] = dy_or_zero(slot / STEP, d0 + slot % STEP);
            }
            for (var slot = thread; slot < STEP * KEYS; slot += WORKGROUP) {
                let at = (slot % STEP) * KEYS + slot / STEP;
                key_tile[at] = k_or_zero(head, first + slot / STEP, range.y, d0 + slot % STEP);
                key_tile[STEP * KEYS + at] = v_or_zero(head, first + slot / STEP, range.y, d0 + slot % STEP);
            }
            workgroupBarrier();
            for (var step = 0u; step < STEP; step++) {
                let from_q = query_lines(step * ROWS + ty);
                let from_dy = query_lines((STEP + step) * ROWS + ty);
                let at = step * KEYS + tx;
                s0 += key_products(from_q, at);
                s1 += key_products(from_q, at + 4u * QX);
                dp0 += key_products(from_dy, at + STEP * KEYS);
                dp1 += key_products(from_dy, at + STEP * KEYS + 4u * QX);
            }
            workgroupBarrier();
        }
        s0 = hide(s0, first + tx, QX, sight);
        s1 = hide(s1, first + 4u * QX + tx, QX, sight);
        query_tile[thread] = max(largest_of(s0), largest_of(s1));
        workgroupBarrier();
        var new_largest = largest;
        for (var i = 0u; i < QX; i++) {
            new_largest = max(new_largest, query_tile[ty * QX + i]);
        }
        let rescale = exp(largest - new_largest);
        largest = new_largest;
        let p0 = exp_columns(s0, largest);
        let p1 = exp_columns(s1, largest);
        total = total * rescale + sum_of(p0) + sum_of(p1);
        dq0 = scale_columns(dq0, rescale);
        dq1 = scale_columns(dq1, rescale);
        dq2 = scale_columns(dq2, rescale);
        dq3 = scale_columns(dq3, rescale);
        for (var j = 0u; j < 4u; j++) {
            dscores[(tx + j * QX) * QY + ty] = p0[j] * (dp0[j] - delta);
            dscores[(tx + (4u + j) * QX) * QY + ty] = p1[j] * (dp1[j] - delta);
        }
        for (var part = 0u; part < KEYS; part += K_KEYS) {
            for (var slot = thread; slot < K_KEYS * 4u * QX; slot += WORKGROUP) {
                let key = first + part + slot / (4u * QX);
                key_tile[slot] = k_or_zero(head, key, range.y, column0 + slot % (4u * QX));
            }
            workgroupBarrier();
            for (var j = 0u; j < K_KEYS; j++) {
                let dscore = dscores[(part + j) * QY + ty];
                let at = j * 4u * QX + tx;
                dq0 += outer(key_tile[at], dscore);
                dq1 += outer(key_tile[at + QX], dscore);
                dq2 += outer(key_tile[at + 2u * QX], dscore);
                dq3 += outer(key_tile[at + 3u * QX], dscore);
            }
            workgroupBarrier();
        }
    }

    query_tile[thread] = total;
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var i = 0u; i < QX; i++) {
        sum += query_tile[ty * QX + i];
    }
    let sees = sum > vec4<f32>();
    let scale = select(vec4<f32>(), params.scale / sum, sees);
    // A row that sees no key gets a denominator beyond all scores.
    let lse = select(vec4<f32>(-LOWEST), largest + log(sum), sees);
    for (var i = 0u; i < 4u; i++) {
        let row = ty + i * QY;
        let d = column0 + tx;
        store(row, d, dq0[i] * scale[i]);
        store(row, d + QX, dq1[i] * scale[i]);
        store(row, d + 2u * QX, dq2[i] * scale[i]);
        store(row, d + 3u * QX, dq3[i] * scale[i]);
        let line = lines[row];
        if (d == 0u && line != NONE) {
            stats[2u * line] = lse[i];
        }
    }
}
