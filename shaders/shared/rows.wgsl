// Some rows of a frozen weight against one vector, eight by a workgroup of 64 threads that stride over the columns in
// chunks; with ALONE four by one thread.
// A row is read once and in whole vectors; the vector's values serve all rows. Layout: `shared/weight.wgsl`.
// The kernel declares `weight` as array<vec4<f32>>, or packed as array<vec4<u32>>, and z(quad), the vector's elements
// 4 quad .. 4 quad + 3. Columns are a multiple of 4, for f16 of 8, for q8 and q4 of 32.
const WORKGROUP = 64u;
#ifdef ALONE
const ROWS = 4u;
// Those who share rows.
const LANES = 1u;
#else
const ROWS = 8u;
const LANES = WORKGROUP;
#endif
const ROW_QUADS = ROWS / 4u;

alias Sums = array<vec4<f32>, ROW_QUADS>;

#ifdef W_Q4
// Columns of a chunk: a block with its scale.
const CHUNK = 32u;

fn row_stride(columns: u32) -> u32 {
    return (columns / 8u + (columns / 32u + 1u) / 2u + 3u) / 4u;
}

fn low(word: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)) - 8.0;
}

fn high(word: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)) - 8.0;
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

fn bytes(word: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(word));
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
#else
const CHUNK = 4u;

fn row_stride(columns: u32) -> u32 {
    return columns / 4u;
}
#endif

// Where each row of a workgroup begins; a row beyond `rows` repeats the last.
fn row_begins(first: u32, rows: u32, columns: u32) -> array<vec4<u32>, ROW_QUADS> {
    var begins: array<vec4<u32>, ROW_QUADS>;
    for (var i = 0u; i < ROW_QUADS; i++) {
        let row = vec4<u32>(first + 4u * i) + vec4<u32>(0u, 1u, 2u, 3u);
        begins[i] = min(row, vec4<u32>(rows - 1u)) * row_stride(columns);
    }
    return begins;
}

// The share of rows first .. first + ROWS - 1 of lane `lane`.
fn rows_share(lane: u32, first: u32, rows: u32, columns: u32) -> Sums {
    let begins = row_begins(first, rows, columns);
    var sums: Sums;
    for (var chunk = lane; chunk < columns / CHUNK; chunk += LANES) {
#ifdef W_Q4
        let z_0 = z(8u * chunk);
        let z_1 = z(8u * chunk + 1u);
        let z_2 = z(8u * chunk + 2u);
        let z_3 = z(8u * chunk + 3u);
        let z_4 = z(8u * chunk + 4u);
        let z_5 = z(8u * chunk + 5u);
        let z_6 = z(8u * chunk + 6u);
        let z_7 = z(8u * chunk + 7u);
        for (var i = 0u; i < ROWS; i++) {
            let row = begins[i / 4u][i % 4u];
            let w = weight[row + chunk];
            let products = low(w.x) * z_0 + high(w.x) * z_1 + low(w.y) * z_2 + high(w.y) * z_3 + low(w.z) * z_4
                + high(w.z) * z_5 + low(w.w) * z_6 + high(w.w) * z_7;
            sums[i / 4u][i % 4u] += scale_of(row, chunk, columns) * dot(products, vec4<f32>(1.0));
        }
#else
#ifdef W_Q8
        let z_0 = z(4u * chunk);
        let z_1 = z(4u * chunk + 1u);
        let z_2 = z(4u * chunk + 2u);
        let z_3 = z(4u * chunk + 3u);
        for (var i = 0u; i < ROWS; i++) {
            let row = begins[i / 4u][i % 4u];
            let w = weight[row + chunk];
            let products = bytes(w.x) * z_0 + bytes(w.y) * z_1 + bytes(w.z) * z_2 + bytes(w.w) * z_3;
            sums[i / 4u][i % 4u] += scale_of(row, chunk, columns) * dot(products, vec4<f32>(1.0));
        }
#else
#ifdef W_F16
        let z_0 = z(2u * chunk);
        let z_1 = z(2u * chunk + 1u);
        for (var i = 0u; i < ROWS; i++) {
            let w = weight[begins[i / 4u][i % 4u] + chunk];
            let products = vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)) * z_0
                + vec4<f32>(unpack2x16float(w.z), unpack2x16float(w.w)) * z_1;
            sums[i / 4u][i % 4u] += dot(products, vec4<f32>(1.0));
        }
#else
        let z_0 = z(chunk);
        for (var i = 0u; i < ROWS; i++) {
            sums[i / 4u][i % 4u] += dot(weight[begins[i / 4u][i % 4u] + chunk], z_0);
        }
#endif
#endif
#endif
    }
    return sums;
}

// Sums over the workgroup, and that of another value, all in one. Every thread must call this, in uniform control flow;
// every thread gets the sums.
struct RowTotals {
    rows: Sums,
    other: f32,
}

#ifdef ALONE
fn row_totals(lane: u32, share: Sums, other: f32) -> RowTotals {
    return RowTotals(share, other);
}
#else
const SHARES = ROW_QUADS + 1u;

var<workgroup> row_shares: array<vec4<f32>, SHARES * WORKGROUP>;
var<workgroup> row_eighths: array<vec4<f32>, SHARES * 8u>;

fn row_eighths_total(at: u32) -> vec4<f32> {
    var total = row_eighths[8u * at];
    for (var i = 1u; i < 8u; i++) {
        total += row_eighths[8u * at + i];
    }
    return total;
}

fn row_totals(lane: u32, share: Sums, other: f32) -> RowTotals {
    row_shares[lane] = share[0];
    row_shares[WORKGROUP + lane] = share[1];
    row_shares[2u * WORKGROUP + lane].x = other;
    workgroupBarrier();
    if (lane < 8u * SHARES) {
        var sum = row_shares[8u * lane];
        for (var i = 1u; i < 8u; i++) {
            sum += row_shares[8u * lane + i];
        }
        row_eighths[lane] = sum;
    }
    workgroupBarrier();
    return RowTotals(Sums(row_eighths_total(0u), row_eighths_total(1u)), row_eighths_total(2u).x);
}
#endif
