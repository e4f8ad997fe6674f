#variants GROUPED
// y_t = base_t + scale g_t B_e h_t, e the expert of token t: the wide half of a LoRA product, added to what it adapts.
// T tokens, R rank, N output features, E experts; without GROUPED g is 1. One workgroup per tile of 32 tokens of one
// expert and 32 output features.
// Source: Hu et al. 2021, arXiv 2106.09685; grouped as in Gale et al. 2022, arXiv 2211.15841.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> h: array<f32>; // [T, R]
@group(0) @binding(1) var<storage, read_write> b: array<f32>; // [E, N, R]
@group(0) @binding(2) var<storage, read_write> base: array<f32>; // [T, N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [T, N]
#ifdef GROUPED
@group(0) @binding(4) var<storage, read_write> gate: array<f32>; // [T]
@group(0) @binding(5) var<storage, read_write> offsets: array<i32>; // [E + 1]
@group(0) @binding(6) var<storage, read_write> permutation: array<i32>; // [T]
@group(0) @binding(7) var<uniform> params: Params;
#else
@group(0) @binding(4) var<uniform> params: Params;
#endif

struct Params {
    tokens: u32, // T
    rank: u32, // R
    out_features: u32, // N
    experts: u32, // E
    scale: f32,
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
    return h[token * params.rank + k];
}

fn right(line: u32, k: u32) -> f32 {
    let column = column_0 + line;
    if (column >= params.out_features) {
        return 0.0;
    }
    return b[(expert * params.out_features + column) * params.rank + k];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let columns = (params.out_features + TILE - 1u) / TILE;
    let index = workgroup_index(workgroup, count);
    let group = find_group(thread, index / columns);
    // Uniform: the group is.
    if (group.first >= group.last) {
        return;
    }
    expert = group.expert;
    column_0 = (index % columns) * TILE;
    let sums = tile_product(thread, 0u, bounded(params.rank, arrayLength(&h)));
    for (var i = 0u; i < 4u; i++) {
        let token = token_of_line[4u * (thread / QUADS) + i];
        if (token == NO_TOKEN) {
            continue;
        }
#ifdef GROUPED
        let factor = params.scale * gate[token];
#else
        let factor = params.scale;
#endif
        for (var j = 0u; j < 4u; j++) {
            let column = column_0 + 4u * (thread % QUADS) + j;
            if (column < params.out_features) {
                let at = token * params.out_features + column;
                y[at] = base[at] + factor * sums[i][j];
            }
        }
    }
}
