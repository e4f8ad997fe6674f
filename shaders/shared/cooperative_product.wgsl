// A tile of a matrix product on matrix units: 8 x 8 matrices by 256 threads, which is 128 x 128 elements, or 64 x 64 with
// matrices of 8 x 8. Both factors are staged as f16 in workgroup memory, DEPTH of the contracted dimension at a time; sums
// are f32. The next step's factors are read before this one's products, so that their latency hides behind them.
// The tile is eight pieces of 4 x 2 matrices, each a subgroup's. The size of a subgroup is not promised, so subgroups take
// pieces in turns until none is left: one turn with subgroups of 32, more with wider ones; narrower ones share a piece and
// each compute and store all of it, for matrices want uniform control flow.
// The kernel defines left_quad(line, k) and right_half(line, k), four elements from there on that are neighbours in memory:
// lines where LEFT_BY_DEPTH or RIGHT_BY_DEPTH is true, else contracted indices; store_quad; and left_scale, a power of two
// that the left factor is multiplied by on its way to f16 and the sums divided by.
#import halves
#ifdef SIZE_16
alias MatrixA = coop_mat16x16<f16, A>;
alias MatrixB = coop_mat16x16<f16, B>;
alias MatrixC = coop_mat16x16<f32, C>;
const SIZE = 16u;
#else
alias MatrixA = coop_mat8x8<f16, A>;
alias MatrixB = coop_mat8x8<f16, B>;
alias MatrixC = coop_mat8x8<f32, C>;
const SIZE = 8u;
#endif
const TILE_LINES = 8u * SIZE;
const PIECES = 8u;
const DEPTH = 32u;
const THREADS = 256u;
// Quads of a tile, by thread.
const QUADS = TILE_LINES * DEPTH / 4u / THREADS;
// Quads from one line to the next, or from one contracted index to the next; two more than there are, so that neighbouring
// lines begin in other banks.
const LINE_STRIDE = DEPTH / 4u + 2u;
const DEPTH_STRIDE = TILE_LINES / 4u + 2u;
// Room for either order.
const TILE_QUADS = max(TILE_LINES * LINE_STRIDE, DEPTH * DEPTH_STRIDE);
const MATRIX_QUADS = SIZE * SIZE / 4u;

var<workgroup> left_tile: array<vec4<f16>, TILE_QUADS>;
var<workgroup> right_tile: array<vec4<f16>, TILE_QUADS>;
var<workgroup> patches: array<vec4<f32>, PIECES * MATRIX_QUADS>; // a matrix of each piece

// Line and contracted index of a thread's quad, within the tile.
fn place(slot: u32, by_depth: bool) -> vec2<u32> {
    if (by_depth) {
        return vec2<u32>((slot % (TILE_LINES / 4u)) * 4u, slot / (TILE_LINES / 4u));
    }
    return vec2<u32>(slot / (DEPTH / 4u), (slot % (DEPTH / 4u)) * 4u);
}

// Where it is staged.
fn address(slot: u32, by_depth: bool) -> u32 {
    if (by_depth) {
        return (slot / (TILE_LINES / 4u)) * DEPTH_STRIDE + slot % (TILE_LINES / 4u);
    }
    return (slot / (DEPTH / 4u)) * LINE_STRIDE + slot % (DEPTH / 4u);
}

// The quads that a thread stages next; zeros beyond the contracted dimension.
fn next_left(slot: u32, line_0: u32, k0: u32, depth: u32, scale: f32) -> vec4<f16> {
    let at = vec2<u32>(line_0, k0) + place(slot, LEFT_BY_DEPTH);
    if (at.y >= depth) {
        return vec4<f16>();
    }
    return half(scale * left_quad(at.x, at.y));
}

fn next_right(slot: u32, line_0: u32, k0: u32, depth: u32) -> vec4<f16> {
    let at = vec2<u32>(line_0, k0) + place(slot, RIGHT_BY_DEPTH);
    if (at.y >= depth) {
        return vec4<f16>();
    }
    return right_half(at.x, at.y);
}

fn left_matrix(line: u32, k: u32) -> MatrixA {
    if (LEFT_BY_DEPTH) {
        return coopLoad<MatrixA>(&left_tile[k * DEPTH_STRIDE + line / 4u], DEPTH_STRIDE);
    }
    return coopLoadT<MatrixA>(&left_tile[line * LINE_STRIDE + k / 4u], LINE_STRIDE);
}

fn right_matrix(line: u32, k: u32) -> MatrixB {
    if (RIGHT_BY_DEPTH) {
        return coopLoadT<MatrixB>(&right_tile[k * DEPTH_STRIDE + line / 4u], DEPTH_STRIDE);
    }
    return coopLoad<MatrixB>(&right_tile[line * LINE_STRIDE + k / 4u], LINE_STRIDE);
}

