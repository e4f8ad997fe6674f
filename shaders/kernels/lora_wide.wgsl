#variants GROUPED BY_DEPTH
// y_t = base_t + scale g_t W_e h_t, e the expert of token t: the wide half of a LoRA product, W being B; or with BY_DEPTH
// the transpose of A, without a base.
// T tokens, R rank, N output features, E experts, R and N multiples of 4; without GROUPED g is 1.
// One workgroup of 64 threads per 8 tokens of one expert and 256 output features, a thread four of them for all tokens.
// Source: Hu et al. 2021, arXiv 2106.09685; grouped as in Gale et al. 2022, arXiv 2211.15841.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> h: array<vec4<f32>>; // [T, R / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [E, N, R / 4], with BY_DEPTH [E, R, N / 4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // [T, N / 4]
#ifdef BY_DEPTH
#ifdef GROUPED
@group(0) @binding(3) var<storage, read_write> gate: array<f32>; // [T]
@group(0) @binding(4) var<storage, read_write> offsets: array<i32>; // [E + 1]
@group(0) @binding(5) var<storage, read_write> permutation: array<i32>; // [T]
@group(0) @binding(6) var<uniform> params: Params;
#else
@group(0) @binding(3) var<uniform> params: Params;
#endif
#else
@group(0) @binding(3) var<storage, read_write> base: array<vec4<f32>>; // [T, N / 4]
#ifdef GROUPED
@group(0) @binding(4) var<storage, read_write> gate: array<f32>; // [T]
@group(0) @binding(5) var<storage, read_write> offsets: array<i32>; // [E + 1]
@group(0) @binding(6) var<storage, read_write> permutation: array<i32>; // [T]
@group(0) @binding(7) var<uniform> params: Params;
#else
@group(0) @binding(4) var<uniform> params: Params;
#endif
#endif

struct Params {
    tokens: u32, // T
    rank: u32, // R
    out_features: u32, // N
    experts: u32, // E
    scale: f32,
}

const TILE = 8u; // tokens
const THREADS = 64u;

#import lora_group

// Four neighbours of the rank against four output features: a column for each of these.
fn weights(expert: u32, r: u32, quad: u32) -> mat4x4<f32> {
#ifdef BY_DEPTH
    let quads = params.out_features / 4u;
    let at = (expert * params.rank + r) * quads + quad;
    return transpose(mat4x4<f32>(weight[at], weight[at + quads], weight[at + 2u * quads], weight[at + 3u * quads]));
#else
    let fours = params.rank / 4u;
    let at = (expert * params.out_features + 4u * quad) * fours + r / 4u;
    return mat4x4<f32>(weight[at], weight[at + fours], weight[at + 2u * fours], weight[at + 3u * fours]);
#endif
}

fn store_token(token: u32, quad: u32, sums: vec4<f32>) {
    if (token == NO_TOKEN) {
        return;
    }
#ifdef GROUPED
    let factor = params.scale * gate[token];
#else
    let factor = params.scale;
#endif
    let at = token * (params.out_features / 4u) + quad;
#ifdef BY_DEPTH
    y[at] = factor * sums;
#else
    y[at] = base[at] + factor * sums;
#endif
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let quads = params.out_features / 4u;
    let columns = (quads + THREADS - 1u) / THREADS;
    let index = workgroup_index(workgroup, count);
    let group = find_group(thread, index / columns);
    let quad = (index % columns) * THREADS + thread;
    if (group.first >= group.last || quad >= quads) {
        return;
    }
    let fours = bounded(params.rank / 4u, arrayLength(&h));
    // A line without a token repeats the first: its sums are not stored.
    let first_token = token_of_line[0];
    let low = vec4<u32>(first_token, token_of_line[1], token_of_line[2], token_of_line[3]);
    let high = vec4<u32>(token_of_line[4], token_of_line[5], token_of_line[6], token_of_line[7]);
    let rows_low = fours * select(low, vec4<u32>(first_token), low == vec4<u32>(NO_TOKEN));
    let rows_high = fours * select(high, vec4<u32>(first_token), high == vec4<u32>(NO_TOKEN));
    // Written out, so that loads do not wait for each other.
    var sums_low = mat4x4<f32>();
    var sums_high = mat4x4<f32>();
    for (var four = 0u; four < fours; four++) {
        let w = weights(group.expert, 4u * four, quad);
        sums_low[0] += h[rows_low.x + four] * w;
        sums_low[1] += h[rows_low.y + four] * w;
        sums_low[2] += h[rows_low.z + four] * w;
        sums_low[3] += h[rows_low.w + four] * w;
        sums_high[0] += h[rows_high.x + four] * w;
        sums_high[1] += h[rows_high.y + four] * w;
        sums_high[2] += h[rows_high.z + four] * w;
        sums_high[3] += h[rows_high.w + four] * w;
    }
    store_token(low.x, quad, sums_low[0]);
    store_token(low.y, quad, sums_low[1]);
    store_token(low.z, quad, sums_low[2]);
    store_token(low.w, quad, sums_low[3]);
    store_token(high.x, quad, sums_high[0]);
    store_token(high.y, quad, sums_high[1]);
    store_token(high.z, quad, sums_high[2]);
    store_token(high.w, quad, sums_high[3]);
}
