// y = x / sqrt(mean(x^2) + eps) * weight. T tokens, D model width.
// One workgroup per token; threads stride over D.
// Source: Zhang and Sennrich 2019, arXiv 1910.07467; eps inside the root as in Llama.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [T, D]
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [D]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [T, D]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    tokens: u32, // T
    d_model: u32, // D
    eps: f32,
}

const WORKGROUP = 128u;

#import reduce

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (token >= params.tokens) {
        return;
    }
    let base = token * params.d_model;
    var squares = 0.0;
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        squares += x[base + d] * x[base + d];
    }
    let mean = workgroup_sum(thread, squares) / f32(params.d_model);
    let scale = 1.0 / sqrt(mean + params.eps);
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        y[base + d] = x[base + d] * scale * weight[d];
    }
}
