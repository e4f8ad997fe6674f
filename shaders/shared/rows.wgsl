// Four rows of a frozen weight against one vector, by a workgroup of 64 threads that stride over the columns in chunks;
// with ALONE by one thread.
// A row is read once and in whole vectors; the vector's values serve four rows. Layout: `shared/weight.wgsl`.
// The kernel declares `weight` as array<vec4<f32>>, for f16 array<vec2<u32>>, for q8 and q4 array<vec4<u32>>, and
// z(quad), the vector's elements 4 quad .. 4 quad + 3. Columns are a multiple of 4, for q8 and q4 of 32.
const WORKGROUP = 64u;
const ROWS = 4u;
#ifdef ALONE
// Those who share rows.
const LANES = 1u;
#else
const LANES = WORKGROUP;
#endif

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
#ifdef W_Q8 W_Q4
#else
const CHUNK = 4u;

fn row_stride(columns: u32) -> u32 {
    return columns / 4u;
}
#endif

// The share of rows first .. first + 3 of lane `lane`; a row beyond `rows` repeats the last.
fn rows_share(lane: u32, first: u32, rows: u32, columns: u32) -> vec4<f32> {
    let row = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * row_stride(columns);
    var sums = vec4<f32>();
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
            let w = weight[row[i] + chunk];
            let products = low(w.x) * z_0 + high(w.x) * z_1 + low(w.y) * z_2 + high(w.y) * z_3 + low(w.z) * z_4
                + high(w.z) * z_5 + low(w.w) * z_6 + high(w.w) * z_7;
            sums[i] += scale_of(row[i], chunk, columns) * dot(products, vec4<f32>(1.0));
        }
#else
#ifdef W_Q8
        let z_0 = z(4u * chunk);
        let z_1 = z(4u * chunk + 1u);
        let z_2 = z(4u * chunk + 2u);
        let z_3 = z(4u * chunk + 3u);
        for (var i = 0u; i < ROWS; i++) {
            let w = weight[row[i] + chunk];
            let products = bytes(w.x) * z_0 + bytes(w.y) * z_1 + bytes(w.z) * z_2 + bytes(w.w) * z_3;
            sums[i] += scale_of(row[i], chunk, columns) * dot(products, vec4<f32>(1.0));
        }
#else
        let z_0 = z(chunk);
        for (var i = 0u; i < ROWS; i++) {
            let w = weight[row[i] + chunk];
#ifdef W_F16
            sums[i] += dot(vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)), z_0);
#else
            sums[i] += dot(w, z_0);
#endif
        }
#endif
#endif
    }
    return sums;
}
