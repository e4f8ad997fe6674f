// What fraction of each sequence's tokens each expert got, and its mean probability there.
// T tokens, E experts, S sequences. One workgroup of 256 threads per sequence and 16 experts: a thread sums every sixteenth
// token, and then the shares are added, the same sum every run.
#import grid

@group(0) @binding(0) var<storage, read_write> probs: array<f32>; // [T, E]
@group(0) @binding(1) var<storage, read_write> index: array<i32>; // [T]
@group(0) @binding(2) var<storage, read_write> sequences: array<i32>; // [S, 2]: first token, one past the last
@group(0) @binding(3) var<storage, read_write> fractions: array<f32>; // [S, E]
@group(0) @binding(4) var<storage, read_write> means: array<f32>; // [S, E]
@group(0) @binding(5) var<uniform> params: Params;

struct Params {
    experts: u32, // E
    sequences: u32, // S
}

const EXPERTS = 16u;
const SHARES = 16u;

var<workgroup> shares: array<vec2<f32>, 256>; // [SHARES, EXPERTS]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let parts = (params.experts + EXPERTS - 1u) / EXPERTS;
    let group = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (group >= params.sequences * parts) {
        return;
    }
    let sequence = group / parts;
    let expert = (group % parts) * EXPERTS + thread % EXPERTS;
    let first = u32(sequences[2u * sequence]);
    let last = u32(sequences[2u * sequence + 1u]);
    var sum = vec2<f32>();
    if (expert < params.experts) {
        for (var token = first + thread / EXPERTS; token < last; token += SHARES) {
            sum += vec2<f32>(select(0.0, 1.0, index[token] == i32(expert)), probs[token * params.experts + expert]);
        }
    }
    shares[thread] = sum;
    workgroupBarrier();
    if (thread < EXPERTS && expert < params.experts) {
        var total = vec2<f32>();
        for (var share = 0u; share < SHARES; share++) {
            total += shares[share * EXPERTS + thread];
        }
        total /= f32(last - first);
        fractions[sequence * params.experts + expert] = total.x;
        means[sequence * params.experts + expert] = total.y;
    }
}
