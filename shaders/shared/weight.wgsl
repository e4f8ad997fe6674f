// A frozen weight matrix of `columns` columns, row by row; the host side is `ops/packed.rs`.
// f32 as it is; f16 two to a word, the even element low; q8: four signed bytes a word, q4: eight nibbles a word, low
// nibbles first, both with one f16 scale a block of 32 behind the row's values, rows padded to 4 words.
// The kernel declares the binding `weight`. weight_quad wants k a multiple of 4, and four elements left in the row.
#ifdef W_F16
fn weight_at(row: u32, k: u32, columns: u32) -> f32 {
    let index = row * columns + k;
    let pair = unpack2x16float(weight[index / 2u]);
    return select(pair.x, pair.y, (index & 1u) == 1u);
}

fn weight_quad(row: u32, k: u32, columns: u32) -> vec4<f32> {
    let word = (row * columns + k) / 2u;
    return vec4<f32>(unpack2x16float(weight[word]), unpack2x16float(weight[word + 1u]));
}
#else
#ifdef W_Q8
const QUANTS_PER_WORD = 4u;
#endif
#ifdef W_Q4
const QUANTS_PER_WORD = 8u;
#endif
#ifdef W_Q8 W_Q4
#import quants

// Words of a row: values, scales, padding.
fn weight_stride(columns: u32) -> u32 {
    return (columns / QUANTS_PER_WORD + (columns / 32u + 1u) / 2u + 3u) & 0xfffffffcu;
}

fn weight_scale(row_word: u32, k: u32, columns: u32) -> f32 {
    let block = k / 32u;
    let pair = unpack2x16float(weight[row_word + columns / QUANTS_PER_WORD + block / 2u]);
    return select(pair.x, pair.y, (block & 1u) == 1u);
}

fn weight_quad(row: u32, k: u32, columns: u32) -> vec4<f32> {
    let row_word = row * weight_stride(columns);
    let word = weight[row_word + k / QUANTS_PER_WORD];
#ifdef W_Q8
    let quants = signed_bytes(word);
#else
    let quants = low_nibbles(word >> (k & 4u));
#endif
    return weight_scale(row_word, k, columns) * quants;
}

fn weight_at(row: u32, k: u32, columns: u32) -> f32 {
    return weight_quad(row, k & 0xfffffffcu, columns)[k & 3u];
}
#else
fn weight_at(row: u32, k: u32, columns: u32) -> f32 {
    return weight[row * columns + k];
}

fn weight_quad(row: u32, k: u32, columns: u32) -> vec4<f32> {
    let at = row * columns + k;
    return vec4<f32>(weight[at], weight[at + 1u], weight[at + 2u], weight[at + 3u]);
}
#endif
#endif
