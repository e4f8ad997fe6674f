#variants W_F16|W_Q8|W_Q4 ADVANCE
// y_t = weight[ids_t]. T tokens, V vocabulary, D model width. One thread per element of y.
// With ADVANCE a decode step begins: the position moves to the token's.
#import grid

@group(0) @binding(0) var<storage, read_write> ids: array<i32>; // [T]
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [V, D], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [V, D]
#endif
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [T, D]
#ifdef ADVANCE
@group(0) @binding(3) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(4) var<uniform> params: Params;
#else
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    tokens: u32, // T
    vocab: u32, // V
    d_model: u32, // D
}

#import weight

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + thread;
#ifdef ADVANCE
    // Nobody else reads or writes it in this launch.
    if (index == 0u) {
        position[0] += 1;
    }
#endif
    if (index >= params.tokens * params.d_model) {
        return;
    }
    // The host checks ids before upload; the bound keeps a sampler's "no token" (-1) inside the table.
    let id = min(u32(max(ids[index / params.d_model], 0)), params.vocab - 1u);
    y[index] = weight_at(id, index % params.d_model, params.d_model);
}
