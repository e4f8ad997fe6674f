#variants GROUPED ADD
// Either half of a LoRA product for few tokens (decode): z_t = W_e x_t, and with ADD y_t = base_t + scale g_t z_t.
// T tokens, K input features, N output features, E experts. The expert's number is read here, on the GPU: nothing is
// sorted and nothing read back. One workgroup per token and 4 output features; its threads stride over K.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [T, K]
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [E, N, K]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [T, N]
#ifdef GROUPED
@group(0) @binding(3) var<storage, read_write> expert_index: array<i32>; // [T]
#ifdef ADD
@group(0) @binding(4) var<storage, read_write> gate: array<f32>; // [T]
@group(0) @binding(5) var<storage, read_write> base: array<f32>; // [T, N]
@group(0) @binding(6) var<uniform> params: Params;
#else
@group(0) @binding(4) var<uniform> params: Params;
#endif
#else
#ifdef ADD
@group(0) @binding(3) var<storage, read_write> base: array<f32>; // [T, N]
@group(0) @binding(4) var<uniform> params: Params;
#else
@group(0) @binding(3) var<uniform> params: Params;
#endif
#endif

struct Params {
    tokens: u32, // T
    in_features: u32, // K
    out_features: u32, // N
    experts: u32, // E
    scale: f32,
}

const WORKGROUP = 64u;
const OUTPUTS = 4u;

var<workgroup> partial: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let groups = (params.out_features + OUTPUTS - 1u) / OUTPUTS;
    let index = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (index >= groups * params.tokens) {
        return;
    }
    let token = index / groups;
    let first = (index % groups) * OUTPUTS;
    var expert = 0u;
#ifdef GROUPED
    expert = min(u32(max(expert_index[token], 0)), params.experts - 1u);
#endif
    var sums = vec4<f32>();
    for (var j = 0u; j < OUTPUTS; j++) {
        if (first + j < params.out_features) {
            let row = (expert * params.out_features + first + j) * params.in_features;
            var sum = 0.0;
            for (var k = thread; k < params.in_features; k += WORKGROUP) {
                sum += x[token * params.in_features + k] * weight[row + k];
            }
            sums[j] = sum;
        }
    }
    partial[thread] = sums;
    workgroupBarrier();
    for (var stride = WORKGROUP / 2u; stride > 0u; stride = stride / 2u) {
        if (thread < stride) {
            partial[thread] += partial[thread + stride];
        }
        workgroupBarrier();
    }
    if (thread < OUTPUTS && first + thread < params.out_features) {
        let at = token * params.out_features + first + thread;
        let sum = partial[0][thread];
#ifdef ADD
#ifdef GROUPED
        y[at] = base[at] + params.scale * gate[token] * sum;
#else
        y[at] = base[at] + params.scale * sum;
#endif
#else
        y[at] = sum;
#endif
    }
}
