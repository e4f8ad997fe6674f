// y = x / (1 - p) where a hash of (seed, element) says keep, else 0: a mask that any pass can make again.
// One thread per element. Sources: Srivastava et al. 2014 (dropout); O'Neill 2014 (PCG hash).
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [n]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [n]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    elements: u32, // n
    seed: u32,
    threshold: u32, // an element whose hash is below is dropped: p 2^32
    scale: f32, // 1 / (1 - p)
}

#import pcg

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.elements) {
        return;
    }
    let keep = pcg(index ^ pcg(params.seed)) >= params.threshold;
    y[index] = select(0.0, x[index] * params.scale, keep);
}