// Stores a matrix of every piece of this turn, `row` and `column` matrices into it.
fn store(
    thread: u32,
    turn: u32,
    slot: u32,
    slots: u32,
    first: vec2<u32>,
    row: u32,
    column: u32,
    sums: MatrixC,
    scale: f32,
) {
    workgroupBarrier();
    coopStoreT(sums, &patches[slot * MATRIX_QUADS], SIZE / 4u);
    workgroupBarrier();
    for (var at = thread; at < slots * MATRIX_QUADS; at += THREADS) {
        let piece = (turn + at / MATRIX_QUADS) % PIECES;
        let quad = at % MATRIX_QUADS;
        let line = ((piece / 4u) * 4u + row) * SIZE + quad / (SIZE / 4u);
        let neighbour = ((piece % 4u) * 2u + column) * SIZE + (quad % (SIZE / 4u)) * 4u;
        store_quad(first.x + line, first.y + neighbour, patches[at] / scale);
    }
}

// The tile number `tile` of a product of `rows` x `columns`, contracted over `depth`. Barriers stand in loops over
// `depth` and the number of subgroups, which are the same in all threads.
fn cooperative_product(tile: u32, thread: u32, subgroup: u32, subgroups: u32, rows: u32, columns: u32, depth: u32) {
    // Neighbouring tiles share their columns, of which there are many: what one reads the next finds in the cache.
    let tiles = (rows + TILE_LINES - 1u) / TILE_LINES;
    let first = TILE_LINES * vec2<u32>(tile % tiles, tile / tiles);
    let scale = left_scale();
    let slots = min(subgroups, PIECES);
    let slot = subgroup % PIECES;
    for (var turn = 0u; turn < PIECES; turn += subgroups) {
        let piece = (turn + slot) % PIECES;
        let left_line = (piece / 4u) * 4u * SIZE;
        let right_line = (piece % 4u) * 2u * SIZE;
        var sums_00 = MatrixC();
        var sums_01 = MatrixC();
        var sums_10 = MatrixC();
        var sums_11 = MatrixC();
        var sums_20 = MatrixC();
        var sums_21 = MatrixC();
        var sums_30 = MatrixC();
        var sums_31 = MatrixC();
        var left: array<vec4<f16>, QUADS>;
        var right: array<vec4<f16>, QUADS>;
        for (var i = 0u; i < QUADS; i++) {
            left[i] = next_left(thread + i * THREADS, first.x, 0u, depth, scale);
            right[i] = next_right(thread + i * THREADS, first.y, 0u, depth);
        }
        for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
            for (var i = 0u; i < QUADS; i++) {
                left_tile[address(thread + i * THREADS, LEFT_BY_DEPTH)] = left[i];
                right_tile[address(thread + i * THREADS, RIGHT_BY_DEPTH)] = right[i];
            }
            workgroupBarrier();
            for (var i = 0u; i < QUADS; i++) {
                left[i] = next_left(thread + i * THREADS, first.x, k0 + DEPTH, depth, scale);
                right[i] = next_right(thread + i * THREADS, first.y, k0 + DEPTH, depth);
            }
            for (var k = 0u; k < DEPTH; k += SIZE) {
                let right_0 = right_matrix(right_line, k);
                let right_1 = right_matrix(right_line + SIZE, k);
                let left_0 = left_matrix(left_line, k);
                sums_00 = coopMultiplyAdd(left_0, right_0, sums_00);
                sums_01 = coopMultiplyAdd(left_0, right_1, sums_01);
                let left_1 = left_matrix(left_line + SIZE, k);
                sums_10 = coopMultiplyAdd(left_1, right_0, sums_10);
                sums_11 = coopMultiplyAdd(left_1, right_1, sums_11);
                let left_2 = left_matrix(left_line + 2u * SIZE, k);
                sums_20 = coopMultiplyAdd(left_2, right_0, sums_20);
                sums_21 = coopMultiplyAdd(left_2, right_1, sums_21);
                let left_3 = left_matrix(left_line + 3u * SIZE, k);
                sums_30 = coopMultiplyAdd(left_3, right_0, sums_30);
                sums_31 = coopMultiplyAdd(left_3, right_1, sums_31);
            }
            workgroupBarrier();
        }
        store(thread, turn, slot, slots, first, 0u, 0u, sums_00, scale);
        store(thread, turn, slot, slots, first, 0u, 1u, sums_01, scale);
        store(thread, turn, slot, slots, first, 1u, 0u, sums_10, scale);
        store(thread, turn, slot, slots, first, 1u, 1u, sums_11, scale);
        store(thread, turn, slot, slots, first, 2u, 0u, sums_20, scale);
        store(thread, turn, slot, slots, first, 2u, 1u, sums_21, scale);
        store(thread, turn, slot, slots, first, 3u, 0u, sums_30, scale);
        store(thread, turn, slot, slots, first, 3u, 1u, sums_31, scale);
    }
}
