#variants GROUPED
// dW_e = scale sum_t g_t dy_t x_t^T over the tokens t of expert e: the gradient of one half of a LoRA product.
// T tokens, N features of dy, K features of x, E experts; without GROUPED g is 1. One workgroup per expert and 32 x 32
// tile of its weight, which sums its tokens in their sorted order: no atomics, the same sum every run. An expert without
// tokens gets zeros.
#import grid

@group(0) @binding(0) var<storage, read_write> dy: array<f32>; // [T, N]
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [T, K]
@group(0) @binding(2) var<storage, read_write> dw: array<f32>; // [E, N, K]
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
}

const QUADS = 8u;

#import tile

var<workgroup> bounds: vec2<u32>;
var<private> row_0: u32;
var<private> column_0: u32;

fn token_at(k: u32) -> u32 {
#ifdef GROUPED
    return u32(permutation[k]);
#else
    return k;
#endif
}

fn left(line: u32, k: u32) -> f32 {
    let row = row_0 + line;
    if (row >= params.out_features) {
        return 0.0;
    }
    let token = token_at(k);
#ifdef GROUPED
    return gate[token] * dy[token * params.out_features + row];
#else
    return dy[token * params.out_features + row];
#endif
}

fn right(line: u32, k: u32) -> f32 {
    let column = column_0 + line;
    if (column >= params.in_features) {
        return 0.0;
    }
    return x[token_at(k) * params.in_features + column];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rows = (params.out_features + TILE - 1u) / TILE;
    let columns = (params.in_features + TILE - 1u) / TILE;
    let index = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (index >= params.experts * rows * columns) {
        return;
    }
    let expert = index / (rows * columns);
    row_0 = (index / columns % rows) * TILE;
    column_0 = (index % columns) * TILE;
    if (thread == 0u) {
#ifdef GROUPED
        bounds = vec2<u32>(u32(offsets[expert]), u32(offsets[expert + 1u]));
#else
        bounds = vec2<u32>(0u, params.tokens);
#endif
    }
    // The product's barriers stand in a loop over these bounds.
    let range = workgroupUniformLoad(&bounds);
    let sums = tile_product(thread, range.x, range.y);
    for (var i = 0u; i < 4u; i++) {
        let row = row_0 + 4u * (thread / QUADS) + i;
        for (var j = 0u; j < 4u; j++) {
            let column = column_0 + 4u * (thread % QUADS) + j;
            if (row < params.out_features && column < params.in_features) {
                dw[(expert * params.out_features + row) * params.in_features + column] = params.scale * sums[i][j];
            }
        }
    }
}
