#variants W_F16|W_Q8|W_Q4 ALONE
// One token out of a part of a layer: y = base + W z, base the residual stream, plus the adapter. Either its wide half is
// added here, y += scale B h, with h behind z (MODE_ADD), or its narrow half h = A_e z is put behind y, for
// `decode_add.wgsl` to add (MODE_DOWN).
// K columns and N rows of W, R rank, E experts. One workgroup (with ALONE one thread) per 4 rows of
// W, then one per 4 rows of A.
#import grid

@group(0) @binding(0) var<storage, read_write> input: array<vec4<f32>>; // [K], then [R] for MODE_ADD
#ifdef W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<u32>>; // [N, K], packed
#else
#ifdef W_F16
@group(0) @binding(1) var<storage, read_write> weight: array<vec2<u32>>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [N, K]
#endif
#endif
@group(0) @binding(2) var<storage, read_write> base: array<f32>; // [N]
@group(0) @binding(3) var<storage, read_write> adapter: array<f32>; // MODE_ADD: B [N, R]; MODE_DOWN: A [E, R, K]
@group(0) @binding(4) var<storage, read_write> routing: array<f32>; // [E + 2], see `decode_in.wgsl`
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [N], then [R] for MODE_DOWN
@group(0) @binding(6) var<uniform> params: Params;

struct Params {
    in_features: u32, // K
    rows: u32, // N
    rank: u32, // R
    experts: u32, // E; 1: no router
    mode: u32, // MODE_ADD or MODE_DOWN
    scale: f32,
}

const MODE_ADD = 0u;
const MODE_DOWN = 1u;

fn z(quad: u32) -> vec4<f32> {
    return input[quad];
}

#import rows
#import total
#import bounded
#import routed

// The adapter's part of output `row`.
fn added(row: u32) -> f32 {
    var sum = 0.0;
    if (bounded(params.mode, arrayLength(&y)) == MODE_ADD) {
        for (var j = 0u; j < bounded(params.rank, arrayLength(&adapter)); j++) {
            let k = params.in_features + j;
            sum += adapter[row * params.rank + j] * input[k / 4u][k % 4u];
        }
    }
    return params.scale * sum;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let groups = (params.rows + ROWS - 1u) / ROWS;
#ifdef ALONE
    let index = WORKGROUP * workgroup_index(workgroup, count) + thread;
    let lane = 0u;
#else
    let index = workgroup_index(workgroup, count);
    let lane = thread;
#endif
    // Uniform where threads meet: depends on the workgroup and the parameters alone, as all that follows.
    if (index >= groups + select(0u, (params.rank + ROWS - 1u) / ROWS, params.mode == MODE_DOWN)) {
        return;
    }
    if (index < groups) {
        let first = ROWS * index;
        let total = workgroup_total(lane, rows_share(lane, first, params.rows, params.in_features));
        for (var i = lane; i < min(ROWS, params.rows - first); i += LANES) {
            let row = first + i;
            y[row] = base[row] + total[i] + added(row);
        }
        return;
    }
    let first = ROWS * (index - groups);
    let rows = routed_expert() * params.rank;
    var sums = vec4<f32>();
    for (var quad = lane; quad < params.in_features / 4u; quad += LANES) {
        for (var i = 0u; i < ROWS; i++) {
            let at = (rows + min(first + i, params.rank - 1u)) * params.in_features + 4u * quad;
            sums[i] += dot(vec4<f32>(adapter[at], adapter[at + 1u], adapter[at + 2u], adapter[at + 3u]), input[quad]);
        }
    }
    let total = workgroup_total(lane, sums);
    for (var i = lane; i < min(ROWS, params.rank - first); i += LANES) {
        y[params.rows + first + i] = total[i];
    }
}
