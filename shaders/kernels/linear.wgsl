#variants W_F16 BIAS
// y = x W^T (+ b), for many rows: each workgroup owns a 64 x 64 tile of y, each thread 4 x 4 of it.
// M rows, N output features, K input features. Tiles of x and W go through workgroup memory, 16 of K at a time.
// Source: the classic blocked product; sums in f32.
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [M, K]
#ifdef W_F16
@group(0) @binding(1) var<storage, read_write> weight: array<u32>; // [N, K / 2], pairs of f16
#else
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // [N, K]
#endif
#ifdef BIAS
@group(0) @binding(2) var<storage, read_write> bias: array<f32>; // [N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [M, N]
@group(0) @binding(4) var<uniform> params: Params;
#else
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [M, N]
@group(0) @binding(3) var<uniform> params: Params;
#endif

struct Params {
    rows: u32, // M
    out_features: u32, // N
    in_features: u32, // K
}

const TILE = 64u;
const STEP = 16u;
const THREADS = 256u;

var<workgroup> x_tile: array<f32, 1024>; // [STEP, TILE]
var<workgroup> w_tile: array<f32, 1024>; // [STEP, TILE]

#import weight

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles_n = (params.out_features + TILE - 1u) / TILE;
    let tiles_m = (params.rows + TILE - 1u) / TILE;
    let tile = workgroup_index(workgroup, count);
    // Uniform: depends on the workgroup alone.
    if (tile >= tiles_m * tiles_n) {
        return;
    }
    let row0 = (tile / tiles_n) * TILE;
    let col0 = (tile % tiles_n) * TILE;
    // Thread (ty, tx) owns rows row0 + ty + 16 i and columns col0 + tx + 16 j.
    let tx = thread % 16u;
    let ty = thread / 16u;

    var sums: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < params.in_features; k0 += STEP) {
        for (var i = 0u; i < 4u; i++) {
            // Neighbouring threads read neighbouring k: 16 threads share one row's 64 bytes.
            let slot = thread + i * THREADS;
            let k = slot % STEP;
            let line = slot / STEP;
            let in_k = k0 + k < params.in_features;
            var from_x = 0.0;
            if (in_k && row0 + line < params.rows) {
                from_x = x[(row0 + line) * params.in_features + k0 + k];
            }
            var from_w = 0.0;
            if (in_k && col0 + line < params.out_features) {
                from_w = weight_at((col0 + line) * params.in_features + k0 + k);
            }
            x_tile[k * TILE + line] = from_x;
            w_tile[k * TILE + line] = from_w;
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let base = k * TILE;
            let w4 = vec4<f32>(
                w_tile[base + tx],
                w_tile[base + tx + 16u],
                w_tile[base + tx + 32u],
                w_tile[base + tx + 48u],
            );
            for (var i = 0u; i < 4u; i++) {
                sums[i] += x_tile[base + ty + 16u * i] * w4;
            }
        }
        workgroupBarrier();
    }

    for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
            let row = row0 + ty + 16u * i;
            let col = col0 + tx + 16u * j;
            if (row < params.rows && col < params.out_features) {
#ifdef BIAS
                y[row * params.out_features + col] = sums[i][j] + bias[col];
#else
                y[row * params.out_features + col] = sums[i][j];
#endif
            }
        }
    }
}
