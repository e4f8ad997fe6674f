#variants ALONE
// Joins the splits of one token's attention: z_h = sum_s w_hs y_hs, w the softmax over s of the splits' logarithms of sums;
// and behind it h = A z, the narrow half of the output projection's adapter. H heads, S splits, Dh head width, R rank.
// One thread per element of z; then one workgroup (with ALONE one thread) per 4 rows of A, which joins for itself what it
// needs.
// Source: Dao et al. 2023, "Flash-Decoding".
#import grid

@group(0) @binding(0) var<storage, read_write> partial: array<f32>; // [H, S, Dh], then [H, S] logarithms of sums
@group(0) @binding(1) var<storage, read_write> a: array<f32>; // [R, H Dh]
@group(0) @binding(2) var<storage, read_write> z: array<f32>; // [H Dh + R]
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

fn joined(head: u32, d: u32) -> f32 {
    let sums = params.heads * params.splits * params.head_dim + head * params.splits;
    let splits = bounded(params.splits, arrayLength(&partial));
    var largest = partial[sums];
    for (var split = 1u; split < splits; split++) {
        largest = max(largest, partial[sums + split]);
    }
    var total = 0.0;
    var sum = 0.0;
    for (var split = 0u; split < splits; split++) {
        let weight = exp(partial[sums + split] - largest);
        total += weight;
        sum += weight * partial[(head * params.splits + split) * params.head_dim + d];
    }
    return sum / total;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let width = bounded(params.heads * params.head_dim, arrayLength(&z));
    let elements = (width + WORKGROUP - 1u) / WORKGROUP;
    let group = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone, as all where threads meet.
    if (group < elements) {
        let k = WORKGROUP * group + thread;
        if (k < width) {
            z[k] = joined(k / params.head_dim, k % params.head_dim);
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
        let value = joined(k / params.head_dim, k % params.head_dim);
        for (var i = 0u; i < ROWS; i++) {
            sums[i] += a[min(first + i, params.rank - 1u) * width + k] * value;
        }
    }
    let total = workgroup_total(lane, sums);
    for (var i = lane; i < min(ROWS, params.rank - first); i += LANES) {
        z[width + first + i] = total[i];
    }
}
