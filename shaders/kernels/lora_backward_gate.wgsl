// dg_t = scale <dh_t, h_t>: the gradient of the factor g_t on an expert's output, dh = B_e^T dy, h = A_e x.
// T tokens, R rank. One thread per token.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dh: array<f32>; // [T, R]
@group(0) @binding(1) var<storage, read_write> h: array<f32>; // [T, R]
@group(0) @binding(2) var<storage, read_write> dgate: array<f32>; // [T]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    tokens: u32, // T
    rank: u32, // R
    scale: f32,
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = workgroup_index(workgroup, count) * 64u + thread;
    if (token >= params.tokens) {
        return;
    }
    var sum = 0.0;
    for (var r = 0u; r < bounded(params.rank, arrayLength(&dh)); r++) {
        sum += dh[token * params.rank + r] * h[token * params.rank + r];
    }
    dgate[token] = params.scale * sum;
}
