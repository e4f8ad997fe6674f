// The input's gradient of y = x r weight, r = 1 / sqrt(mean(x^2) + eps):
// dx = r (g - x r^2 mean(g x)), g = dy weight. T tokens, D model width. One workgroup per token; threads stride over D.
// Source: Zhang and Sennrich 2019, arXiv 1910.07467, differentiated.
#import grid

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [T, D]
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [T, D]
@group(0) @binding(2) var<storage, read_write> weight: array<f32>; // [D]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [T, D]
@group(0) @binding(4) var<uniform> params: Params;

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
    let width = f32(params.d_model);
    var squares = 0.0;
    var products = 0.0;
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        let value = x[base + d];
        squares += value * value;
        products += dy[base + d] * weight[d] * value;
    }
    let scale = 1.0 / sqrt(workgroup_sum(thread, squares) / width + params.eps);
    let along = workgroup_sum(thread, products) / width * scale * scale;
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        dx[base + d] = scale * (dy[base + d] * weight[d] - x[base + d] * along);
    }
}
