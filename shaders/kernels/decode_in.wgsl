#variants W_F16|W_Q8|W_Q4 ALONE|GATED
// One token into a part of a layer: z = x / sqrt(mean(x^2) + eps) * norm; y = W z, and behind it h = A_e z, the narrow half
// of the adapters on W, e = arg max softmax(W_r z + b_r) where there is a router.
// D model width, N rows of W, E experts (1: no router, at most 64), R1 and R2 ranks of two adapters, multiples of 4. One
// workgroup (with ALONE one thread) per eight rows of A, each of which decides for itself, so that nobody waits for a
// decision; then one per ROWS rows of W. The norm's factor is common to all columns: its squares are summed on the way, and
// it is multiplied in at the end.
// GATED: W is gate and up, the one above the other, without adapters, and y = silu(gate) * up.
// routing: the E probabilities, the expert, and the factor on its output.
// Sources: `rms_norm.wgsl`, `router_top1.wgsl`, `lora_vec.wgsl`, in one.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // [D]
@group(0) @binding(1) var<storage, read_write> norm: array<vec4<f32>>; // [D]
#ifdef W_F16 W_Q8 W_Q4
@group(0) @binding(2) var<storage, read_write> weight: array<vec4<u32>>; // [N, D], packed
#else
@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>; // [N, D]
#endif
@group(0) @binding(3) var<storage, read_write> a_1: array<vec4<f32>>; // [E, R1, D]
@group(0) @binding(4) var<storage, read_write> a_2: array<vec4<f32>>; // [E, R2, D]
@group(0) @binding(5) var<storage, read_write> router: array<vec4<f32>>; // [E, D], then [E] biases
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [N + R1 + R2]
@group(0) @binding(7) var<storage, read_write> routing: array<f32>; // [E + 2]
@group(0) @binding(8) var<uniform> params: Params;

struct Params {
    d_model: u32, // D
    rows: u32, // N
    rank_1: u32, // R1
    rank_2: u32, // R2
    experts: u32, // E
    gated: u32, // 1: an expert's output is multiplied by its probability
    eps: f32,
}

const MAX_EXPERTS = 64u;

// Of the elements that this lane has taken.
var<private> squares: f32;

fn z(quad: u32) -> vec4<f32> {
    let value = x[quad];
    squares += dot(value, value);
    return value * norm[quad];
}

#import rows
#import bounded

#ifdef ALONE
var<private> logits: array<f32, MAX_EXPERTS>;
#else
var<workgroup> logits: array<f32, MAX_EXPERTS>;
#endif

// The norm's factor, from the sum of squares.
fn factor(squares: f32) -> f32 {
    return 1.0 / sqrt(squares / f32(params.d_model) + params.eps);
}

// A quad's part of four experts' logits.
fn four_logits(first: u32, experts: u32, quad: u32, value: vec4<f32>) -> vec4<f32> {
    let at = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(experts - 1u)) * (params.d_model / 4u) + quad;
    return vec4<f32>(
        dot(router[at.x], value), dot(router[at.y], value), dot(router[at.z], value), dot(router[at.w], value)
    );
}

// The router's logits. Ends with a barrier where threads share them.
fn fill_logits(lane: u32, experts: u32) {
    let quads = bounded(params.d_model / 4u, arrayLength(&x));
    for (var first = 0u; first < experts; first += 8u) {
        var sums: Sums;
        squares = 0.0;
        for (var quad = lane; quad < quads; quad += LANES) {
            let value = z(quad);
            sums.low += four_logits(first, experts, quad, value);
            if (first + 4u < experts) {
                sums.high += four_logits(first + 4u, experts, quad, value);
            }
        }
        share_rows(lane, sums, squares);
        let scale = factor(other_total());
        for (var i = lane; i < min(8u, experts - first); i += LANES) {
            let expert = first + i;
            let bias = router[experts * quads + expert / 4u][expert % 4u];
            logits[expert] = scale * row_total(i) + bias;
        }
    }
#ifdef ALONE
#else
    workgroupBarrier();
#endif
}

