// dW = dy^T x, the weight's gradient of y = x W^T, in registers alone: for a software GPU.
// M rows, N output features, K input features, N and K multiples of 4.
// One workgroup of 8 threads per 32 x 64 tile of the result; see shared/block_product.wgsl.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dy: array<vec4<f32>>; // [M, N / 4]
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>; // [M, K / 4]
@group(0) @binding(2) var<storage, read_write> dw: array<vec4<f32>>; // [N, K / 4]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

#import factors_backward_weight
#import block_product

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles_across = (params.in_features + BLOCK_COLUMNS - 1u) / BLOCK_COLUMNS;
    let tiles_down = (params.out_features + BLOCK_ROWS - 1u) / BLOCK_ROWS;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_across * tiles_down) {
        return;
    }
    block_product(tile, thread, params.out_features, params.in_features, bounded(params.rows, 4u * arrayLength(&dy)));
}
