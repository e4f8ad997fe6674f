#variants W_F16|W_Q8|W_Q4
// dx = dy W, the input's gradient of y = x W^T, in registers alone: for a software GPU.
// M rows, N output features, K input features, N and K multiples of 4.
// One workgroup of 8 threads per 32 x 64 tile of the result; see shared/block_product.wgsl.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dy: array<vec4<f32>>; // [M, N / 4]
#ifdef W_F16
@group(0) @binding(1) var<storage, read_write> weight: array<vec2<u32>>; // [N, K / 4], f16 in pairs
#else
#ifdef W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [N, K / 4]
#endif
#endif
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>; // [M, K / 4]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

#import factors_backward_input
#import block_product

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles_across = (params.in_features + BLOCK_COLUMNS - 1u) / BLOCK_COLUMNS;
    let tiles_down = (params.rows + BLOCK_ROWS - 1u) / BLOCK_ROWS;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_across * tiles_down) {
        return;
    }
    block_product(tile, thread, params.rows, params.in_features, bounded(params.out_features, 4u * arrayLength(&dy)));
}
