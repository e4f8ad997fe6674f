#variants W_F16|W_Q8|W_Q4 ALONE
// One token out of a part of a layer: y = base + W z, base the residual stream, plus the adapter. Either its wide half is
// added here, y += scale B h, with h behind z (MODE_ADD), or its narrow half h = A_e z is put behind y, for
// `decode_add.wgsl` to add (MODE_DOWN).
// K columns and N rows of W, R rank (a multiple of 4), E experts. One workgroup (with ALONE one thread) per eight rows of
// A, then one per ROWS rows of W.
#import grid

@group(0) @binding(0) var<storage, read_write> input: array<vec4<f32>>; // [K], then [R] for MODE_ADD
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<u32>>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [N, K]
#endif
@group(0) @binding(2) var<storage, read_write> base: array<f32>; // [N]
@group(0) @binding(3) var<storage, read_write> adapter: array<vec4<f32>>; // MODE_ADD: B [N, R]; MODE_DOWN: A [E, R, K]
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
#import bounded
#import routed

// Quads of four of the adapter's rows against one.
fn four_adapter_rows(at: vec4<u32>, value: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        dot(adapter[at.x], value), dot(adapter[at.y], value), dot(adapter[at.z], value), dot(adapter[at.w], value)
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let fourth = vec4<u32>(0u, 1u, 2u, 3u);
    let narrow = params.mode == MODE_DOWN;
    let adapter_groups = select(0u, (params.rank + ADAPTER_ROWS - 1u) / ADAPTER_ROWS, narrow);
#ifdef ALONE
    let index = WORKGROUP * workgroup_index(workgroup, count) + thread;
    let lane = 0u;
#else
    let index = workgroup_index(workgroup, count);
    let lane = thread;
#endif
    // Uniform where threads meet: depends on the workgroup and the parameters alone, as all that follows.
    if (index >= adapter_groups + (params.rows + ROWS - 1u) / ROWS) {
        return;
    }
    if (index < adapter_groups) {
        let first = ADAPTER_ROWS * index;
        let quads = params.in_features / 4u;
        let rows = routed_expert() * params.rank;
        // A second four beyond the rank repeats the last.
        let low = (rows + first + fourth) * quads;
        let high = (rows + min(first + 4u, params.rank - 4u) + fourth) * quads;
        var sums: Sums;
        for (var quad = lane; quad < quads; quad += LANES) {
            let value = input[quad];
            sums.low += four_adapter_rows(low + quad, value);
            sums.high += four_adapter_rows(high + quad, value);
        }
        share_rows(lane, sums, 0.0);
        for (var i = lane; i < min(ADAPTER_ROWS, params.rank - first); i += LANES) {
            y[params.rows + first + i] = row_total(i);
        }
        return;
    }
    let first = ROWS * (index - adapter_groups);
    var sums = rows_share(lane, first, first + 4u, params.rows, params.in_features);
    if (!narrow) {
        let quads = bounded(params.rank / 4u, arrayLength(&adapter));
        let low = min(first + fourth, vec4<u32>(params.rows - 1u)) * quads;
#ifdef ALONE
#else
        let high = min(first + 4u + fourth, vec4<u32>(params.rows - 1u)) * quads;
#endif
        for (var j = lane; j < quads; j += LANES) {
            let h = params.scale * input[params.in_features / 4u + j];
            sums.low += four_adapter_rows(low + j, h);
#ifdef ALONE
#else
            sums.high += four_adapter_rows(high + j, h);
#endif
        }
    }
    share_rows(lane, sums, 0.0);
    for (var i = lane; i < min(ROWS, params.rows - first); i += LANES) {
        y[first + i] = base[first + i] + row_total(i);
    }
}
