// dweight_v = sum of dy_t over the tokens t with id v: the gradient of an embedding table. T tokens, V vocabulary, D model
// width. One thread per element of the table, which sums its tokens in order: no atomics, the same sum every run.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [T, D]
@group(0) @binding(1) var<storage, read_write> ids: array<i32>; // [T]
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>; // [V, D]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    tokens: u32, // T
    vocab: u32, // V
    d_model: u32, // D
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.vocab * params.d_model) {
        return;
    }
    let row = index / params.d_model;
    let d = index % params.d_model;
    var sum = 0.0;
    for (var t = 0u; t < bounded(params.tokens, arrayLength(&dy)); t++) {
        // As in the forward pass, an id outside the table counts as its nearest row.
        if (u32(clamp(ids[t], 0, i32(params.vocab) - 1)) == row) {
            sum += dy[t * params.d_model + d];
        }
    }
    dweight[index] = sum;
}
