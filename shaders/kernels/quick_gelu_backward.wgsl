// dx = dy s (1 + 1.702 x (1 - s)), s = sigmoid(1.702 x): the gradient of the quick GELU. One thread per element.
// Source: Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2, differentiated.
#import grid

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [n]
@group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [n]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    elements: u32, // n
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.elements) {
        return;
    }
    let s = 1.0 / (1.0 + exp(-1.702 * x[index]));
    dx[index] = dy[index] * s * (1.0 + 1.702 * x[index] * (1.0 - s));
}
