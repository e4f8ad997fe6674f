#variants W_F16|W_Q8|W_Q4
// dx = dy W: the input's gradient of y = x W^T. M rows, N output features, K input features. One workgroup of 256
// threads per 64 x 64 tile of dx.
#import grid

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [M, N]
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [N, K]
#endif
@group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [M, K]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

const QUADS = 16u;

#import tile
#import weight

var<private> row_0: u32;
var<private> column_0: u32;

fn left(line: u32, k: u32) -> f32 {
    let row = row_0 + line;
    if (row >= params.rows) {
        return 0.0;
    }
    return dy[row * params.out_features + k];
}

fn right(line: u32, k: u32) -> f32 {
    let column = column_0 + line;
    if (column >= params.in_features) {
        return 0.0;
    }
    return weight_at(k, column, params.in_features);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let columns = (params.in_features + TILE - 1u) / TILE;
    let rows = (params.rows + TILE - 1u) / TILE;
    let index = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (index >= rows * columns) {
        return;
    }
    row_0 = (index / columns) * TILE;
    column_0 = (index % columns) * TILE;
    let sums = tile_product(thread, 0u, params.out_features);
    for (var i = 0u; i < 4u; i++) {
        let row = row_0 + 4u * (thread / QUADS) + i;
        for (var j = 0u; j < 4u; j++) {
            let column = column_0 + 4u * (thread % QUADS) + j;
            if (row < params.rows && column < params.in_features) {
                dx[row * params.in_features + column] = sums[i][j];
            }
        }
    }
}
