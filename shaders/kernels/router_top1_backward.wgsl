// dlogit_k = p_k (dp_k - sum_j p_j dp_j): softmax's gradient. T tokens, E experts. One thread per token.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dprobs: array<f32>; // [T, E]
@group(0) @binding(1) var<storage, read_write> probs: array<f32>; // [T, E]
@group(0) @binding(2) var<storage, read_write> dlogits: array<f32>; // [T, E]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    tokens: u32, // T
    experts: u32, // E
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = workgroup_index(workgroup, count) * 64u + thread;
    if (token >= params.tokens) {
        return;
    }
    let base = token * params.experts;
    var mean = 0.0;
    for (var k = 0u; k < bounded(params.experts, arrayLength(&dprobs)); k++) {
        mean += probs[base + k] * dprobs[base + k];
    }
    for (var k = 0u; k < bounded(params.experts, arrayLength(&dprobs)); k++) {
        dlogits[base + k] = probs[base + k] * (dprobs[base + k] - mean);
    }
}
