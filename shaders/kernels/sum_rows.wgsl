// y_n = sum_m x_mn: the gradient of what is added to every row. M rows, N columns. One workgroup of 256 threads per 16
// columns: a thread sums every sixteenth row, and then the shares are added, the same sum every run.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [M, N]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    rows: u32, // M
    columns: u32, // N
}

const COLUMNS = 16u;
const SHARES = 16u;

var<workgroup> shares: array<f32, 256>; // [SHARES, COLUMNS]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (group * COLUMNS >= params.columns) {
        return;
    }
    let column = group * COLUMNS + thread % COLUMNS;
    var sum = 0.0;
    if (column < params.columns) {
        for (var row = thread / COLUMNS; row < bounded(params.rows, arrayLength(&x)); row += SHARES) {
            sum += x[row * params.columns + column];
        }
    }
    shares[thread] = sum;
    workgroupBarrier();
    if (thread < COLUMNS && column < params.columns) {
        var total = 0.0;
        for (var share = 0u; share < SHARES; share++) {
            total += shares[share * COLUMNS + thread];
        }
        y[column] = total;
    }
}
