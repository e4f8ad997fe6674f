// A tile of a matrix product on matrix units: 8 x 8 matrices by 128 threads, which is 128 x 128 elements, or 64 x 64 with
// matrices of 8 x 8. Both factors are staged as f16 in workgroup memory, DEPTH of the contracted dimension at a time, of
// which it must be a multiple; sums are f32. The next step's factors are read before this one's products, so that their
// latency hides behind them; reads are written out one by one, and without branches, so that none waits for another.
// The tile is four pieces of 4 x 4 matrices, each a subgroup's. The size of a subgroup is not promised, so subgroups take
// pieces in turns until none is left: one turn with subgroups of 32, more with wider ones; narrower ones share a piece and
// each compute and store all of it, for matrices want uniform control flow.
// The kernel defines left_quad(line, k) and right_quad(line, k), four f16 from there on that are neighbours in memory:
// lines where LEFT_BY_DEPTH or RIGHT_BY_DEPTH is true, else contracted indices; store_quad; and sums_scale, what the sums
// are divided by. Lines and contracted indices beyond the last may be asked for, and are not used: any number will do.
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
const PIECES = 4u;
const DEPTH = 32u;
const THREADS = 128u;
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

// Line and contracted index of a quad within the tile.
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

// What a thread stages of a factor at a step: eight quads; with matrices of 8 x 8, which make a smaller tile, four.
struct Staged {
    q_0: vec4<f16>,
    q_1: vec4<f16>,
    q_2: vec4<f16>,
    q_3: vec4<f16>,
#ifdef SIZE_16
    q_4: vec4<f16>,
    q_5: vec4<f16>,
    q_6: vec4<f16>,
    q_7: vec4<f16>,
#endif
}

fn left_at(slot: u32, line_0: u32, k_0: u32) -> vec4<f16> {
    let at = place(slot, LEFT_BY_DEPTH);
    return left_quad(line_0 + at.x, k_0 + at.y);
}

fn right_at(slot: u32, line_0: u32, k_0: u32) -> vec4<f16> {
    let at = place(slot, RIGHT_BY_DEPTH);
    return right_quad(line_0 + at.x, k_0 + at.y);
}

fn read_left(thread: u32, line_0: u32, k_0: u32) -> Staged {
    return Staged(
        left_at(thread, line_0, k_0),
        left_at(thread + 1u * THREADS, line_0, k_0),
        left_at(thread + 2u * THREADS, line_0, k_0),
        left_at(thread + 3u * THREADS, line_0, k_0),
#ifdef SIZE_16
        left_at(thread + 4u * THREADS, line_0, k_0),
        left_at(thread + 5u * THREADS, line_0, k_0),
        left_at(thread + 6u * THREADS, line_0, k_0),
        left_at(thread + 7u * THREADS, line_0, k_0),
#endif
    );
}

fn read_right(thread: u32, line_0: u32, k_0: u32) -> Staged {
    return Staged(
        right_at(thread, line_0, k_0),
        right_at(thread + 1u * THREADS, line_0, k_0),
        right_at(thread + 2u * THREADS, line_0, k_0),
        right_at(thread + 3u * THREADS, line_0, k_0),
#ifdef SIZE_16
        right_at(thread + 4u * THREADS, line_0, k_0),
        right_at(thread + 5u * THREADS, line_0, k_0),
        right_at(thread + 6u * THREADS, line_0, k_0),
        right_at(thread + 7u * THREADS, line_0, k_0),
#endif
    );
}

fn stage_left(thread: u32, staged: Staged) {
    left_tile[address(thread, LEFT_BY_DEPTH)] = staged.q_0;
    left_tile[address(thread + 1u * THREADS, LEFT_BY_DEPTH)] = staged.q_1;
    left_tile[address(thread + 2u * THREADS, LEFT_BY_DEPTH)] = staged.q_2;
    left_tile[address(thread + 3u * THREADS, LEFT_BY_DEPTH)] = staged.q_3;
#ifdef SIZE_16
    left_tile[address(thread + 4u * THREADS, LEFT_BY_DEPTH)] = staged.q_4;
    left_tile[address(thread + 5u * THREADS, LEFT_BY_DEPTH)] = staged.q_5;
    left_tile[address(thread + 6u * THREADS, LEFT_BY_DEPTH)] = staged.q_6;
    left_tile[address(thread + 7u * THREADS, LEFT_BY_DEPTH)] = staged.q_7;
#endif
}

fn stage_right(thread: u32, staged: Staged) {
    right_tile[address(thread, RIGHT_BY_DEPTH)] = staged.q_0;
    right_tile[address(thread + 1u * THREADS, RIGHT_BY_DEPTH)] = staged.q_1;
    right_tile[address(thread + 2u * THREADS, RIGHT_BY_DEPTH)] = staged.q_2;
    right_tile[address(thread + 3u * THREADS, RIGHT_BY_DEPTH)] = staged.q_3;
#ifdef SIZE_16
    right_tile[address(thread + 4u * THREADS, RIGHT_BY_DEPTH)] = staged.q_4;
    right_tile[address(thread + 5u * THREADS, RIGHT_BY_DEPTH)] = staged.q_5;
    right_tile[address(thread + 6u * THREADS, RIGHT_BY_DEPTH)] = staged.q_6;
    right_tile[address(thread + 7u * THREADS, RIGHT_BY_DEPTH)] = staged.q_7;
#endif
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
        let line = ((piece / 2u) * 4u + row) * SIZE + quad / (SIZE / 4u);
        let neighbour = ((piece % 2u) * 4u + column) * SIZE + (quad % (SIZE / 4u)) * 4u;
        store_quad(first.x + line, first.y + neighbour, patches[at] / scale);
    }
}

