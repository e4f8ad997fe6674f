// One token through the gate: u = silu(gate) * up, with gate and up each W x + scale g B_e h, the wide half of its adapter
// added here. F width of the MLP, R1 and R2 ranks, all multiples of 4, E experts, e and g the routed expert and its
// factor. One thread per element of u. Sources: `swiglu.wgsl`, `lora_vec.wgsl`, in one.
#import grid

@group(0) @binding(0) var<storage, read_write> gate_up: array<vec4<f32>>; // [2 F], then [R1 + R2]
@group(0) @binding(1) var<storage, read_write> gate_b: array<vec4<f32>>; // [E, F, R1]
@group(0) @binding(2) var<storage, read_write> up_b: array<vec4<f32>>; // [E, F, R2]
@group(0) @binding(3) var<storage, read_write> routing: array<f32>; // [E + 2], see `decode_in.wgsl`
@group(0) @binding(4) var<storage, read_write> u: array<f32>; // [F]
@group(0) @binding(5) var<uniform> params: Params;

struct Params {
    width: u32, // F
    rank_1: u32, // R1
    rank_2: u32, // R2
    experts: u32, // E; 1: no router
    scale_1: f32,
    scale_2: f32,
}

#import routed
#import bounded

fn element(i: u32) -> f32 {
    return gate_up[i / 4u][i % 4u];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = workgroup_index(workgroup, count) * 64u + thread;
    if (i >= params.width) {
        return;
    }
    let row = routed_expert() * params.width + i;
    let h = params.width / 2u;
    let quads_1 = bounded(params.rank_1 / 4u, arrayLength(&gate_b));
    var gate = vec4<f32>();
    for (var j = 0u; j < quads_1; j++) {
        gate += gate_b[row * quads_1 + j] * gate_up[h + j];
    }
    let quads_2 = bounded(params.rank_2 / 4u, arrayLength(&up_b));
    var up = vec4<f32>();
    for (var j = 0u; j < quads_2; j++) {
        up += up_b[row * quads_2 + j] * gate_up[h + quads_1 + j];
    }
    let factor = routed_factor();
    let one = vec4<f32>(1.0);
    let g = element(i) + factor * params.scale_1 * dot(gate, one);
    u[i] = g / (1.0 + exp(-g)) * (element(params.width + i) + factor * params.scale_2 * dot(up, one));
}
