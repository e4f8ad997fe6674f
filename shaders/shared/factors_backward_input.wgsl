// The factors of dx = dy W as 4 x 4 blocks, column i of a block holding contracted index k + i of four lines: left lines
// are rows of dy, right lines are columns of W. Beyond the last line the last ones stand: their sums are not stored.
// k is a multiple of 4 within the contracted dimension, and that is a multiple of 4 itself.
#import weight_quads

fn left_quad(line: u32, k: u32) -> vec4<f32> {
    return dy[(min(line, params.rows - 1u) * params.out_features + k) / 4u];
}

fn left_block(line: u32, k: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(
        left_quad(line, k),
        left_quad(line + 1u, k),
        left_quad(line + 2u, k),
        left_quad(line + 3u, k),
    ));
}

fn right_block(line: u32, k: u32) -> mat4x4<f32> {
    let column = min(line, params.in_features - 4u);
    return mat4x4<f32>(
        weight_row_quad(k, column, params.in_features),
        weight_row_quad(k + 1u, column, params.in_features),
        weight_row_quad(k + 2u, column, params.in_features),
        weight_row_quad(k + 3u, column, params.in_features),
    );
}

// Four neighbours of dx's row.
fn store_quad(row: u32, column: u32, sums: vec4<f32>) {
    if (row < params.rows && column < params.in_features) {
        dx[(row * params.in_features + column) / 4u] = sums;
    }
}
