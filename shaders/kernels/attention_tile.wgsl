#variants CAUSAL|PACKED WIDE
// softmax(scale q k^T + mask) v for many queries: as attention, but a tile of queries by a tile of keys at a time.
// B batch, T queries, S keys (the static cache's length), H query heads, G key/value heads (H is a multiple of G),
// Dh head width. A row is a query of one head of the group that shares a key head.
// One workgroup owns ROWS rows of one (batch, key head) and COLUMNS of Dh; thread (ty, tx) of QY x QX scores 4 rows,
// QY apart, by 8 keys, QX apart, then owns those rows by 16 columns of y. Both products read their factors through
// workgroup memory, as vectors of 4 along Dh, which must divide by 4. A row's maximum is found anew by each of the QX
// threads that share it; each sums its own weights until the end.
// WIDE is for Dh over 64. Columns from COLUMNS on are another workgroup's, which scores anew.
// A query sees the keys of key_range[b]; with CAUSAL, query t stands at position[0] + t and sees only those up to itself;
// with PACKED (B is 1, S is T) query t sees the keys of key_range[t] up to itself.
// A query that sees no key yields zeros.
// Source: Dao et al. 2022, arXiv 2205.14135, and Dao 2023, arXiv 2307.08691.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<vec4<f32>>; // [B, T, H, Dh / 4]
@group(0) @binding(1) var<storage, read_write> k: array<vec4<f32>>; // [B, S, G, Dh / 4]
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>; // [B, S, G, Dh / 4]
@group(0) @binding(3) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]: first key, one past the last
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>; // [B, T, H, Dh / 4]
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
const STEP = 4u; // vectors of Dh at a time, in q k^T
const V_KEYS = 8u; // keys at a time, in p v

var<workgroup> lines: array<u32, ROWS>; // of q, for each row of the tile
var<workgroup> q_tile: array<vec4<f32>, STEP * ROWS>; // [STEP, ROWS]; then [QY, QX], maxima and sums of four rows
var<workgroup> kv_tile: array<vec4<f32>, 32u * QX>; // k: [STEP, KEYS]; v: [V_KEYS, COLUMNS / 4]
var<workgroup> weights: array<vec4<f32>, KEYS * QY>; // [KEYS, QY], four rows each

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

fn store(row: u32, d: u32, values: vec4<f32>) {
    let line = lines[row];
    if (line != NONE && d < head_vectors()) {
        y[line * head_vectors() + d] = values;
    }
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

    var largest = vec4<f32>(FLOOR);
    var total = vec4<f32>();
    var y0 = mat4x4<f32>();
    var y1 = mat4x4<f32>();
    var y2 = mat4x4<f32>();
    var y3 = mat4x4<f32>();
    // All loops with barriers have uniform bounds: the range comes through workgroupUniformLoad, the rest are parameters.
    for (var first = range.x; first < range.y; first += KEYS) {
        var s0 = mat4x4<f32>();
        var s1 = mat4x4<f32>();
        for (var d0 = 0u; d0 < head_vectors(); d0 += STEP) {
            // Neighbouring threads read neighbouring d.
            for (var slot = thread; slot < STEP * ROWS; slot += WORKGROUP) {
                q_tile[(slot % STEP) * ROWS + slot / STEP] = q_or_zero(slot / STEP, d0 + slot % STEP);
            }
            for (var slot = thread; slot < STEP * KEYS; slot += WORKGROUP) {
                kv_tile[(slot % STEP) * KEYS + slot / STEP] =
                    k_or_zero(head, first + slot / STEP, range.y, d0 + slot % STEP);
            }
            workgroupBarrier();
            for (var step = 0u; step < STEP; step++) {
                let at = step * ROWS + ty;
                let from_q = mat4x4<f32>(q_tile[at], q_tile[at + QY], q_tile[at + 2u * QY], q_tile[at + 3u * QY]);
                let key = step * KEYS + tx;
                s0 += products(
                    from_q, kv_tile[key], kv_tile[key + QX], kv_tile[key + 2u * QX], kv_tile[key + 3u * QX]);
                s1 += products(
                    from_q, kv_tile[key + 4u * QX], kv_tile[key + 5u * QX], kv_tile[key + 6u * QX],
                    kv_tile[key + 7u * QX]);
            }
            workgroupBarrier();
        }
        s0 = hide(s0, first + tx, QX, sight);
        s1 = hide(s1, first + 4u * QX + tx, QX, sight);
        q_tile[thread] = max(largest_of(s0), largest_of(s1));
        workgroupBarrier();
        var new_largest = largest;
        for (var i = 0u; i < QX; i++) {
            new_largest = max(new_largest, q_tile[ty * QX + i]);
        }
        let rescale = exp(largest - new_largest);
        largest = new_largest;
        let p0 = exp_columns(s0, largest);
        let p1 = exp_columns(s1, largest);
        total = total * rescale + sum_of(p0) + sum_of(p1);
        y0 = scale_columns(y0, rescale);
        y1 = scale_columns(y1, rescale);
        y2 = scale_columns(y2, rescale);
        y3 = scale_columns(y3, rescale);
        for (var j = 0u; j < 4u; j++) {
            weights[(tx + j * QX) * QY + ty] = p0[j];
            weights[(tx + (4u + j) * QX) * QY + ty] = p1[j];
        }
        for (var part = 0u; part < KEYS; part += V_KEYS) {
            for (var slot = thread; slot < V_KEYS * 4u * QX; slot += WORKGROUP) {
                let key = first + part + slot / (4u * QX);
                kv_tile[slot] = v_or_zero(head, key, range.y, column0 + slot % (4u * QX));
            }
            workgroupBarrier();
            for (var j = 0u; j < V_KEYS; j++) {
                let weight = weights[(part + j) * QY + ty];
                let at = j * 4u * QX + tx;
                y0 += outer(kv_tile[at], weight);
                y1 += outer(kv_tile[at + QX], weight);
                y2 += outer(kv_tile[at + 2u * QX], weight);
                y3 += outer(kv_tile[at + 3u * QX], weight);
            }
            workgroupBarrier();
        }
    }

    q_tile[thread] = total;
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var i = 0u; i < QX; i++) {
        sum += q_tile[ty * QX + i];
    }
    let inverse = select(vec4<f32>(), 1.0 / sum, sum > vec4<f32>());
    for (var i = 0u; i < 4u; i++) {
        let row = ty + i * QY;
        store(row, column0 + tx, y0[i] * inverse[i]);
        store(row, column0 + tx + QX, y1[i] * inverse[i]);
        store(row, column0 + tx + 2u * QX, y2[i] * inverse[i]);
        store(row, column0 + tx + 3u * QX, y3[i] * inverse[i]);
    }
}
