#variants GROUPED
// dx_t = scale g_t W_e^T dy_t, e the expert of token t: the input's gradient of one half of a LoRA product, W being A or B.
// T tokens, N features of dy, K features of dx, E experts; without GROUPED, or with gated 0, g is 1. One workgroup per
// tile of 32 tokens of one expert and 32 features of dx.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [T, N]
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [E, N, K]
@group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [T, K]
#ifdef GROUPED
@group(0) @binding(3) var<storage, read_write> gate: array<f32>; // [T]
@group(0) @binding(4) var<storage, read_write> offsets: array<i32>; // [E + 1]
@group(0) @binding(5) var<storage, read_write> permutation: array<i32>; // [T]
@group(0) @binding(6) var<uniform> params: Params;
#else
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    tokens: u32, // T
    out_features: u32, // N
    in_features: u32, // K
    experts: u32, // E
    scale: f32,
    gated: u32, // whether g is multiplied in
}

const QUADS = 8u;

#import tile
#import lora_group

var<private> expert: u32;
var<private> column_0: u32;

fn left(line: u32, k: u32) -> f32 {
    let token = token_of_line[line];
    if (token == NO_TOKEN) {
        return 0.0;
    }
    return dy[token * params.out_features + k];
}

fn right(line: u32, k: u32) -> f32 {
    let column = column_0 + line;
    if (column >= params.in_features) {
        return 0.0;
    }
    return weight[(expert * params.out_features + k) * params.in_features + column];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let columns = (params.in_features + TILE - 1u) / TILE;
    let index = workgroup_index(workgroup, count);
    let group = find_group(thread, index / columns);
    // Uniform: the group is.
    if (group.first >= group.last) {
        return;
    }
    expert = group.expert;
    column_0 = (index % columns) * TILE;
    let sums = tile_product(thread, 0u, bounded(params.out_features, arrayLength(&dy)));
    for (var i = 0u; i < 4u; i++) {
        let token = token_of_line[4u * (thread / QUADS) + i];
        if (token == NO_TOKEN) {
            continue;
        }
        var factor = params.scale;
#ifdef GROUPED
        if (params.gated == 1u) {
            factor *= gate[token];
        }
#endif
        for (var j = 0u; j < 4u; j++) {
            let column = column_0 + 4u * (thread % QUADS) + j;
            if (column < params.in_features) {
                dx[token * params.in_features + column] = factor * sums[i][j];
            }
        }
    }
}
