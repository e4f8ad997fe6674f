// The largest |x|, in as many parts as there are workgroups of 256 threads: the largest of them all is that of x.
// len elements in quads, the last of which may be short.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [len / 4]
@group(0) @binding(1) var<storage, read_write> largest: array<f32>; // [workgroups]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    quads: u32,
    parts: u32, // workgroups that take part
}

const THREADS = 256u;

var<workgroup> shares: array<vec4<f32>, THREADS>;

#import bounded

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
    // Four at a time, so that their loads do not wait for each other; beyond the end the last one stands again.
    let stride = params.parts * THREADS;
    let quads = bounded(params.quads, arrayLength(&x));
    var share = vec4<f32>();
    for (var quad = part * THREADS + thread; quad < quads; quad += 4u * stride) {
        let at = min(vec4<u32>(quad) + stride * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(quads - 1u));
        share = max(share, max(max(abs(x[at.x]), abs(x[at.y])), max(abs(x[at.z]), abs(x[at.w]))));
    }
    shares[thread] = share;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            shares[thread] = max(shares[thread], shares[thread + half]);
        }
    }
    if (thread == 0u) {
        let all = shares[0];
        largest[part] = max(max(all.x, all.y), max(all.z, all.w));
    }
}
