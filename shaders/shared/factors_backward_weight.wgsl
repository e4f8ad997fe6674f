// The factors of dW = dy^T x as 4 x 4 blocks, column i of a block holding row k + i of four lines: left lines are columns
// of dy, right lines are columns of x. Beyond the last line the last ones stand: their sums are not stored. The rows need
// be no multiple of 4: beyond the last one dy counts as zero.

fn left_quad(line: u32, k: u32) -> vec4<f32> {
    let quad = dy[(min(k, params.rows - 1u) * params.out_features + min(line, params.out_features - 4u)) / 4u];
    return select(vec4<f32>(), quad, k < params.rows);
}

fn left_block(line: u32, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        left_quad(line, k),
        left_quad(line, k + 1u),
        left_quad(line, k + 2u),
        left_quad(line, k + 3u),
    );
}

fn right_quad(line: u32, k: u32) -> vec4<f32> {
    return x[(min(k, params.rows - 1u) * params.in_features + min(line, params.in_features - 4u)) / 4u];
}

fn right_block(line: u32, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        right_quad(line, k),
        right_quad(line, k + 1u),
        right_quad(line, k + 2u),
        right_quad(line, k + 3u),
    );
}

// Four neighbours of dW's row.
fn store_quad(row: u32, column: u32, sums: vec4<f32>) {
    if (row < params.out_features && column < params.in_features) {
        dw[(row * params.in_features + column) / 4u] = sums;
    }
}
