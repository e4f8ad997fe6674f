// One tile of a matrix product: 4 QUADS x 4 QUADS elements by QUADS x QUADS threads, 4 x 4 each. Both factors go through
// workgroup memory, STEP of the contracted dimension at a time, as vectors of 4 lines: two loads feed 16 products.
// The kernel declares QUADS and defines left(line, k) and right(line, k): the factors' values on line `line` of the tile,
// 0 outside. Source: the classic blocked product; sums in f32.
const TILE = 4u * QUADS;
const STEP = 16u;

var<workgroup> left_tile: array<vec4<f32>, STEP * QUADS>; // [STEP, QUADS]
var<workgroup> right_tile: array<vec4<f32>, STEP * QUADS>;

// Sums over k in from..to, which must be uniform: rows 4 (thread / QUADS) .. + 3, columns 4 (thread % QUADS) .. + 3.
fn tile_product(thread: u32, from_k: u32, to_k: u32) -> mat4x4<f32> {
    var sums_0 = vec4<f32>();
    var sums_1 = vec4<f32>();
    var sums_2 = vec4<f32>();
    var sums_3 = vec4<f32>();
    let tx = thread % QUADS;
    let ty = thread / QUADS;
    for (var k0 = from_k; k0 < to_k; k0 += STEP) {
        for (var slot = thread; slot < STEP * QUADS; slot += QUADS * QUADS) {
            // Neighbouring threads read neighbouring k of the same four lines.
            let k = k0 + slot % STEP;
            let line = 4u * (slot / STEP);
            let at = (slot % STEP) * QUADS + slot / STEP;
            left_tile[at] = vec4<f32>();
            right_tile[at] = vec4<f32>();
            if (k < to_k) {
                left_tile[at] = vec4<f32>(left(line, k), left(line + 1u, k), left(line + 2u, k), left(line + 3u, k));
                right_tile[at] =
                    vec4<f32>(right(line, k), right(line + 1u, k), right(line + 2u, k), right(line + 3u, k));
            }
        }
        workgroupBarrier();
        for (var step = 0u; step < STEP; step++) {
            let from_left = left_tile[step * QUADS + ty];
            let from_right = right_tile[step * QUADS + tx];
            sums_0 += from_left.x * from_right;
            sums_1 += from_left.y * from_right;
            sums_2 += from_left.z * from_right;
            sums_3 += from_left.w * from_right;
        }
        workgroupBarrier();
    }
    return mat4x4<f32>(sums_0, sums_1, sums_2, sums_3);
}
