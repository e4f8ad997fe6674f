// Some rows of a frozen weight against one vector, eight by a workgroup of 128 threads that stride over the columns in
// chunks; with ALONE four by one thread.
// A row is read once and in whole vectors; the vector's values serve all rows. Layout: `shared/weight.wgsl`. Rows are
// written out one by one, so that their loads do not wait for each other.
// The kernel declares `weight` as array<vec4<f32>>, or packed as array<vec4<u32>>, and z(quad), the vector's elements
// 4 quad .. 4 quad + 3. Columns are a multiple of 4, for f16 of 8, for q8 and q4 of 32.
#ifdef ALONE
const WORKGROUP = 64u;
const ROWS = 4u;
// Those who share rows.
const LANES = 1u;
#else
const WORKGROUP = 128u;
const ROWS = 8u;
const LANES = WORKGROUP;
#endif

// Rows of an adapter that go together: few are worth a thread's decision about its expert.
const ADAPTER_ROWS = 8u;

// Sums of eight rows; of a weight's with ALONE the first four.
struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

#ifdef W_Q4
// Columns of a chunk: a block with its scale.
const CHUNK = 32u;

fn row_stride(columns: u32) -> u32 {
    return (columns / 8u + (columns / 32u + 1u) / 2u + 3u) / 4u;
}

fn scale_of(row: u32, chunk: u32, columns: u32) -> f32 {
    let word = columns / 8u + chunk / 2u;
    let pair = unpack2x16float(weight[row + word / 4u][word % 4u]);
    return select(pair.x, pair.y, (chunk & 1u) == 1u);
}
#endif
#ifdef W_Q8
// Columns of a chunk: half a block.
const CHUNK = 16u;

fn row_stride(columns: u32) -> u32 {
    return (columns / 4u + (columns / 32u + 1u) / 2u + 3u) / 4u;
}

fn scale_of(row: u32, chunk: u32, columns: u32) -> f32 {
    let block = chunk / 2u;
    let word = columns / 4u + block / 2u;
    let pair = unpack2x16float(weight[row + word / 4u][word % 4u]);
    return select(pair.x, pair.y, (block & 1u) == 1u);
}
#endif
#ifdef W_F16
const CHUNK = 8u;

fn row_stride(columns: u32) -> u32 {
    return columns / 8u;
}
#endif
#ifdef W_F16 W_Q8 W_Q4
alias Word = vec4<u32>;
#else
alias Word = vec4<f32>;
const CHUNK = 4u;

fn row_stride(columns: u32) -> u32 {
    return columns / 4u;
}
#endif
#ifdef W_Q8
// Four signed bytes b as 1 + (b + 128) / 256: bits put into a float's, so that no conversion is needed, of which GPUs do few
// at once. b is 256 times that, less 384.
const QUANT = 256.0;
const ZERO = 384.0;

fn quants(word: u32) -> vec4<f32> {
    let bits = vec4<u32>(word << 15u, word << 7u, word >> 1u, word >> 9u);
    return bitcast<vec4<f32>>((bits & vec4<u32>(0x7f8000u)) ^ vec4<u32>(0x3fc00000u));
}
#endif
#ifdef W_Q4
// The low nibbles n of four bytes as 1 + n / 16: bits put into a float's, so that no conversion is needed, of which GPUs do
// few at once. n - 8 is 16 times that, less 24.
const QUANT = 16.0;
const ZERO = 24.0;

fn quants(word: u32) -> vec4<f32> {
    let bits = vec4<u32>(word << 19u, word << 11u, word << 3u, word >> 5u);
    return bitcast<vec4<f32>>((bits & vec4<u32>(0x780000u)) | vec4<u32>(0x3f800000u));
}
#endif

alias Chunk = array<vec4<f32>, CHUNK / 4u>;

fn chunk_of_z(chunk: u32) -> Chunk {
#ifdef W_Q4
    let q = 8u * chunk;
    return Chunk(z(q), z(q + 1u), z(q + 2u), z(q + 3u), z(q + 4u), z(q + 5u), z(q + 6u), z(q + 7u));
#else
#ifdef W_Q8
    let q = 4u * chunk;
    return Chunk(z(q), z(q + 1u), z(q + 2u), z(q + 3u));
#else
#ifdef W_F16
    return Chunk(z(2u * chunk), z(2u * chunk + 1u));
#else
    return Chunk(z(chunk));
#endif
#endif
#endif
}

