// dx = dy (Phi(x) + x phi(x)), Phi the normal distribution and phi its density: the gradient of the exact GELU.
// One thread per element. Source: Hendrycks and Gimpel 2016, arXiv 1606.08415, differentiated.
#import grid
#import erf

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
    let v = x[index];
    let distribution = 0.5 * (1.0 + erf(v * 0.70710678));
    let density = 0.39894228 * exp(-0.5 * v * v);
    dx[index] = dy[index] * (distribution + v * density);
}
