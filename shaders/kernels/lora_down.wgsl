#variants GROUPED
// h_t = A_e x_t, e the expert of token t: the narrow half of a LoRA product.
// T tokens, K input features, R rank, E experts. One workgroup per tile of 32 tokens of one expert and 32 of the rank.
// Source: Hu et al. 2021, arXiv 2106.09685; grouped as in Gale et al. 2022, arXiv 2211.15841.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [T, K]
@group(0) @binding(1) var<storage, read_write> a: array<f32>; // [E, R, K]
@group(0) @binding(2) var<storage, read_write> h: array<f32>; // [T, R]
#ifdef GROUPED
@group(0) @binding(3) var<storage, read_write> offsets: array<i32>; // [E + 1]
@group(0) @binding(4) var<storage, read_write> permutation: array<i32>; // [T]
@group(0) @binding(5) var<uniform> params: Params;
#else
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    tokens: u32, // T
    in_features: u32, // K
    rank: u32, // R
    experts: u32, // E
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
    return x[token * params.in_features + k];
}

fn right(line: u32, k: u32) -> f32 {
    let column = column_0 + line;
    if (column >= params.rank) {
        return 0.0;
    }
    return a[(expert * params.rank + column) * params.in_features + k];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let columns = (params.rank + TILE - 1u) / TILE;
    let index = workgroup_index(workgroup, count);
    let group = find_group(thread, index / columns);
    // Uniform: the group is.
    if (group.first >= group.last) {
        return;
    }
    expert = group.expert;
    column_0 = (index % columns) * TILE;
    let sums = tile_product(thread, 0u, bounded(params.in_features, arrayLength(&x)));
    for (var i = 0u; i < 4u; i++) {
        let token = token_of_line[4u * (thread / QUADS) + i];
        for (var j = 0u; j < 4u; j++) {
            let column = column_0 + 4u * (thread % QUADS) + j;
            if (token != NO_TOKEN && column < params.rank) {
                h[token * params.rank + column] = sums[i][j];
            }
        }
    }
}
