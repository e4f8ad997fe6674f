// The factors of y = x W^T as 4 x 4 blocks, column i of a block holding contracted index k + i of four lines: left lines
// are rows of x, right lines are rows of W. Beyond the last line the last one stands: its sums are not stored.
// k is a multiple of 4 within the contracted dimension, and that is a multiple of 4 itself.
#import weight_quads

fn left_quad(line: u32, k: u32) -> vec4<f32> {
    return x[(min(line, params.rows - 1u) * params.in_features + k) / 4u];
}

fn left_block(line: u32, k: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(
        left_quad(line, k),
        left_quad(line + 1u, k),
        left_quad(line + 2u, k),
        left_quad(line + 3u, k),
    ));
}

fn right_quad(line: u32, k: u32) -> vec4<f32> {
    return weight_row_quad(min(line, params.out_features - 1u), k, params.in_features);
}

fn right_block(line: u32, k: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(
        right_quad(line, k),
        right_quad(line + 1u, k),
        right_quad(line + 2u, k),
        right_quad(line + 3u, k),
    ));
}

// Four neighbours of y's row.
fn store_quad(row: u32, column: u32, sums: vec4<f32>) {
    if (row < params.rows && column < params.out_features) {
#ifdef BIAS
        y[(row * params.out_features + column) / 4u] = sums + bias[column / 4u];
#else
        y[(row * params.out_features + column) / 4u] = sums;
#endif
    }
}
