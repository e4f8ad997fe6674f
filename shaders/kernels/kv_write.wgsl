// cache[b, position + t] = value[b, t]: appends keys or values to the static cache, in place.
// B batch, T new tokens, C context, E = kv heads x head width. One thread per element.
#import grid

@group(0) @binding(0) var<storage, read_write> value: array<f32>; // [B, T, E]
@group(0) @binding(1) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(2) var<storage, read_write> cache: array<f32>; // [B, C, E]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    batch: u32, // B
    tokens: u32, // T
    context: u32, // C
    width: u32, // E
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.batch * params.tokens * params.width) {
        return;
    }
    let element = index % params.width;
    let row = index / params.width;
    let batch = row / params.tokens;
    let at = u32(max(position[0], 0)) + row % params.tokens;
    // A decode step launched beyond the context (read back one step late) writes nothing.
    if (at < params.context) {
        cache[(batch * params.context + at) * params.width + element] = value[index];
    }
}
