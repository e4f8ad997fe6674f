#variants W_F16|W_Q8|W_Q4 BIAS
// y = x W^T (+ b) for many rows, in registers alone: for a software GPU.
// M rows, N output features, K input features, N and K multiples of 4.
// One workgroup of 8 threads per 32 x 64 tile of the result; see shared/block_product.wgsl.
#import grid
#import bounded

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
#ifdef BIAS
@group(0) @binding(2) var<storage, read_write> bias: array<vec4<f32>>; // [N / 4]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [M, N / 4]
@group(0) @binding(4) var<uniform> params: Params;
#else
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // [M, N / 4]
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

#import factors_forward
#import block_product

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles_across = (params.out_features + BLOCK_COLUMNS - 1u) / BLOCK_COLUMNS;
    let tiles_down = (params.rows + BLOCK_ROWS - 1u) / BLOCK_ROWS;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_across * tiles_down) {
        return;
    }
    block_product(tile, thread, params.rows, params.out_features, bounded(params.in_features, 4u * arrayLength(&x)));
}
