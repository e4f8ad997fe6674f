// y = silu(gate) * up, silu(g) = g / (1 + e^-g). One thread per element.
// Source: Shazeer 2020, arXiv 2002.05202.
#import grid

@group(0) @binding(0) var<storage, read_write> gate: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> up: array<f32>; // [n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [n]
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
    let g = gate[index];
    y[index] = g / (1.0 + exp(-g)) * up[index];
}
