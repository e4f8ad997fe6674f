// The input's gradient of y = z weight + bias, z = (x - mean(x)) r, r = 1 / sqrt(var(x) + eps):
// dx = r (g - mean(g) - z mean(g z)), g = dy weight. T tokens, D model width. One workgroup per token; threads stride
// over D.
// Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450, differentiated.
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
    var sum = 0.0;
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        sum += x[base + d];
    }
    let mean = workgroup_sum(thread, sum) / width;
    var squares = 0.0;
    var gradient = 0.0;
    var products = 0.0;
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        let centred = x[base + d] - mean;
        let g = dy[base + d] * weight[d];
        squares += centred * centred;
        gradient += g;
        products += g * centred;
    }
    let scale = 1.0 / sqrt(workgroup_sum(thread, squares) / width + params.eps);
    let mean_g = workgroup_sum(thread, gradient) / width;
    let mean_gz = workgroup_sum(thread, products) / width * scale;
    for (var d = thread; d < params.d_model; d += WORKGROUP) {
        let z = (x[base + d] - mean) * scale;
        dx[base + d] = scale * (dy[base + d] * weight[d] - mean_g - z * mean_gz);
    }
}
