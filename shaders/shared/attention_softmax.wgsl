// The online softmax of a tile: a thread holds 4 rows by 4 keys as a matrix, a column for each key.
// The kernel imports attention_range and attention_tile.
const LOWEST = -3.4e38; // the score of a key that a row does not see
const FLOOR = -1e30; // where a maximum begins: below every score, and far enough above LOWEST that exp(LOWEST - FLOOR) is 0

// One past the last key that each of four rows sees, `apart` from each other; `end` is that of the tile.
fn row_ends(row: u32, apart: u32, end: u32) -> vec4<u32> {
#ifdef CAUSAL
    let tokens = vec4<u32>(row, row + apart, row + 2u * apart, row + 3u * apart) / group_size();
    return min(vec4<u32>(end), u32(position[0]) + 1u + tokens);
#else
    return vec4<u32>(end);
#endif
}

// The scores of four keys, `apart` from each other; LOWEST where the row does not see the key.
fn hide(s: mat4x4<f32>, key: u32, apart: u32, ends: vec4<u32>) -> mat4x4<f32> {
    let lowest = vec4<f32>(LOWEST);
    return mat4x4<f32>(
        select(lowest, s[0], vec4<u32>(key) < ends),
        select(lowest, s[1], vec4<u32>(key + apart) < ends),
        select(lowest, s[2], vec4<u32>(key + 2u * apart) < ends),
        select(lowest, s[3], vec4<u32>(key + 3u * apart) < ends),
    );
}

fn largest_of(s: mat4x4<f32>) -> vec4<f32> {
    return max(max(s[0], s[1]), max(s[2], s[3]));
}

fn sum_of(p: mat4x4<f32>) -> vec4<f32> {
    return (p[0] + p[1]) + (p[2] + p[3]);
}

fn exp_columns(s: mat4x4<f32>, largest: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(exp(s[0] - largest), exp(s[1] - largest), exp(s[2] - largest), exp(s[3] - largest));
}
