#variants CAUSAL|PACKED WIDE
// dk_s = scale sum_t ds_ts q_t and dv_s = sum_t p_ts dy_t over the queries t, of every head of the group, that see key s;
// p and ds as in attention_tile_backward_q, which makes `stats`. As attention_backward_kv, but a tile of keys by a tile of
// queries at a time.
// B batch, T queries, S keys, H query heads, G key/value heads, Dh head width. A row is a query of one head of the group
// that shares a key head. One workgroup owns KEYS keys of one (batch, key head) and COLUMNS of Dh; thread (ty, tx) of
// QY x QX scores 4 keys, QY apart, by 8 rows, QX apart, then owns those keys by 8 columns of both sums. Vectors of 4 go along
// Dh, which must divide by 4. WIDE is for Dh over 64. Columns from COLUMNS on are another workgroup's, which scores anew.
// The order of summation is fixed.
// Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4.
#import grid

@group(0) @binding(0) var<storage, read_write> q: array<vec4<f32>>; // [B, T, H, Dh / 4]
@group(0) @binding(1) var<storage, read_write> k: array<vec4<f32>>; // [B, S, G, Dh / 4]
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>; // [B, S, G, Dh / 4]
@group(0) @binding(3) var<storage, read_write> dy: array<vec4<f32>>; // [B, T, H, Dh / 4]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [B, T, H, 2]: lse, delta
@group(0) @binding(5) var<storage, read_write> key_range: array<i32>; // [B, 2], with PACKED [T, 2]
@group(0) @binding(6) var<storage, read_write> dkv: array<vec4<f32>>; // [2, B, S, G, Dh / 4]: dk, then dv
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
const QX = 16u;
const STEP = 1u; // vectors of Dh at a time, in k q^T and v dy^T
#else
const QX = 8u;
const STEP = 2u;
#endif
const WORKGROUP = 64u;
const QY = WORKGROUP / QX;
const KEYS = 4u * QY;
const ROWS = 8u * QX;
const COLUMNS = 8u * QX;
const PART = 8u * STEP; // rows at a time, in p^T dy and ds^T q

var<workgroup> lines: array<u32, ROWS>; // of q, for each row of the tile
var<workgroup> sight: array<vec2<u32>, ROWS>; // the keys first..last that a row sees
var<workgroup> lse: array<f32, ROWS>;
var<workgroup> delta: array<f32, ROWS>;
var<workgroup> key_tile: array<vec4<f32>, 2u * STEP * KEYS>; // k, v: [2, STEP, KEYS]
var<workgroup> query_tile: array<vec4<f32>, 2u * STEP * ROWS>; // q, dy: [2, STEP, ROWS]; then one: [PART, COLUMNS / 4]
var<workgroup> weights: array<vec4<f32>, ROWS * QY>; // [ROWS, QY], four keys each: p, then ds

#import attention_range
#import attention_tile