// The tile number `tile` of a product of `rows` x `columns`, contracted over `depth`. Barriers stand in loops over
// `depth` and the number of subgroups, which are the same in all threads.
fn cooperative_product(tile: u32, thread: u32, subgroup: u32, subgroups: u32, rows: u32, columns: u32, depth: u32) {
    // Neighbouring tiles share their columns, of which there are many: what one reads the next finds in the cache.
    let tiles = (rows + TILE_LINES - 1u) / TILE_LINES;
    let first = TILE_LINES * vec2<u32>(tile % tiles, tile / tiles);
    let scale = sums_scale();
    let slots = min(subgroups, PIECES);
    let slot = subgroup % PIECES;
    for (var turn = 0u; turn < PIECES; turn += subgroups) {
        let piece = (turn + slot) % PIECES;
        let left_line = (piece / 2u) * 4u * SIZE;
        let right_line = (piece % 2u) * 4u * SIZE;
        var sums_00 = MatrixC();
        var sums_01 = MatrixC();
        var sums_02 = MatrixC();
        var sums_03 = MatrixC();
        var sums_10 = MatrixC();
        var sums_11 = MatrixC();
        var sums_12 = MatrixC();
        var sums_13 = MatrixC();
        var sums_20 = MatrixC();
        var sums_21 = MatrixC();
        var sums_22 = MatrixC();
        var sums_23 = MatrixC();
        var sums_30 = MatrixC();
        var sums_31 = MatrixC();
        var sums_32 = MatrixC();
        var sums_33 = MatrixC();
        var left = read_left(thread, first.x, 0u);
        var right = read_right(thread, first.y, 0u);
        for (var k_0 = 0u; k_0 < depth; k_0 += DEPTH) {
            stage_left(thread, left);
            stage_right(thread, right);
            workgroupBarrier();
            left = read_left(thread, first.x, k_0 + DEPTH);
            right = read_right(thread, first.y, k_0 + DEPTH);
            for (var k = 0u; k < DEPTH; k += SIZE) {
                let b_0 = right_matrix(right_line, k);
                let b_1 = right_matrix(right_line + SIZE, k);
                let b_2 = right_matrix(right_line + 2u * SIZE, k);
                let b_3 = right_matrix(right_line + 3u * SIZE, k);
                let a_0 = left_matrix(left_line, k);
                sums_00 = coopMultiplyAdd(a_0, b_0, sums_00);
                sums_01 = coopMultiplyAdd(a_0, b_1, sums_01);
                sums_02 = coopMultiplyAdd(a_0, b_2, sums_02);
                sums_03 = coopMultiplyAdd(a_0, b_3, sums_03);
                let a_1 = left_matrix(left_line + SIZE, k);
                sums_10 = coopMultiplyAdd(a_1, b_0, sums_10);
                sums_11 = coopMultiplyAdd(a_1, b_1, sums_11);
                sums_12 = coopMultiplyAdd(a_1, b_2, sums_12);
                sums_13 = coopMultiplyAdd(a_1, b_3, sums_13);
                let a_2 = left_matrix(left_line + 2u * SIZE, k);
                sums_20 = coopMultiplyAdd(a_2, b_0, sums_20);
                sums_21 = coopMultiplyAdd(a_2, b_1, sums_21);
                sums_22 = coopMultiplyAdd(a_2, b_2, sums_22);
                sums_23 = coopMultiplyAdd(a_2, b_3, sums_23);
                let a_3 = left_matrix(left_line + 3u * SIZE, k);
                sums_30 = coopMultiplyAdd(a_3, b_0, sums_30);
                sums_31 = coopMultiplyAdd(a_3, b_1, sums_31);
                sums_32 = coopMultiplyAdd(a_3, b_2, sums_32);
                sums_33 = coopMultiplyAdd(a_3, b_3, sums_33);
            }
            workgroupBarrier();
        }
        store(thread, turn, slot, slots, first, 0u, 0u, sums_00, scale);
        store(thread, turn, slot, slots, first, 0u, 1u, sums_01, scale);
        store(thread, turn, slot, slots, first, 0u, 2u, sums_02, scale);
        store(thread, turn, slot, slots, first, 0u, 3u, sums_03, scale);
        store(thread, turn, slot, slots, first, 1u, 0u, sums_10, scale);
        store(thread, turn, slot, slots, first, 1u, 1u, sums_11, scale);
        store(thread, turn, slot, slots, first, 1u, 2u, sums_12, scale);
        store(thread, turn, slot, slots, first, 1u, 3u, sums_13, scale);
        store(thread, turn, slot, slots, first, 2u, 0u, sums_20, scale);
        store(thread, turn, slot, slots, first, 2u, 1u, sums_21, scale);
        store(thread, turn, slot, slots, first, 2u, 2u, sums_22, scale);
        store(thread, turn, slot, slots, first, 2u, 3u, sums_23, scale);
        store(thread, turn, slot, slots, first, 3u, 0u, sums_30, scale);
        store(thread, turn, slot, slots, first, 3u, 1u, sums_31, scale);
        store(thread, turn, slot, slots, first, 3u, 2u, sums_32, scale);
        store(thread, turn, slot, slots, first, 3u, 3u, sums_33, scale);
    }
}
