// A tile of a matrix product in registers alone: 32 x 64 elements by 8 threads, 16 x 16 each. No workgroup memory and no
// barrier, for they are what a software GPU is slowest at, and next to them its loads: 32 vectors feed 1024 products. A
// GPU has too few registers for it; see wide_product.wgsl.
// The kernel defines left_block, right_block and store_quad (see the factors_ files). Sums in f32.
const BLOCK_ROWS = 32u;
const BLOCK_COLUMNS = 64u;

fn store_block(row: u32, column: u32, sums: mat4x4<f32>) {
    store_quad(row, column, sums[0]);
    store_quad(row + 1u, column, sums[1]);
    store_quad(row + 2u, column, sums[2]);
    store_quad(row + 3u, column, sums[3]);
}

// The tile number `tile` of a product of `rows` x `columns`, contracted over `depth`.
fn block_product(tile: u32, thread: u32, rows: u32, columns: u32, depth: u32) {
    let tiles = (columns + BLOCK_COLUMNS - 1u) / BLOCK_COLUMNS;
    let row = (tile / tiles) * BLOCK_ROWS + (thread / 4u) * 16u;
    let column = (tile % tiles) * BLOCK_COLUMNS + (thread % 4u) * 16u;
    if (row >= rows) {
        return;
    }
    // sums_ij: rows row + 4 i, columns column + 4 j; its columns are rows of the result.
    var sums_00 = mat4x4<f32>();
    var sums_01 = mat4x4<f32>();
    var sums_02 = mat4x4<f32>();
    var sums_03 = mat4x4<f32>();
    var sums_10 = mat4x4<f32>();
    var sums_11 = mat4x4<f32>();
    var sums_12 = mat4x4<f32>();
    var sums_13 = mat4x4<f32>();
    var sums_20 = mat4x4<f32>();
    var sums_21 = mat4x4<f32>();
    var sums_22 = mat4x4<f32>();
    var sums_23 = mat4x4<f32>();
    var sums_30 = mat4x4<f32>();
    var sums_31 = mat4x4<f32>();
    var sums_32 = mat4x4<f32>();
    var sums_33 = mat4x4<f32>();
    for (var k = 0u; k < depth; k += 4u) {
        let right_0 = right_block(column, k);
        let right_1 = right_block(column + 4u, k);
        let right_2 = right_block(column + 8u, k);
        let right_3 = right_block(column + 12u, k);
        let left_0 = transpose(left_block(row, k));
        sums_00 += right_0 * left_0;
        sums_01 += right_1 * left_0;
        sums_02 += right_2 * left_0;
        sums_03 += right_3 * left_0;
        let left_1 = transpose(left_block(row + 4u, k));
        sums_10 += right_0 * left_1;
        sums_11 += right_1 * left_1;
        sums_12 += right_2 * left_1;
        sums_13 += right_3 * left_1;
        let left_2 = transpose(left_block(row + 8u, k));
        sums_20 += right_0 * left_2;
        sums_21 += right_1 * left_2;
        sums_22 += right_2 * left_2;
        sums_23 += right_3 * left_2;
        let left_3 = transpose(left_block(row + 12u, k));
        sums_30 += right_0 * left_3;
        sums_31 += right_1 * left_3;
        sums_32 += right_2 * left_3;
        sums_33 += right_3 * left_3;
    }
    store_block(row, column, sums_00);
    store_block(row, column + 4u, sums_01);
    store_block(row, column + 8u, sums_02);
    store_block(row, column + 12u, sums_03);
    store_block(row + 4u, column, sums_10);
    store_block(row + 4u, column + 4u, sums_11);
    store_block(row + 4u, column + 8u, sums_12);
    store_block(row + 4u, column + 12u, sums_13);
    store_block(row + 8u, column, sums_20);
    store_block(row + 8u, column + 4u, sums_21);
    store_block(row + 8u, column + 8u, sums_22);
    store_block(row + 8u, column + 12u, sums_23);
    store_block(row + 12u, column, sums_30);
    store_block(row + 12u, column + 4u, sums_31);
    store_block(row + 12u, column + 8u, sums_32);
    store_block(row + 12u, column + 12u, sums_33);
}
