// y_n = sum_m x_mn: the gradient of what is added to every row. M rows, N columns. One thread per column, which sums the
// rows in order.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [M, N]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    columns: u32, // N
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = workgroup_index(workgroup, count) * 64u + thread;
    if (column >= params.columns) {
        return;
    }
    var sum = 0.0;
    for (var row = 0u; row < bounded(params.rows, arrayLength(&x)); row++) {
        sum += x[row * params.columns + column];
    }
    y[column] = sum;
}
