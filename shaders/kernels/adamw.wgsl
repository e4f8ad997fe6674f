// A step of AdamW on one parameter: the moments of its gradient, and from them its new value. One thread per element.
// Source: Loshchilov and Hutter 2017, arXiv 1711.05101.
#import grid

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>; // [len]
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // [len]
@group(0) @binding(2) var<storage, read_write> first: array<f32>; // [len]
@group(0) @binding(3) var<storage, read_write> second: array<f32>; // [len]
@group(0) @binding(4) var<storage, read_write> new_parameter: array<f32>; // [len]
@group(0) @binding(5) var<storage, read_write> new_first: array<f32>; // [len]
@group(0) @binding(6) var<storage, read_write> new_second: array<f32>; // [len]
@group(0) @binding(7) var<uniform> params: Params;

struct Params {
    len: u32,
    scale: f32, // of the gradient, where it is clipped
    beta_1: f32,
    beta_2: f32,
    correction_1: f32, // 1 - beta_1^t
    correction_2: f32, // 1 - beta_2^t
    epsilon: f32,
    rate: f32,
    kept: f32, // of the parameter: 1 - rate * weight decay
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = workgroup_index(workgroup, count) * 64u + thread;
    if (i >= params.len) {
        return;
    }
    let g = params.scale * gradient[i];
    let m = params.beta_1 * first[i] + (1.0 - params.beta_1) * g;
    let v = params.beta_2 * second[i] + (1.0 - params.beta_2) * g * g;
    let step = (m / params.correction_1) / (sqrt(v / params.correction_2) + params.epsilon);
    new_parameter[i] = params.kept * parameter[i] - params.rate * step;
    new_first[i] = m;
    new_second[i] = v;
}
