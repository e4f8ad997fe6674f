// The online softmax of a tile: a thread holds 4 rows by 4 keys as a matrix, a column for each key.
// The kernel imports attention_range and attention_tile.
const LOWEST = -3.4e38; // the score of a key that a row does not see
const FLOOR = -1e30; // where a maximum begins: below every score, and far enough above LOWEST that exp(LOWEST - FLOOR) is 0

// The keys first..last that each of four rows sees.
struct Sight {
    first: vec4<u32>,
    last: vec4<u32>,
}

// Of four rows, `apart` from each other; a row that is not there sees what the last one sees.
fn row_sight(batch: u32, row: u32, apart: u32) -> Sight {
    let rows = vec4<u32>(row, row + apart, row + 2u * apart, row + 3u * apart);
    let tokens = min(rows / group_size(), vec4<u32>(params.queries - 1u));
    let k0 = keys_of(batch, tokens.x);
    let k1 = keys_of(batch, tokens.y);
    let k2 = keys_of(batch, tokens.z);
    let k3 = keys_of(batch, tokens.w);
    return Sight(vec4<u32>(k0.x, k1.x, k2.x, k3.x), vec4<u32>(k0.y, k1.y, k2.y, k3.y));
}

// The scores of one key; LOWEST where a row does not see it.
fn seen(scores: vec4<f32>, key: u32, sight: Sight) -> vec4<f32> {
    let keys = vec4<u32>(key);
    return select(vec4<f32>(LOWEST), scores, (keys >= sight.first) & (keys < sight.last));
}

// The same for four keys, `apart` from each other.
fn hide(s: mat4x4<f32>, key: u32, apart: u32, sight: Sight) -> mat4x4<f32> {
    return mat4x4<f32>(
        seen(s[0], key, sight),
        seen(s[1], key + apart, sight),
        seen(s[2], key + 2u * apart, sight),
        seen(s[3], key + 3u * apart, sight),
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
