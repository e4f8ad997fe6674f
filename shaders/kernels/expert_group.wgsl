// Sorts tokens by expert, in order within an expert: a counting sort. offsets[e] is where expert e begins.
// T tokens, E experts. One workgroup in all: each thread owns a run of consecutive tokens; for one expert after another
// it counts its own, the counts are summed up to each thread, and it places them. No atomics, the same order every run.
// Source: counting sort; the scan is that of Hillis and Steele 1986.

@group(0) @binding(0) var<storage, read_write> expert_index: array<i32>; // [T]
@group(0) @binding(1) var<storage, read_write> offsets: array<i32>; // [E + 1]
@group(0) @binding(2) var<storage, read_write> permutation: array<i32>; // [T]
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
    tokens: u32, // T
    experts: u32, // E
}

const WORKGROUP = 256u;

#import bounded

var<workgroup> counts: array<u32, WORKGROUP>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    let run = (params.tokens + WORKGROUP - 1u) / WORKGROUP;
    let first = min(thread * run, params.tokens);
    let last = min(first + run, params.tokens);
    var start = 0u;
    for (var expert = 0u; expert < bounded(params.experts, arrayLength(&offsets)); expert++) {
        var mine = 0u;
        for (var t = first; t < last; t++) {
            mine += select(0u, 1u, u32(expert_index[t]) == expert);
        }
        counts[thread] = mine;
        workgroupBarrier();
        // Afterwards counts[i] is the sum over threads 0..=i.
        for (var distance = 1u; distance < WORKGROUP; distance = distance * 2u) {
            var before = 0u;
            if (thread >= distance) {
                before = counts[thread - distance];
            }
            workgroupBarrier();
            counts[thread] += before;
            workgroupBarrier();
        }
        var at = start + counts[thread] - mine;
        for (var t = first; t < last; t++) {
            if (u32(expert_index[t]) == expert) {
                permutation[at] = i32(t);
                at++;
            }
        }
        if (thread == 0u) {
            offsets[expert] = i32(start);
        }
        start += counts[WORKGROUP - 1u];
        // The counts are written again for the next expert.
        workgroupBarrier();
    }
    if (thread == 0u) {
        offsets[params.experts] = i32(start);
    }
}
