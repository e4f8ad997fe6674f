// The gradients of y = silu(gate) up: dup = dy silu(gate), dgate = dy up s (1 + gate (1 - s)), s = sigmoid(gate).
// One thread per element.
#import grid

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> gate: array<f32>; // [n]
@group(0) @binding(2) var<storage, read_write> up: array<f32>; // [n]
@group(0) @binding(3) var<storage, read_write> dgate: array<f32>; // [n]
@group(0) @binding(4) var<storage, read_write> dup: array<f32>; // [n]
@group(0) @binding(5) var<uniform> params: Params;

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
    let s = 1.0 / (1.0 + exp(-g));
    dup[index] = dy[index] * g * s;
    dgate[index] = dy[index] * up[index] * s * (1.0 + g * (1.0 - s));
}
