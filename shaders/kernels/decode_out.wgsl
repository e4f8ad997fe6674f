#variants W_F16|W_Q8|W_Q4 ALONE
// One token out of a part of a layer: y = base + W z, base the residual stream, plus the adapter. Either its wide half is
// added here, y += scale B h, with h behind z (MODE_ADD), or its narrow half h = A_e z is put behind y, for
// `decode_add.wgsl` to add (MODE_DOWN).
// K columns and N rows of W, R rank, E experts. One workgroup (with ALONE one thread) per eight rows of A, then one per ROWS
// rows of W.
#import grid

@group(0) @binding(0) var<storage, read_write> input: array<vec4<f32>>; // [K], then [R] for MODE_ADD
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<u32>>; // [N, K], packed
#else
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [N, K]
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
#import bounded
#import routed

fn adapter_quad(row: u32, quad: u32) -> vec4<f32> {
    let at = row * params.in_features + 4u * quad;
    return vec4<f32>(adapter[at], adapter[at + 1u], adapter[at + 2u], adapter[at + 3u]);
}

// A quad's part of four rows of A, whose rows begin at `rows`.
fn four_adapter_rows(rows: u32, first: u32, quad: u32) -> vec4<f32> {
    let row = rows + min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rank - 1u));
    let value = input[quad];
    return vec4<f32>(
        dot(adapter_quad(row.x, quad), value),
        dot(adapter_quad(row.y, quad), value),
        dot(adapter_quad(row.z, quad), value),
        dot(adapter_quad(row.w, quad), value),
    );
}

// Column j of four rows of B.
fn four_adapter_columns(first: u32, j: u32) -> vec4<f32> {
    let at = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rows - 1u)) * params.rank + j;
    return vec4<f32>(adapter[at.x], adapter[at.y], adapter[at.z], adapter[at.w]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rank = bounded(params.rank, arrayLength(&adapter));
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
        let rows = routed_expert() * params.rank;
        var sums: Sums;
        for (var quad = lane; quad < params.in_features / 4u; quad += LANES) {
            sums.low += four_adapter_rows(rows, first, quad);
            sums.high += four_adapter_rows(rows, first + 4u, quad);
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
        for (var j = lane; j < rank; j += LANES) {
            let k = params.in_features + j;
            let h = params.scale * input[k / 4u][k % 4u];
            sums.low += h * four_adapter_columns(first, j);
#ifdef ALONE
#else
            sums.high += h * four_adapter_columns(first + 4u, j);
#endif
        }
    }
    share_rows(lane, sums, 0.0);
    for (var i = lane; i < min(ROWS, params.rows - first); i += LANES) {
        y[first + i] = base[first + i] + row_total(i);
    }
}
