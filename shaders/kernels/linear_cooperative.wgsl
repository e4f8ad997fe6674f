#variants W_F16|W_Q8|W_Q4 SIZE_16
#needs cooperative_matrix
// y = x W^T for many rows, on matrix units: factors in f16, sums in f32.
// M rows, N output features, K input features, N and K multiples of 4. One workgroup of 128 threads per 64 x 64 tile of
// the result; see shared/cooperative_product.wgsl. Matrices are 8 x 8, or 16 x 16 with SIZE_16.
enable f16;
enable wgpu_cooperative_matrix;

#import grid

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [M, K / 4]
#ifdef W_F16
@group(0) @binding(1) var<storage, read_write> weight: array<vec2<u32>>; // [N, K / 4], f16 in pairs
#else
#ifdef W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [N, K / 4]
#endif
#endif
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // [M, N / 4]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

fn left_scale() -> f32 {
    return 1.0;
}

#import factors_forward
#import cooperative_product

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tiles_across = (params.out_features + TILE_LINES - 1u) / TILE_LINES;
    let tiles_down = (params.rows + TILE_LINES - 1u) / TILE_LINES;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_across * tiles_down) {
        return;
    }
    cooperative_product(tile, thread, subgroup, subgroups, params.rows, params.out_features, params.in_features);
}
