#variants W_F16|W_Q8|W_Q4 SIZE_16
#needs cooperative_matrix
// dx = dy W, the input's gradient of y = x W^T, on matrix units: factors in f16, sums in f32.
// M rows, N output features, K input features, N a multiple of 32 and K of 4. One workgroup of 128 threads per tile of 8 x 8
// matrices; see shared/cooperative_product.wgsl. Matrices are 8 x 8, or 16 x 16 with SIZE_16.
enable f16;
enable wgpu_cooperative_matrix;

#import grid

@group(0) @binding(0) var<storage, read_write> dy: array<vec4<f16>>; // [M, N / 4], times gradient_scale
#ifdef W_F16
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f16>>; // [N, K / 4]
#else
#ifdef W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [N, K / 4]
#endif
#endif
@group(0) @binding(2) var<storage, read_write> largest: array<vec4<f32>>; // parts of the largest |dy|
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>; // [M, K / 4]
@group(0) @binding(4) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

const LEFT_BY_DEPTH = false;
const RIGHT_BY_DEPTH = true;

#import gradient_scale
#import weight_halves

fn sums_scale() -> f32 {
    return gradient_scale();
}

fn left_quad(line: u32, k: u32) -> vec4<f16> {
    return dy[(min(line, params.rows - 1u) * params.out_features + min(k, params.out_features - 4u)) / 4u];
}

fn right_quad(line: u32, k: u32) -> vec4<f16> {
    let column = min(line, params.in_features - 4u);
    return weight_row_half(min(k, params.out_features - 1u), column, params.in_features);
}

// Four neighbours of dx's row.
fn store_quad(row: u32, column: u32, sums: vec4<f32>) {
    if (row < params.rows && column < params.in_features) {
        dx[(row * params.in_features + column) / 4u] = sums;
    }
}

#import cooperative_product

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tiles_down = (params.rows + TILE_LINES - 1u) / TILE_LINES;
    let tiles_across = (params.in_features + TILE_LINES - 1u) / TILE_LINES;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_across * tiles_down) {
        return;
    }
    cooperative_product(tile, thread, subgroup, subgroups, params.rows, params.in_features, params.out_features);
}
