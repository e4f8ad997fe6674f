// What the kernels that take a tile of queries by a tile of keys share. A row is a query of one head of the group that
// shares a key head: T H / G rows to a (batch, key head). The kernel declares params.queries, heads, kv_heads, head_dim.
const NONE = 0xffffffffu;

fn group_size() -> u32 {
    return params.heads / params.kv_heads;
}

// Vectors of 4 in a head.
fn head_vectors() -> u32 {
    return params.head_dim / 4u;
}

// Which of the [B, T, H] lines of q is row `row`; NONE past the last.
fn query_line(batch: u32, kv_head: u32, row: u32) -> u32 {
    let group = group_size();
    let line = (batch * params.queries + row / group) * params.heads + kv_head * group + row % group;
    return select(NONE, line, row < params.queries * group);
}

// Element i of column j is <a[i], bj>.
fn products(a: mat4x4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(b0 * a, b1 * a, b2 * a, b3 * a);
}

// Column j is left * right[j].
fn outer(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(left * right.x, left * right.y, left * right.z, left * right.w);
}

// Column j of m times by[j].
fn scale_columns(m: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(m[0] * by.x, m[1] * by.y, m[2] * by.z, m[3] * by.w);
}