// `d` counts vectors.
fn q_or_zero(row: u32, d: u32) -> vec4<f32> {
    let line = lines[row];
    if (line != NONE && d < head_vectors()) {
        return q[line * head_vectors() + d];
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

fn k_or_zero(head: u32, key: u32, d: u32) -> vec4<f32> {
    if (key < params.keys && d < head_vectors()) {
        return k[(head + key * params.kv_heads) * head_vectors() + d] * params.scale;
    }
    return vec4<f32>();
}

fn v_or_zero(head: u32, key: u32, d: u32) -> vec4<f32> {
    if (key < params.keys && d < head_vectors()) {
        return v[(head + key * params.kv_heads) * head_vectors() + d];
    }
    return vec4<f32>();
}

fn key_lines(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(key_tile[at], key_tile[at + QY], key_tile[at + 2u * QY], key_tile[at + 3u * QY]);
}

fn query_products(a: mat4x4<f32>, at: u32) -> mat4x4<f32> {
    return products(a, query_tile[at], query_tile[at + QX], query_tile[at + 2u * QX], query_tile[at + 3u * QX]);
}

// What four keys, QY apart, weigh for row `row` of the tile: 0 where it sees them not.
fn probability(s: vec4<f32>, key: u32, row: u32) -> vec4<f32> {
    let keys = vec4<u32>(key, key + QY, key + 2u * QY, key + 3u * QY);
    let sees = (keys >= vec4<u32>(sight[row].x)) & (keys < vec4<u32>(sight[row].y));
    return select(vec4<f32>(), exp(s - lse[row]), sees);
}

// The same for four rows, QX apart.
fn probabilities(s: mat4x4<f32>, key: u32, row: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        probability(s[0], key, row),
        probability(s[1], key, row + QX),
        probability(s[2], key, row + 2u * QX),
        probability(s[3], key, row + 3u * QX),
    );
}

fn store(line: u32, d: u32, values: vec4<f32>) {
    if (d < head_vectors()) {
        dkv[line * head_vectors() + d] = values;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles = (params.keys + KEYS - 1u) / KEYS;
    let parts = (params.head_dim + COLUMNS - 1u) / COLUMNS;
    let index = workgroup_index(workgroup, count); // (batch, key head, part, tile)
    // Uniform: depends on the workgroup alone.
    if (index >= params.batch * params.kv_heads * parts * tiles) {
        return;
    }
    let key0 = (index % tiles) * KEYS;
    let column0 = ((index / tiles) % parts) * (COLUMNS / 4u);
    let kv_head = (index / (tiles * parts)) % params.kv_heads;
    let batch = index / (tiles * parts * params.kv_heads);
    let tx = thread % QX;
    let ty = thread / QX;
    let head = batch * params.keys * params.kv_heads + kv_head;
    let queries = seeing_queries(thread, batch, key0, key0 + KEYS);

    var dk0 = mat4x4<f32>();
    var dk1 = mat4x4<f32>();
    var dv0 = mat4x4<f32>();
    var dv1 = mat4x4<f32>();
    // All loops with barriers have uniform bounds: `queries` comes through workgroupUniformLoad, the rest are parameters.
    for (var first = queries.x * group_size(); first < queries.y * group_size(); first += ROWS) {
        for (var row = thread; row < ROWS; row += WORKGROUP) {
            let line = query_line(batch, kv_head, first + row);
            lines[row] = line;
            // A row that is not there sees nothing.
            sight[row] = vec2<u32>();
            lse[row] = 0.0;
            delta[row] = 0.0;
            if (line != NONE) {
                sight[row] = keys_of(batch, (first + row) / group_size());
                lse[row] = stats[2u * line];
                delta[row] = stats[2u * line + 1u];
            }
        }
        workgroupBarrier();
        var s0 = mat4x4<f32>();
        var s1 = mat4x4<f32>();
        var dp0 = mat4x4<f32>();
        var dp1 = mat4x4<f32>();
        for (var d0 = 0u; d0 < head_vectors(); d0 += STEP) {
            // Neighbouring threads read neighbouring d.
            for (var slot = thread; slot < STEP * KEYS; slot += WORKGROUP) {
                let at = (slot % STEP) * KEYS + slot / STEP;
                key_tile[at] = k_or_zero(head, key0 + slot / STEP, d0 + slot % STEP);
                key_tile[STEP * KEYS + at] = v_or_zero(head, key0 + slot / STEP, d0 + slot % STEP);
            }
            for (var slot = thread; slot < STEP * ROWS; slot += WORKGROUP) {
                let at = (slot % STEP) * ROWS + slot / STEP;
                query_tile[at] = q_or_zero(slot / STEP, d0 + slot % STEP);
                query_tile[STEP * ROWS + at] = dy_or_zero(slot / STEP, d0 + slot % STEP);
            }
            workgroupBarrier();
            for (var step = 0u; step < STEP; step++) {
                let from_k = key_lines(step * KEYS + ty);
                let from_v = key_lines((STEP + step) * KEYS + ty);
                let at = step * ROWS + tx;
                s0 += query_products(from_k, at);
                s1 += query_products(from_k, at + 4u * QX);
                dp0 += query_products(from_v, at + STEP * ROWS);
                dp1 += query_products(from_v, at + STEP * ROWS + 4u * QX);
            }
            workgroupBarrier();
        }
        let far = 4u * QX + tx;
        let p0 = probabilities(s0, key0 + ty, tx);
        let p1 = probabilities(s1, key0 + ty, far);
        for (var j = 0u; j < 4u; j++) {
            weights[(tx + j * QX) * QY + ty] = p0[j];
            weights[(far + j * QX) * QY + ty] = p1[j];
        }
        for (var part = 0u; part < ROWS; part += PART) {
            for (var slot = thread; slot < PART * 2u * QX; slot += WORKGROUP) {
                query_tile[slot] = dy_or_zero(part + slot / (2u * QX), column0 + slot % (2u * QX));
            }
            workgroupBarrier();
            for (var j = 0u; j < PART; j++) {
                let weight = weights[(part + j) * QY + ty];
                dv0 += outer(query_tile[j * 2u * QX + tx], weight);
                dv1 += outer(query_tile[j * 2u * QX + QX + tx], weight);
            }
            workgroupBarrier();
        }
        for (var j = 0u; j < 4u; j++) {
            weights[(tx + j * QX) * QY + ty] = p0[j] * (dp0[j] - delta[tx + j * QX]);
            weights[(far + j * QX) * QY + ty] = p1[j] * (dp1[j] - delta[far + j * QX]);
        }
        for (var part = 0u; part < ROWS; part += PART) {
            for (var slot = thread; slot < PART * 2u * QX; slot += WORKGROUP) {
                query_tile[slot] = q_or_zero(part + slot / (2u * QX), column0 + slot % (2u * QX));
            }
            workgroupBarrier();
            for (var j = 0u; j < PART; j++) {
                let weight = weights[(part + j) * QY + ty];
                dk0 += outer(query_tile[j * 2u * QX + tx], weight);
                dk1 += outer(query_tile[j * 2u * QX + QX + tx], weight);
            }
            workgroupBarrier();
        }
    }

    for (var i = 0u; i < 4u; i++) {
        let key = key0 + ty + i * QY;
        if (key < params.keys) {
            let line = head + key * params.kv_heads;
            let d = column0 + tx;
            store(line, d, dk0[i] * params.scale);
            store(line, d + QX, dk1[i] * params.scale);
            let all = params.batch * params.keys * params.kv_heads;
            store(all + line, d, dv0[i]);
            store(all + line, d + QX, dv1[i]);
        }
    }
}
