// y = x * sigmoid(1.702 x). One thread per element.
// Source: Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2; used by CLIP.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [n]
@group(0) @binding(2) var<uniform> params: Params;

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
    y[index] = x[index] / (1.0 + exp(-1.702 * x[index]));
}
