#variants GROUPED TRANSPOSED
// dW_e = scale sum_t g_t n_t w_t^T over the tokens t of expert e, n being narrow and w wide: the gradient of A, n its
// output's gradient and w its input; or, TRANSPOSED, of B, n its input and w its output's gradient.
// T tokens, R rank, N features of w, E experts, both multiples of 4; without GROUPED g is 1.
// One workgroup of 256 threads per expert, 64 features and 8 of the rank. A thread sums 4 x 8 of them over every sixteenth
// token of the sorted order; then the shares are added: no atomics, the same sum every run. An expert without tokens gets
// zeros.
#import grid

@group(0) @binding(0) var<storage, read_write> narrow: array<vec4<f32>>; // [T, R / 4]
@group(0) @binding(1) var<storage, read_write> wide: array<vec4<f32>>; // [T, N / 4]
@group(0) @binding(2) var<storage, read_write> dw: array<f32>; // [E, R, N]; TRANSPOSED [E, N, R]
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
    rank: u32, // R
    features: u32, // N
    experts: u32, // E
    scale: f32,
}

const QUADS = 16u; // of the features, side by side
const SHARES = 16u; // threads that share the tokens
const RANKS = 8u;
const ROUND = 4u; // of the rank, whose shares are added at a time

var<workgroup> shares: array<vec4<f32>, 1024>; // [ROUND, SHARES, QUADS]

// Adds the shares of four of the rank and stores them.
fn add(thread: u32, expert: u32, rank_0: u32, quad_0: u32, sums: array<vec4<f32>, 4>) {
    var own = sums;
    workgroupBarrier();
    for (var i = 0u; i < ROUND; i++) {
        shares[i * SHARES * QUADS + thread] = own[i];
    }
    workgroupBarrier();
    let quad = quad_0 + thread % QUADS;
    let r = rank_0 + thread / QUADS;
    if (thread / QUADS >= ROUND || 4u * quad >= params.features || r >= params.rank) {
        return;
    }
    var total = vec4<f32>();
    for (var share = 0u; share < SHARES; share++) {
        total += shares[(thread / QUADS * SHARES + share) * QUADS + thread % QUADS];
    }
    for (var j = 0u; j < 4u; j++) {
#ifdef TRANSPOSED
        let at = (expert * params.features + 4u * quad + j) * params.rank + r;
#else
        let at = (expert * params.rank + r) * params.features + 4u * quad + j;
#endif
        dw[at] = params.scale * total[j];
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let across = (params.features / 4u + QUADS - 1u) / QUADS;
    let down = (params.rank + RANKS - 1u) / RANKS;
    let index = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (index >= params.experts * across * down) {
        return;
    }
    let expert = index / (across * down);
    let rank_0 = (index / across % down) * RANKS;
    let quad_0 = (index % across) * QUADS;
#ifdef GROUPED
    let first = u32(offsets[expert]);
    let last = u32(offsets[expert + 1u]);
#else
    let first = 0u;
    let last = min(params.tokens, arrayLength(&narrow));
#endif
    let quads = params.features / 4u;
    let fours = params.rank / 4u;
    // Beyond the features and the rank the last ones stand: their sums are not stored.
    let quad = min(quad_0 + thread % QUADS, quads - 1u);
    let low = rank_0 / 4u;
    let high = min(low + 1u, fours - 1u);
    var sums: array<vec4<f32>, 4>;
    var more: array<vec4<f32>, 4>;
    for (var at = first + thread / QUADS; at < last; at += SHARES) {
#ifdef GROUPED
        let token = u32(permutation[at]);
        let factor = gate[token];
#else
        let token = at;
        let factor = 1.0;
#endif
        let w = factor * wide[token * quads + quad];
        let n_low = narrow[token * fours + low];
        let n_high = narrow[token * fours + high];
        sums[0] += n_low.x * w;
        sums[1] += n_low.y * w;
        sums[2] += n_low.z * w;
        sums[3] += n_low.w * w;
        more[0] += n_high.x * w;
        more[1] += n_high.y * w;
        more[2] += n_high.z * w;
        more[3] += n_high.w * w;
    }
    add(thread, expert, rank_0, quad_0, sums);
    add(thread, expert, rank_0 + 4u, quad_0, more);
}
