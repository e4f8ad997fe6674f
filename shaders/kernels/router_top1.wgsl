// p = softmax(W x + b), e = arg max p; ties go to the lower index. The router of a mixture of experts.
// T tokens, D model width, E experts (at most 64). One workgroup per token; threads stride over D.
// Source: Fedus et al. 2021, arXiv 2101.03961, section 2.1; with a bias as LLaVA-MoLE has it, arXiv 2401.16160.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [T, D]
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [E, D]
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [E]
@group(0) @binding(3) var<storage, read_write> probs: array<f32>; // [T, E]
@group(0) @binding(4) var<storage, read_write> expert_index: array<i32>; // [T]
@group(0) @binding(5) var<uniform> params: Params;

struct Params {
    tokens: u32, // T
    d_model: u32, // D
    experts: u32, // E
}

const WORKGROUP = 64u;
const MAX_EXPERTS = 64u;

var<workgroup> logits: array<f32, MAX_EXPERTS>;

#import reduce
#import bounded

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (token >= params.tokens) {
        return;
    }
    let experts = bounded(params.experts, arrayLength(&bias));
    for (var expert = 0u; expert < experts; expert++) {
        var sum = 0.0;
        for (var d = thread; d < params.d_model; d += WORKGROUP) {
            sum += x[token * params.d_model + d] * weight[expert * params.d_model + d];
        }
        let logit = workgroup_sum(thread, sum);
        if (thread == 0u) {
            logits[expert] = logit + bias[expert];
        }
    }
    workgroupBarrier();
    // A handful of numbers: each thread runs over all of them and writes one.
    var best = 0u;
    for (var expert = 1u; expert < experts; expert++) {
        if (logits[expert] > logits[best]) {
            best = expert;
        }
    }
    var total = 0.0;
    for (var expert = 0u; expert < experts; expert++) {
        total += exp(logits[expert] - logits[best]);
    }
    if (thread < params.experts) {
        probs[token * params.experts + thread] = exp(logits[thread] - logits[best]) / total;
    }
    if (thread == 0u) {
        expert_index[token] = i32(best);
    }
}
