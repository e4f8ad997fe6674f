#variants W_F16|W_Q8|W_Q4 BIAS
// y = x W^T (+ b), for many rows: each workgroup owns a 64 x 64 tile of y, each thread 4 x 4 of it.
// M rows, N output features, K input features. Tiles of x and W go through workgroup memory, 16 of K at a time, as
// vectors of 4 lines: two loads feed 16 products. Source: the classic blocked product; sums in f32.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [M, K]
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [N, K]
#endif
#ifdef BIAS
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [M, N]
@group(0) @binding(4) var<uniform> params: Params;
#else
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [M, N]
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

const TILE = 64u;
const STEP = 16u;
const QUADS = 16u; // TILE / 4

var<workgroup> x_tile: array<vec4<f32>, 256>; // [STEP, QUADS], four rows of x each
var<workgroup> w_tile: array<vec4<f32>, 256>; // [STEP, QUADS], four rows of W each

#import weight

fn x_or_zero(row: u32, k: u32) -> f32 {
    if (row < params.rows && k < params.in_features) {
        return x[row * params.in_features + k];
    }
    return 0.0;
}

fn weight_or_zero(row: u32, k: u32) -> f32 {
    if (row < params.out_features && k < params.in_features) {
        return weight_at(row, k, params.in_features);
    }
    return 0.0;
}

fn store(row: u32, col: u32, sum: f32) {
    if (row < params.rows && col < params.out_features) {
#ifdef BIAS
        y[row * params.out_features + col] = sum + bias[col];
#else
        y[row * params.out_features + col] = sum;
#endif
    }
}

fn store_row(row: u32, col: u32, sums: vec4<f32>) {
    store(row, col, sums.x);
    store(row, col + 1u, sums.y);
    store(row, col + 2u, sums.z);
    store(row, col + 3u, sums.w);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles_n = (params.out_features + TILE - 1u) / TILE;
    let tiles_m = (params.rows + TILE - 1u) / TILE;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_m * tiles_n) {
        return;
    }
    let row0 = (tile / tiles_n) * TILE;
    let col0 = (tile % tiles_n) * TILE;
    // Each thread fills one vector a tile; 16 neighbours read 16 neighbouring k of the same four lines.
    let fill_k = thread % STEP;
    let fill_quad = thread / STEP;
    // Each thread sums rows row0 + 4 ty .. + 3 and columns col0 + 4 tx .. + 3.
    let tx = thread % QUADS;
    let ty = thread / QUADS;

    var sums_0 = vec4<f32>();
    var sums_1 = vec4<f32>();
    var sums_2 = vec4<f32>();
    var sums_3 = vec4<f32>();
    for (var k0 = 0u; k0 < params.in_features; k0 += STEP) {
        let k = k0 + fill_k;
        let row = row0 + 4u * fill_quad;
        let col = col0 + 4u * fill_quad;
        x_tile[fill_k * QUADS + fill_quad] =
            vec4<f32>(x_or_zero(row, k), x_or_zero(row + 1u, k), x_or_zero(row + 2u, k), x_or_zero(row + 3u, k));
        w_tile[fill_k * QUADS + fill_quad] = vec4<f32>(
            weight_or_zero(col, k),
            weight_or_zero(col + 1u, k),
            weight_or_zero(col + 2u, k),
            weight_or_zero(col + 3u, k),
        );
        workgroupBarrier();
        for (var step = 0u; step < STEP; step++) {
            let from_x = x_tile[step * QUADS + ty];
            let from_w = w_tile[step * QUADS + tx];
            sums_0 += from_x.x * from_w;
            sums_1 += from_x.y * from_w;
            sums_2 += from_x.z * from_w;
            sums_3 += from_x.w * from_w;
        }
        workgroupBarrier();
    }

    let row = row0 + 4u * ty;
    let col = col0 + 4u * tx;
    store_row(row, col, sums_0);
    store_row(row + 1u, col, sums_1);
    store_row(row + 2u, col, sums_2);
    store_row(row + 3u, col, sums_3);
}
