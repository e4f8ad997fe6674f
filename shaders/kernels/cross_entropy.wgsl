// Takes one chunk of the vocabulary into the running softmax of each row: its largest logit, the sum of exponentials
// relative to it, and the target's logit. After the last chunk the loss is log(sum) + largest - target logit.
// R rows, C columns of the chunk. One workgroup per row; threads stride over C.
// Source: online softmax of Milakov and Gimelshein 2018, arXiv 1805.02867.
#import grid

@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // [R, C]
@group(0) @binding(1) var<storage, read_write> targets: array<i32>; // [R]
@group(0) @binding(2) var<storage, read_write> before: array<f32>; // [R, 3]: largest, sum, target's logit
@group(0) @binding(3) var<storage, read_write> stats: array<f32>; // [R, 3]
@group(0) @binding(4) var<uniform> params: Params;

struct Params {
    rows: u32, // R
    columns: u32, // C
    first: u32, // id of the chunk's first column
}

const WORKGROUP = 128u;
const LOWEST = -3.4e38;

#import reduce

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (row >= params.rows) {
        return;
    }
    let base = row * params.columns;
    var mine = LOWEST;
    for (var c = thread; c < params.columns; c += WORKGROUP) {
        mine = max(mine, logits[base + c]);
    }
    let largest = max(before[3u * row], workgroup_max(thread, mine));
    var sum = 0.0;
    for (var c = thread; c < params.columns; c += WORKGROUP) {
        sum += exp(logits[base + c] - largest);
    }
    let total = workgroup_sum(thread, sum) + before[3u * row + 1u] * exp(before[3u * row] - largest);
    if (thread == 0u) {
        let target_column = targets[row] - i32(params.first);
        var target_logit = before[3u * row + 2u];
        if (target_column >= 0 && target_column < i32(params.columns)) {
            target_logit = logits[base + u32(target_column)];
        }
        stats[3u * row] = largest;
        stats[3u * row + 1u] = total;
        stats[3u * row + 2u] = target_logit;
    }
}
