// The sum of x^2 in parts, put at a place of their own among those of other tensors. One workgroup of 256 threads per part; a
// fixed order, the same sum every run.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [len]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // of all tensors
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    len: u32,
    parts: u32,
    first: u32, // where its sums are put
}

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
    if (part >= params.parts) {
        return;
    }
    // Four at a time, so that their loads do not wait for each other; beyond the end the last one counts as zero.
    let stride = params.parts * THREADS;
    let len = bounded(params.len, arrayLength(&x));
    var share = vec4<f32>();
    for (var i = part * THREADS + thread; i < len; i += 4u * stride) {
        let at = vec4<u32>(i) + stride * vec4<u32>(0u, 1u, 2u, 3u);
        let index = min(at, vec4<u32>(len - 1u));
        let value = vec4<f32>(x[index.x], x[index.y], x[index.z], x[index.w]);
        share += select(vec4<f32>(), value * value, at == index);
    }
    shares[thread] = dot(share, vec4<f32>(1.0));
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            shares[thread] += shares[thread + half];
        }
    }
    if (thread == 0u) {
        sums[params.first + part] = shares[0];
    }
}
