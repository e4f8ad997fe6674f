// delta = <dy, y>: what the backward pass of attention takes from each query's gradient of the scores.
// N lines (batch, query, head), Dh head width. One thread per line.
// Source: Dao et al. 2022, arXiv 2205.14135, algorithm 4.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [N, Dh]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, Dh]
@group(0) @binding(2) var<storage, read_write> stats: array<f32>; // [N, 2]: the first is left to attention_tile_backward_q
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    lines: u32, // N
    head_dim: u32, // Dh
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let line = workgroup_index(workgroup, count) * 64u + thread;
    if (line >= params.lines) {
        return;
    }
    var sum = 0.0;
    for (var d = 0u; d < bounded(params.head_dim, arrayLength(&dy)); d++) {
        sum += dy[line * params.head_dim + d] * y[line * params.head_dim + d];
    }
    stats[2u * line + 1u] = sum;
}
