#variants GROUPED BY_DEPTH ALONE
// h_t = W_e x_t, e the expert of token t: the narrow half of a LoRA product, W being A, or with BY_DEPTH the transpose of B.
// T tokens, K input features, R rank, E experts, K and with BY_DEPTH R multiples of 4.
// One workgroup of 256 threads per 4 tokens of one expert and 32 of the rank. A thread sums 4 x 4 of them over its share of
// the features, so that a few tokens still fill a GPU; then the shares are added. With ALONE one thread sums 4 x 4 over all
// features, and nobody waits.
// Source: Hu et al. 2021, arXiv 2106.09685; grouped as in Gale et al. 2022, arXiv 2211.15841.
#import grid
#import bounded

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [T, K / 4]
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [E, R, K / 4], with BY_DEPTH [E, K, R / 4]
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

const TILE = 4u; // tokens

#import lora_group

// Four neighbours of the rank against four features k .. k + 3: a column for each of the rank.
fn weights(expert: u32, r: u32, quad: u32) -> mat4x4<f32> {
#ifdef BY_DEPTH
    let at = (expert * params.in_features + 4u * quad) * params.rank + r;
    return transpose(mat4x4<f32>(
        weight[at / 4u],
        weight[(at + params.rank) / 4u],
        weight[(at + 2u * params.rank) / 4u],
        weight[(at + 3u * params.rank) / 4u],
    ));
#else
    let quads = params.in_features / 4u;
    let row = expert * params.rank;
    // Beyond the rank the last one stands: its sums are not stored.
    let last = params.rank - 1u;
    return mat4x4<f32>(
        weight[(row + r) * quads + quad],
        weight[(row + min(r + 1u, last)) * quads + quad],
        weight[(row + min(r + 2u, last)) * quads + quad],
        weight[(row + min(r + 3u, last)) * quads + quad],
    );
#endif
}

// What two quads of the features add to the sums of the tokens whose rows of x begin at `rows`; of the second `share`. Two
// at a time, so that their loads do not wait for each other.
fn two_quads(sums: mat4x4<f32>, expert: u32, r: u32, rows: vec4<u32>, quad: u32, next: u32, share: f32) -> mat4x4<f32> {
    let w = weights(expert, r, quad);
    let w_next = weights(expert, r, next) * share;
    return sums + mat4x4<f32>(
        x[rows.x + quad] * w + x[rows.x + next] * w_next,
        x[rows.y + quad] * w + x[rows.y + next] * w_next,
        x[rows.z + quad] * w + x[rows.z + next] * w_next,
        x[rows.w + quad] * w + x[rows.w + next] * w_next,
    );
}

// Four neighbours of the rank, of one token.
fn store_four(token: u32, r: u32, sums: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        if (token != NO_TOKEN && r + j < params.rank) {
            h[token * params.rank + r + j] = sums[j];
        }
    }
}

#ifdef ALONE
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let fours = (params.rank + 3u) / 4u;
    let unit = workgroup_index(workgroup, count) * 64u + thread;
    let group = group_of(unit / fours);
    if (group.first >= group.last) {
        return;
    }
    let quads = bounded(params.in_features / 4u, arrayLength(&x));
    let tokens = vec4<u32>(token_in(group, 0u), token_in(group, 1u), token_in(group, 2u), token_in(group, 3u));
    // A line without a token repeats the first: its sums are not stored.
    let rows = quads * select(tokens, tokens.xxxx, tokens == vec4<u32>(NO_TOKEN));
    let r = (unit % fours) * 4u;
    var sums = mat4x4<f32>();
    for (var quad = 0u; quad < quads; quad += 2u) {
        sums = two_quads(sums, group.expert, r, rows, quad, min(quad + 1u, quads - 1u), f32(min(quads - quad, 2u) - 1u));
    }
    store_four(tokens.x, r, sums[0]);
    store_four(tokens.y, r, sums[1]);
    store_four(tokens.z, r, sums[2]);
    store_four(tokens.w, r, sums[3]);
}
#else
const RANKS = 32u;
const THREADS = 256u;

// Two tokens at a time: a workgroup has 16 KiB of memory for certain.
var<workgroup> shares: array<vec4<f32>, 2u * THREADS>; // [token, thread]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let columns = (params.rank + RANKS - 1u) / RANKS;
    let index = workgroup_index(workgroup, count);
    let group = find_group(thread, index / columns);
    // Uniform: the group is.
    if (group.first >= group.last) {
        return;
    }
    // Threads are shared out among the fours of the rank; a power of two for each, whose lanes are neighbours.
    let rank_0 = (index % columns) * RANKS;
    let fours = (min(params.rank - rank_0, RANKS) + 3u) / 4u;
    var lanes = THREADS;
    for (var served = 1u; served < fours; served *= 2u) {
        lanes /= 2u;
    }
    let four = thread / lanes;
    let lane = thread % lanes;
    let quads = bounded(params.in_features / 4u, arrayLength(&x));
    var sums = mat4x4<f32>();
    if (four < fours) {
        // A line without a token repeats the first: its sums are not stored.
        let tokens = vec4<u32>(token_of_line[0], token_of_line[1], token_of_line[2], token_of_line[3]);
        let rows = quads * select(tokens, tokens.xxxx, tokens == vec4<u32>(NO_TOKEN));
        let r = rank_0 + 4u * four;
        for (var quad = lane; quad < quads; quad += 2u * lanes) {
            // Beyond the features the last quad stands again, without weight.
            let next = min(quad + lanes, quads - 1u);
            let share = select(0.0, 1.0, quad + lanes < quads);
            sums = two_quads(sums, group.expert, r, rows, quad, next, share);
        }
    }
    let sharing = min(lanes, quads);
    for (var pair = 0u; pair < 2u; pair++) {
        shares[thread] = select(sums[2], sums[0], pair == 0u);
        shares[THREADS + thread] = select(sums[3], sums[1], pair == 0u);
        workgroupBarrier();
        for (var at = thread; at < 2u * fours; at += THREADS) {
            let first = (at / fours) * THREADS + (at % fours) * lanes;
            var total = vec4<f32>();
            for (var i = 0u; i < sharing; i++) {
                // Each begins elsewhere, in another bank.
                total += shares[first + (i + at) % sharing];
            }
            store_four(token_of_line[2u * pair + at / fours], rank_0 + 4u * (at % fours), total);
        }
        workgroupBarrier();
    }
}
#endif
