#variants ALONE
// Joins the splits of one token's attention: z_h = sum_s w_hs y_hs, w the softmax over s of the splits' logarithms of sums;
// and behind it h = A z, the narrow half of the output projection's adapter. H heads, S splits, Dh head width, R rank,
// both multiples of 4. One thread per quad of z; then one workgroup (with ALONE one thread) per 4 rows of A, which joins for itself what it
// needs.
// Source: Dao et al. 2023, "Flash-Decoding".
#import grid

@group(0) @binding(0) var<storage, read_write> partial: array<vec4<f32>>; // [H, S, Dh], then [H, S] logarithms of sums
@group(0) @binding(1) var<storage, read_write> a: array<vec4<f32>>; // [R, H Dh]
@group(0) @binding(2) var<storage, read_write> z: array<vec4<f32>>; // [H Dh + R]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    heads: u32, // H
    splits: u32, // S
    head_dim: u32, // Dh
    rank: u32, // R
}

const WORKGROUP = 64u;
const ROWS = 4u;
#ifdef ALONE
const LANES = 1u;
#else
const LANES = WORKGROUP;
#endif

#import total
#import bounded

// The logarithm of split number `split` of all heads'.
fn logarithm(split: u32) -> f32 {
    return partial[params.heads * params.splits * (params.head_dim / 4u) + split / 4u][split % 4u];
}

fn joined(quad: u32) -> vec4<f32> {
    let quads = params.head_dim / 4u;
    let splits = bounded(params.splits, arrayLength(&partial));
    let first = (quad / quads) * splits;
    var largest = logarithm(first);
    for (var split = 1u; split < splits; split++) {
        largest = max(largest, logarithm(first + split));
    }
    var total = 0.0;
    var sum = vec4<f32>();
    for (var split = 0u; split < splits; split++) {
        let weight = exp(logarithm(first + split) - largest);
        total += weight;
        sum += weight * partial[(first + split) * quads + quad % quads];
    }
    return sum / total;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let width = bounded(params.heads * (params.head_dim / 4u), arrayLength(&z));
    let elements = (width + WORKGROUP - 1u) / WORKGROUP;
    let group = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone, as all where threads meet.
    if (group < elements) {
        let k = WORKGROUP * group + thread;
        if (k < width) {
            z[k] = joined(k);
        }
        return;
    }
#ifdef ALONE
    let first = ROWS * (WORKGROUP * (group - elements) + thread);
    let lane = 0u;
#else
    let first = ROWS * (group - elements);
    let lane = thread;
#endif
    if (first >= params.rank) {
        return;
    }
    var sums = vec4<f32>();
    for (var k = lane; k < width; k += LANES) {
        let value = joined(k);
        let at = (first + vec4<u32>(0u, 1u, 2u, 3u)) * width + k;
        sums += vec4<f32>(dot(a[at.x], value), dot(a[at.y], value), dot(a[at.z], value), dot(a[at.w], value));
    }
    let total = workgroup_total(lane, sums);
    if (lane == 0u) {
        z[width + first / ROWS] = total;
    }
}
