// dlogit = dloss (softmax - 1 at the target) for one chunk of the vocabulary, from the finished statistics.
// R rows, C columns of the chunk. One thread per element.
#import grid

@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // [R, C]
@group(0) @binding(1) var<storage, read_write> targets: array<i32>; // [R]
@group(0) @binding(2) var<storage, read_write> stats: array<f32>; // [R, 3]: largest, sum, target's logit
@group(0) @binding(3) var<storage, read_write> dloss: array<f32>; // [R]
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>; // [R, C]
@group(0) @binding(5) var<uniform> params: Params;

struct Params {
    rows: u32, // R
    columns: u32, // C
    first: u32, // id of the chunk's first column
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.rows * params.columns) {
        return;
    }
    let row = index / params.columns;
    let id = params.first + index % params.columns;
    let probability = exp(logits[index] - stats[3u * row]) / stats[3u * row + 1u];
    dlogits[index] = dloss[row] * (probability - select(0.0, 1.0, i32(id) == targets[row]));
}
