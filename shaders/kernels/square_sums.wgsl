// The sum of x^2 in PARTS parts, put at a place of its own among those of other tensors. One workgroup of 256 threads per
// part; a fixed order, the same sum every run.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [len]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // [tensors, PARTS]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    len: u32,
    tensor: u32, // where its sums are put
}

const PARTS = 16u;
const THREADS = 256u;

var<workgroup> shares: array<f32, THREADS>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let part = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (part >= PARTS) {
        return;
    }
    var share = 0.0;
    for (var i = part * THREADS + thread; i < bounded(params.len, arrayLength(&x)); i += PARTS * THREADS) {
        share += x[i] * x[i];
    }
    shares[thread] = share;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            shares[thread] += shares[thread + half];
        }
    }
    if (thread == 0u) {
        sums[params.tensor * PARTS + part] = shares[0];
    }
}
