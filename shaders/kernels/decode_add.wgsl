// y = x + scale g B_e h, h behind x: the wide half of the down projection's adapter. N features and R rank, multiples of 4,
// E experts, e and g the routed expert and its factor. One thread per element of y.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [N], then [R]
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>; // [E, N, R]
@group(0) @binding(2) var<storage, read_write> routing: array<f32>; // [E + 2], see `decode_in.wgsl`
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [N]
@group(0) @binding(4) var<uniform> params: Params;

struct Params {
    rows: u32, // N
    rank: u32, // R
    experts: u32, // E; 1: no router
    scale: f32,
}

#import routed
#import bounded

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = workgroup_index(workgroup, count) * 64u + thread;
    if (i >= params.rows) {
        return;
    }
    let row = routed_expert() * params.rows + i;
    let quads = bounded(params.rank / 4u, arrayLength(&b));
    var sum = vec4<f32>();
    for (var j = 0u; j < quads; j++) {
        sum += b[row * quads + j] * x[params.rows / 4u + j];
    }
    y[i] = x[i / 4u][i % 4u] + params.scale * routed_factor() * dot(sum, vec4<f32>(1.0));
}
