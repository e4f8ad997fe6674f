// Picks the next token. V vocabulary. One workgroup in all; threads stride over V.
// 1. Repetition penalty on tokens already seen: logit / r where positive, logit * r where negative.
// 2. Temperature 0: the largest logit, ties to the lower index. Otherwise logits are divided by the temperature, and
// 3. top-k keeps logits >= the k-th largest; top-p keeps the fewest largest whose probability reaches p
//    (tokens with equal logits stay or go together); both thresholds are found bit by bit, so nothing is sorted;
// 4. the token is the arg max of logit + Gumbel noise over what is kept: a draw from the softmax. The noise of token
//    i at step n is a hash of (seed, n, i), so it needs no order of summation.
// A row without one finite logit yields token -1. The token is marked as seen and the step advances, in place.
// Sources: Keskar et al. 2019, arXiv 1909.05858 (penalty); Holtzman et al. 2019, arXiv 1904.09751 (top-p);
// Gumbel 1954 (arg max); O'Neill 2014 (PCG hash).

@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // [V]
@group(0) @binding(1) var<storage, read_write> seen: array<i32>; // [V], 1 where the token occurred
@group(0) @binding(2) var<storage, read_write> state: array<i32>; // [2]: seed, step
@group(0) @binding(3) var<storage, read_write> token: array<i32>; // [1]
@group(0) @binding(4) var<uniform> params: Params;

struct Params {
    vocab: u32, // V
    top_k: u32, // 0: off
    temperature: f32, // 0: greedy
    top_p: f32, // 1: off
    repetition_penalty: f32, // 1: off
}

const WORKGROUP = 256u;
const LOWEST = -3.4e38;

var<workgroup> best_value: array<f32, WORKGROUP>;
var<workgroup> best_index: array<u32, WORKGROUP>;

#import reduce
#import pcg

fn penalised(i: u32) -> f32 {
    let logit = logits[i];
    if (seen[i] == 0) {
        return logit;
    }
    return select(logit * params.repetition_penalty, logit / params.repetition_penalty, logit > 0.0);
}

// Orders as f32 does: a larger float has a larger key.
fn order_key(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn gumbel(seed: u32, step: u32, i: u32) -> f32 {
    let bits = pcg(i ^ pcg(step ^ pcg(seed)));
    let uniform_01 = (f32(bits >> 9u) + 0.5) * 1.1920929e-7; // 23 bits: the sum is exact, never 0 or 1
    return -log(-log(uniform_01));
}

// The largest value of the workgroup and its index; ties to the lower index. Uniform control flow only.
fn arg_max(thread: u32, value: f32, index: u32) -> u32 {
    best_value[thread] = value;
    best_index[thread] = index;
    workgroupBarrier();
    for (var stride = WORKGROUP / 2u; stride > 0u; stride = stride / 2u) {
        if (thread < stride) {
            let other = best_value[thread + stride];
            let other_index = best_index[thread + stride];
            let mine = best_value[thread];
            if (other > mine || (other == mine && other_index < best_index[thread])) {
                best_value[thread] = other;
                best_index[thread] = other_index;
            }
        }
        workgroupBarrier();
    }
    return best_index[0];
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    let none = params.vocab;
    let greedy = params.temperature == 0.0;
    let inverse = select(1.0 / params.temperature, 1.0, greedy);
    let seed = bitcast<u32>(state[0]);
    let step = bitcast<u32>(state[1]);

    var mine = LOWEST;
    for (var i = thread; i < params.vocab; i += WORKGROUP) {
        mine = max(mine, penalised(i) * inverse);
    }
    let largest = workgroup_max(thread, mine);

    // The key that a kept logit must reach.
    var threshold = 0u;
    if (!greedy && params.top_k > 0u && params.top_k < params.vocab) {
        for (var bit = 0x80000000u; bit > 0u; bit = bit >> 1u) {
            let candidate = threshold | bit;
            var reached = 0.0;
            for (var i = thread; i < params.vocab; i += WORKGROUP) {
                reached += select(0.0, 1.0, order_key(penalised(i) * inverse) >= candidate);
            }
            // Counts are exact in f32: a vocabulary is far below 2^24.
            if (workgroup_sum(thread, reached) >= f32(params.top_k)) {
                threshold = candidate;
            }
        }
    }
    if (!greedy && params.top_p < 1.0) {
        let floor = threshold;
        var mass = 0.0;
        for (var i = thread; i < params.vocab; i += WORKGROUP) {
            let value = penalised(i) * inverse;
            mass += select(0.0, exp(value - largest), order_key(value) >= floor);
        }
        // The largest alone contributes 1: with p = 0 it stays.
        let wanted = max(params.top_p * workgroup_sum(thread, mass), 1e-30);
        threshold = 0u;
        for (var bit = 0x80000000u; bit > 0u; bit = bit >> 1u) {
            let candidate = threshold | bit;
            var kept = 0.0;
            for (var i = thread; i < params.vocab; i += WORKGROUP) {
                let value = penalised(i) * inverse;
                kept += select(0.0, exp(value - largest), order_key(value) >= max(candidate, floor));
            }
            if (workgroup_sum(thread, kept) >= wanted) {
                threshold = candidate;
            }
        }
        threshold = max(threshold, floor);
    }

    var best = LOWEST;
    var best_at = none;
    for (var i = thread; i < params.vocab; i += WORKGROUP) {
        let value = penalised(i) * inverse;
        var score = value;
        if (!greedy) {
            score = select(LOWEST, value + gumbel(seed, step, i), order_key(value) >= threshold);
        }
        // NaN compares false and is never picked.
        if (score > best) {
            best = score;
            best_at = i;
        }
    }
    let picked = arg_max(thread, best, best_at);
    if (thread == 0u) {
        token[0] = select(i32(picked), -1, picked == none);
        state[1] = bitcast<i32>(step + 1u);
        if (picked < none) {
            seen[picked] = 1;
        }
    }
}