// A row's chunk against the vector's; of q8 and q4 as `quants` makes them, without their scale.
fn product(w: Word, v: Chunk) -> f32 {
#ifdef W_Q4
    let products = quants(w.x) * v[0] + quants(w.x >> 4u) * v[1] + quants(w.y) * v[2]
        + quants(w.y >> 4u) * v[3] + quants(w.z) * v[4] + quants(w.z >> 4u) * v[5]
        + quants(w.w) * v[6] + quants(w.w >> 4u) * v[7];
    return dot(products, vec4<f32>(1.0));
#else
#ifdef W_Q8
    let products = quants(w.x) * v[0] + quants(w.y) * v[1] + quants(w.z) * v[2]
        + quants(w.w) * v[3];
    return dot(products, vec4<f32>(1.0));
#else
#ifdef W_F16
    let products = vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)) * v[0]
        + vec4<f32>(unpack2x16float(w.z), unpack2x16float(w.w)) * v[1];
    return dot(products, vec4<f32>(1.0));
#else
    return dot(w, v[0]);
#endif
#endif
#endif
}

// The sum of a chunk of the vector, where the quants' zero is not 0.
fn chunk_total(v: Chunk) -> f32 {
#ifdef W_Q4
    return dot(((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])), vec4<f32>(1.0));
#else
#ifdef W_Q8
    return dot((v[0] + v[1]) + (v[2] + v[3]), vec4<f32>(1.0));
#else
    return 0.0;
#endif
#endif
}

// Four rows' chunks against the vector's, whose sum is `total`.
fn four_products(begins: vec4<u32>, chunk: u32, columns: u32, v: Chunk, total: f32) -> vec4<f32> {
    let w_0 = weight[begins.x + chunk];
    let w_1 = weight[begins.y + chunk];
    let w_2 = weight[begins.z + chunk];
    let w_3 = weight[begins.w + chunk];
#ifdef W_Q8 W_Q4
    let scales = vec4<f32>(
        scale_of(begins.x, chunk, columns),
        scale_of(begins.y, chunk, columns),
        scale_of(begins.z, chunk, columns),
        scale_of(begins.w, chunk, columns),
    );
    let products = vec4<f32>(product(w_0, v), product(w_1, v), product(w_2, v), product(w_3, v));
    return scales * (QUANT * products - ZERO * total);
#else
    return vec4<f32>(product(w_0, v), product(w_1, v), product(w_2, v), product(w_3, v));
#endif
}

// Where four rows begin; a row beyond `rows` repeats the last.
fn four_begins(first: u32, rows: u32, columns: u32) -> vec4<u32> {
    return min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * row_stride(columns);
}

// The share of lane `lane` of four rows from `first` on, and with a workgroup of four from `second` on.
fn rows_share(lane: u32, first: u32, second: u32, rows: u32, columns: u32) -> Sums {
    let low = four_begins(first, rows, columns);
#ifdef ALONE
#else
    let high = four_begins(second, rows, columns);
#endif
    var sums: Sums;
    for (var chunk = lane; chunk < columns / CHUNK; chunk += LANES) {
        let v = chunk_of_z(chunk);
        let total = chunk_total(v);
        sums.low += four_products(low, chunk, columns, v, total);
#ifdef ALONE
#else
        sums.high += four_products(high, chunk, columns, v, total);
#endif
    }
    return sums;
}

// The sums over the workgroup, and that of another value: share_rows, then row_total and other_total. Every thread must
// call share_rows, in uniform control flow.
#ifdef ALONE
var<private> own_rows: Sums;
var<private> own_other: f32;

fn share_rows(lane: u32, share: Sums, other: f32) {
    own_rows = share;
    own_other = other;
}

fn row_total(row: u32) -> f32 {
    return select(own_rows.low[row % 4u], own_rows.high[row % 4u], row >= 4u);
}

fn other_total() -> f32 {
    return own_other;
}
#else
var<workgroup> row_shares: array<vec4<f32>, 3u * WORKGROUP>;
var<workgroup> row_parts: array<vec4<f32>, 48>; // sums of eight shares, [3, 16]

fn share_rows(lane: u32, share: Sums, other: f32) {
    // Whoever still reads the totals before.
    workgroupBarrier();
    row_shares[lane] = share.low;
    row_shares[WORKGROUP + lane] = share.high;
    row_shares[2u * WORKGROUP + lane] = vec4<f32>(other);
    workgroupBarrier();
    if (lane < 48u) {
        let at = 8u * lane;
        row_parts[lane] = ((row_shares[at] + row_shares[at + 1u]) + (row_shares[at + 2u] + row_shares[at + 3u]))
            + ((row_shares[at + 4u] + row_shares[at + 5u]) + (row_shares[at + 6u] + row_shares[at + 7u]));
    }
    workgroupBarrier();
}

fn row_total(row: u32) -> f32 {
    let at = (row / 4u) * 16u;
    let i = row % 4u;
    var total = 0.0;
    for (var part = 0u; part < 16u; part++) {
        total += row_parts[at + part][i];
    }
    return total;
}

fn other_total() -> f32 {
    return row_total(8u);
}
#endif
