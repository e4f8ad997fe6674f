#variants ALONE
// p = softmax(W x + b), e = arg max p; ties go to the lower index. The router of a mixture of experts.
// T tokens, D model width, E experts (at most 64). One workgroup per token, whose threads stride over D; with ALONE one
// thread.
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

#ifdef ALONE
const LANES = 1u;

var<private> logits: array<f32, MAX_EXPERTS>;
#else
const LANES = WORKGROUP;

var<workgroup> logits: array<f32, MAX_EXPERTS>;
#endif

#import total
#import bounded

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
#ifdef ALONE
    let token = workgroup_index(workgroup, count) * WORKGROUP + thread;
    let lane = 0u;
#else
    let token = workgroup_index(workgroup, count);
    let lane = thread;
#endif
    // Uniform where threads meet: depends on the workgroup alone.
    if (token >= params.tokens) {
        return;
    }
    let experts = bounded(params.experts, arrayLength(&bias));
    let d_model = bounded(params.d_model, arrayLength(&x));
    // Four experts at a time; beyond the last it stands again, and its logit is not kept.
    for (var first = 0u; first < experts; first += 4u) {
        let rows = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(experts - 1u)) * d_model;
        var sums = vec4<f32>();
        for (var d = lane; d < d_model; d += LANES) {
            let row = vec4<f32>(weight[rows.x + d], weight[rows.y + d], weight[rows.z + d], weight[rows.w + d]);
            sums += x[token * d_model + d] * row;
        }
        let total = workgroup_total(lane, sums);
        for (var i = lane; i < min(4u, experts - first); i += LANES) {
            logits[first + i] = total[i] + bias[first + i];
        }
    }
#ifdef ALONE
#else
    workgroupBarrier();
#endif
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
    for (var expert = lane; expert < experts; expert += LANES) {
        probs[token * experts + expert] = exp(logits[expert] - logits[best]) / total;
    }
    if (lane == 0u) {
        expert_index[token] = i32(best);
    }
}
