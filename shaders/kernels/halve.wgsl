#variants SCALED
// x as f16, two to a word, the even element low; what f16 cannot hold is clamped to its largest. SCALED: times the power of
// two of `gradient_scale`. One thread per eight elements.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [2 octets]
#ifdef SCALED
@group(0) @binding(1) var<storage, read_write> largest: array<vec4<f32>>; // parts of the largest |x|
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>; // [octets]
@group(0) @binding(3) var<uniform> params: Params;
#else
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>; // [octets]
@group(0) @binding(2) var<uniform> params: Params;
#endif

struct Params {
    octets: u32,
}

#import octets
#ifdef SCALED
#import gradient_scale
#else
fn gradient_scale() -> f32 {
    return 1.0;
}
#endif

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = workgroup_index(workgroup, count) * 64u + thread;
    if (i >= params.octets) {
        return;
    }
    let scale = gradient_scale();
    y[i] = octet(scale * x[2u * i], scale * x[2u * i + 1u]);
}
