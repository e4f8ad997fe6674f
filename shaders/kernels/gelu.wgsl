// y = x / 2 * (1 + erf(x / sqrt 2)): the exact GELU. One thread per element.
// Source: Hendrycks and Gimpel 2016, arXiv 1606.08415.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [n]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    elements: u32, // n
}

#import erf

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
    y[index] = 0.5 * x[index] * (1.0 + erf(x[index] * 0.70710678));
}
