#variants W_F16|W_Q8|W_Q4 BIAS
// y = x W^T (+ b), for few rows (decode): memory-bound, so each weight is read once per row of x.
// M rows, N output features, K input features. One workgroup owns one row of x and 4 output features;
// its threads stride over K.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [M, K]
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [N, K]
#endif
#ifdef BIAS
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [M, N]
@group(0) @binding(4) var<uniform> params: Params;
#else
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [M, N]
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

const WORKGROUP = 64u;
const OUTPUTS = 4u;

var<workgroup> partial: array<vec4<f32>, 64>;

#import weight

// Products of one thread's share of K with one weight row.
fn share(x_row: u32, w_row: u32, thread: u32) -> f32 {
    var sum = 0.0;
#ifdef W_F16
    // K is even: the host packs only even rows.
    let pairs = params.in_features / 2u;
    for (var p = thread; p < pairs; p += WORKGROUP) {
        let w = unpack2x16float(weight[w_row * pairs + p]);
        let at = x_row * params.in_features + 2u * p;
        sum += x[at] * w.x + x[at + 1u] * w.y;
    }
#else
#ifdef W_Q8 W_Q4
    // K is a multiple of 32.
    for (var k = 4u * thread; k < params.in_features; k += 4u * WORKGROUP) {
        let at = x_row * params.in_features + k;
        sum += dot(weight_quad(w_row, k, params.in_features), vec4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]));
    }
#else
    for (var k = thread; k < params.in_features; k += WORKGROUP) {
        sum += x[x_row * params.in_features + k] * weight_at(w_row, k, params.in_features);
    }
#endif
#endif
    return sum;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let groups = (params.out_features + OUTPUTS - 1u) / OUTPUTS;
    let index = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (index >= groups * params.rows) {
        return;
    }
    let row = index / groups;
    let first = (index % groups) * OUTPUTS;

    var sums = vec4<f32>();
    for (var j = 0u; j < OUTPUTS; j++) {
        if (first + j < params.out_features) {
            sums[j] = share(row, first + j, thread);
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
        let col = first + thread;
#ifdef BIAS
        y[row * params.out_features + col] = partial[0][thread] + bias[col];
#else
        y[row * params.out_features + col] = partial[0][thread];
#endif
    }
}