// The expert, and the routing written down by one of those who decide.
fn decide(lane: u32, experts: u32, writes: bool) -> u32 {
    var best = 0u;
    for (var expert = 1u; expert < experts; expert++) {
        if (logits[expert] > logits[best]) {
            best = expert;
        }
    }
    if (writes) {
        var sum = 0.0;
        for (var expert = 0u; expert < experts; expert++) {
            sum += exp(logits[expert] - logits[best]);
        }
        for (var expert = lane; expert < experts; expert += LANES) {
            routing[expert] = exp(logits[expert] - logits[best]) / sum;
        }
        if (lane == 0u) {
            routing[experts] = f32(best);
            routing[experts + 1u] = select(1.0, 1.0 / sum, params.gated == 1u);
        }
    }
    return best;
}

// A quad's part of four rows from `first` on, which all belong to one adapter. Beyond the ranks the last four stand again.
fn four_adapter_rows(expert: u32, first: u32, quad: u32, value: vec4<f32>) -> vec4<f32> {
    let quads = params.d_model / 4u;
    let fourth = vec4<u32>(0u, 1u, 2u, 3u);
    let row = min(first, params.rank_1 + params.rank_2 - 4u);
    if (row < params.rank_1) {
        let at = (expert * params.rank_1 + row + fourth) * quads + quad;
        return vec4<f32>(dot(a_1[at.x], value), dot(a_1[at.y], value), dot(a_1[at.z], value), dot(a_1[at.w], value));
    }
    let at = (expert * params.rank_2 + row - params.rank_1 + fourth) * quads + quad;
    return vec4<f32>(dot(a_2[at.x], value), dot(a_2[at.y], value), dot(a_2[at.z], value), dot(a_2[at.w], value));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let adapter_rows = params.rank_1 + params.rank_2;
    let adapter_groups = (adapter_rows + ADAPTER_ROWS - 1u) / ADAPTER_ROWS;
#ifdef ALONE
    let index = WORKGROUP * workgroup_index(workgroup, count) + thread;
    let lane = 0u;
#else
    let index = workgroup_index(workgroup, count);
    let lane = thread;
#endif
    // Uniform where threads meet: depends on the workgroup alone, as all that follows.
    if (index >= adapter_groups + (params.rows + ROWS - 1u) / ROWS) {
        return;
    }
    var first = 0u;
    var end = 0u;
    var sums: Sums;
    if (index < adapter_groups) {
        var expert = 0u;
        let experts = bounded(params.experts, arrayLength(&routing));
        if (experts > 1u) {
            fill_logits(lane, experts);
            expert = decide(lane, experts, index == 0u);
        }
        let row = ADAPTER_ROWS * index;
        squares = 0.0;
        for (var quad = lane; quad < bounded(params.d_model / 4u, arrayLength(&x)); quad += LANES) {
            let value = z(quad);
            sums.low += four_adapter_rows(expert, row, quad, value);
            sums.high += four_adapter_rows(expert, row + 4u, quad, value);
        }
        first = params.rows + row;
        end = params.rows + adapter_rows;
    } else {
        squares = 0.0;
#ifdef GATED
        first = 4u * (index - adapter_groups);
        end = params.rows / 2u;
        sums = rows_share(lane, first, end + first, params.rows, params.d_model);
#else
        first = ROWS * (index - adapter_groups);
        end = params.rows;
        sums = rows_share(lane, first, first + 4u, params.rows, params.d_model);
#endif
    }
    share_rows(lane, sums, squares);
    let scale = factor(other_total());
#ifdef GATED
    for (var i = lane; i < min(4u, end - first); i += LANES) {
        let gate = scale * row_total(i);
        y[first + i] = gate / (1.0 + exp(-gate)) * scale * row_total(4u + i);
    }
#else
    let most = select(ROWS, ADAPTER_ROWS, index < adapter_groups);
    for (var i = lane; i < min(most, end - first); i += LANES) {
        y[first + i] = scale * row_total(i);
    }
#endif
}
