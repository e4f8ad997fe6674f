// A tile of a matrix product on matrix units: 64 x 64 elements by 128 threads. Both factors are staged as f16 in workgroup
// memory, DEPTH of the contracted dimension at a time; sums are f32. The tile is four pieces of 32 x 32, each a subgroup's.
// The size of a subgroup is not promised, so subgroups take pieces in turns until none is left: one turn with subgroups
// of 32, more with wider ones; narrower ones share a piece and each compute and store all of it, for matrices want
// uniform control flow.
// The kernel defines left_block, right_block, store_quad (see the factors_ files) and left_scale, a power of two that the
// left factor is multiplied by on its way to f16 and the sums divided by. What f16 cannot hold is clamped to its largest.
#ifdef SIZE_16
alias MatrixA = coop_mat16x16<f16, A>;
alias MatrixB = coop_mat16x16<f16, B>;
alias MatrixC = coop_mat16x16<f32, C>;
const SIZE = 16u;
const ACROSS = 2u; // matrices across a piece
#else
alias MatrixA = coop_mat8x8<f16, A>;
alias MatrixB = coop_mat8x8<f16, B>;
alias MatrixC = coop_mat8x8<f32, C>;
const SIZE = 8u;
const ACROSS = 4u;
#endif
const TILE_LINES = 64u;
const PIECE = 32u;
const PIECES = 4u;
const DEPTH = 32u;
const THREADS = 128u;
const F16_LARGEST = 65504.0;

var<workgroup> left_tile: array<f16, 2048>; // [DEPTH, TILE_LINES]
var<workgroup> right_tile: array<f16, 2048>; // [DEPTH, TILE_LINES]
var<workgroup> sums_tile: array<f32, 4096>; // [TILE_LINES, TILE_LINES]

// Stages lines from row_0 and column_0 on and DEPTH of the contracted dimension from k0 on; zeros beyond it.
fn stage(thread: u32, row_0: u32, column_0: u32, k0: u32, depth: u32, scale: f32) {
    // Four neighbouring threads read 16 neighbouring k.
    for (var slot = thread; slot < TILE_LINES / 4u * (DEPTH / 4u); slot += THREADS) {
        let k = (slot % (DEPTH / 4u)) * 4u;
        let line = (slot / (DEPTH / 4u)) * 4u;
        var left = mat4x4<f32>();
        var right = mat4x4<f32>();
        if (k0 + k < depth) {
            left = left_block(row_0 + line, k0 + k);
            right = right_block(column_0 + line, k0 + k);
        }
        for (var i = 0u; i < 4u; i++) {
            let from_left = clamp(scale * left[i], vec4<f32>(-F16_LARGEST), vec4<f32>(F16_LARGEST));
            let from_right = clamp(right[i], vec4<f32>(-F16_LARGEST), vec4<f32>(F16_LARGEST));
            let at = (k + i) * TILE_LINES + line;
            for (var j = 0u; j < 4u; j++) {
                left_tile[at + j] = f16(from_left[j]);
                right_tile[at + j] = f16(from_right[j]);
            }
        }
    }
}

// The tile number `tile` of a product of `rows` x `columns`, contracted over `depth`. Barriers stand in loops over
// `depth` and the number of subgroups, which are the same in all threads.
fn cooperative_product(
    tile: u32,
    thread: u32,
    subgroup: u32,
    subgroups: u32,
    rows: u32,
    columns: u32,
    depth: u32,
) {
    let tiles = (columns + TILE_LINES - 1u) / TILE_LINES;
    let row_0 = (tile / tiles) * TILE_LINES;
    let column_0 = (tile % tiles) * TILE_LINES;
    let scale = left_scale();
    for (var turn = 0u; turn < PIECES; turn += subgroups) {
        let piece = (turn + subgroup) % PIECES;
        let piece_row = (piece / 2u) * PIECE;
        let piece_column = (piece % 2u) * PIECE;
        var sums: array<MatrixC, ACROSS * ACROSS>;
        for (var i = 0u; i < ACROSS * ACROSS; i++) {
            sums[i] = MatrixC();
        }
        for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
            stage(thread, row_0, column_0, k0, depth, scale);
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k += SIZE) {
                for (var i = 0u; i < ACROSS; i++) {
                    let left = coopLoad<MatrixA>(&left_tile[k * TILE_LINES + piece_row + i * SIZE], TILE_LINES);
                    for (var j = 0u; j < ACROSS; j++) {
                        let right =
                            coopLoadT<MatrixB>(&right_tile[k * TILE_LINES + piece_column + j * SIZE], TILE_LINES);
                        sums[i * ACROSS + j] = coopMultiplyAdd(left, right, sums[i * ACROSS + j]);
                    }
                }
            }
            workgroupBarrier();
        }
        for (var i = 0u; i < ACROSS; i++) {
            for (var j = 0u; j < ACROSS; j++) {
                let at = (piece_row + i * SIZE) * TILE_LINES + piece_column + j * SIZE;
                coopStoreT(sums[i * ACROSS + j], &sums_tile[at], TILE_LINES);
            }
        }
    }
    workgroupBarrier();
    for (var slot = thread; slot < TILE_LINES * TILE_LINES / 4u; slot += THREADS) {
        let line = slot / (TILE_LINES / 4u);
        let quad = (slot % (TILE_LINES / 4u)) * 4u;
        let at = line * TILE_LINES + quad;
        let sums = vec4<f32>(sums_tile[at], sums_tile[at + 1u], sums_tile[at + 2u], sums_tile[at + 3u]);
        store_quad(row_0 + line, column_0 + quad, sums / scale);
    }
}
