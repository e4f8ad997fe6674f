// A tile of a matrix product for a GPU: 64 x 128 elements by 128 threads, 8 x 8 each. Both factors go through workgroup
// memory, STEP of the contracted dimension at a time, as vectors of 4 lines: four loads feed 64 products. The next step's
// factors are read before this one's products, so that their latency hides behind them.
// The kernel defines left_block, right_block and store_quad (see the factors_ files). Sums in f32. Source: the classic
// blocked product.
const WIDE_ROWS = 64u;
const WIDE_COLUMNS = 128u;
const STEP = 16u;
const LEFT_QUADS = 16u; // WIDE_ROWS / 4
// Vectors of a step's lines, and one more, so that neighbouring steps begin in other banks.
const LEFT_STRIDE = 17u;
const RIGHT_STRIDE = 33u;

var<workgroup> left_tile: array<vec4<f32>, 272>; // [STEP, LEFT_STRIDE]
var<workgroup> right_tile: array<vec4<f32>, 528>; // [STEP, RIGHT_STRIDE]

// The block a thread fills in next; zeros beyond the contracted dimension, and for a thread that fills no left lines.
fn next_left_block(quad: u32, row_0: u32, k: u32, depth: u32) -> mat4x4<f32> {
    if (k >= depth || quad >= LEFT_QUADS) {
        return mat4x4<f32>();
    }
    return left_block(row_0 + 4u * quad, k);
}

fn next_right_block(quad: u32, column_0: u32, k: u32, depth: u32) -> mat4x4<f32> {
    if (k >= depth) {
        return mat4x4<f32>();
    }
    return right_block(column_0 + 4u * quad, k);
}

fn fill_left(quad: u32, step: u32, block: mat4x4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        left_tile[(step + i) * LEFT_STRIDE + quad] = block[i];
    }
}

fn fill_right(quad: u32, step: u32, block: mat4x4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        right_tile[(step + i) * RIGHT_STRIDE + quad] = block[i];
    }
}

// Eight neighbours, 64 apart, of four rows.
fn store_rows(row: u32, column: u32, near: mat4x4<f32>, far: mat4x4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        store_quad(row + i, column, near[i]);
        store_quad(row + i, column + 64u, far[i]);
    }
}

// The tile number `tile` of a product of `rows` x `columns`, contracted over `depth`; the same tile in all threads, whose
// barriers stand in a loop over `depth`, which must be uniform too.
fn wide_product(tile: u32, thread: u32, rows: u32, columns: u32, depth: u32) {
    let tiles = (columns + WIDE_COLUMNS - 1u) / WIDE_COLUMNS;
    let row_0 = (tile / tiles) * WIDE_ROWS;
    let column_0 = (tile % tiles) * WIDE_COLUMNS;
    // Each thread reads one block of the right factor, the first half one of the left too; four neighbours read 16
    // neighbouring k.
    let fill_k = (thread % 4u) * 4u;
    let fill_quad = thread / 4u;
    // Each thread sums rows 4 ty .. + 3 and 32 + 4 ty .. + 3, columns 4 tx .. + 3 and 64 + 4 tx .. + 3.
    let tx = thread % 16u;
    let ty = thread / 16u;

    var near_0 = mat4x4<f32>();
    var near_1 = mat4x4<f32>();
    var far_0 = mat4x4<f32>();
    var far_1 = mat4x4<f32>();
    var next_left = next_left_block(fill_quad, row_0, fill_k, depth);
    var next_right = next_right_block(fill_quad, column_0, fill_k, depth);
    for (var k0 = 0u; k0 < depth; k0 += STEP) {
        if (fill_quad < LEFT_QUADS) {
            fill_left(fill_quad, fill_k, next_left);
        }
        fill_right(fill_quad, fill_k, next_right);
        workgroupBarrier();
        next_left = next_left_block(fill_quad, row_0, k0 + STEP + fill_k, depth);
        next_right = next_right_block(fill_quad, column_0, k0 + STEP + fill_k, depth);
        for (var step = 0u; step < STEP; step++) {
            let left_0 = left_tile[step * LEFT_STRIDE + ty];
            let left_1 = left_tile[step * LEFT_STRIDE + 8u + ty];
            let right_0 = right_tile[step * RIGHT_STRIDE + tx];
            let right_1 = right_tile[step * RIGHT_STRIDE + 16u + tx];
            near_0 += mat4x4<f32>(left_0.x * right_0, left_0.y * right_0, left_0.z * right_0, left_0.w * right_0);
            far_0 += mat4x4<f32>(left_0.x * right_1, left_0.y * right_1, left_0.z * right_1, left_0.w * right_1);
            near_1 += mat4x4<f32>(left_1.x * right_0, left_1.y * right_0, left_1.z * right_0, left_1.w * right_0);
            far_1 += mat4x4<f32>(left_1.x * right_1, left_1.y * right_1, left_1.z * right_1, left_1.w * right_1);
        }
        workgroupBarrier();
    }
    store_rows(row_0 + 4u * ty, column_0 + 4u * tx, near_0, far_0);
    store_rows(row_0 + 32u + 4u * ty, column_0 + 4u * tx, near_1, far_1);
}
