// A frozen weight read four neighbours at a time, for products whose rows of `columns` elements are a multiple of 4. The
// layout is that of weight.wgsl; here f32 and f16 are bound as vectors, so that four elements are one load.
// The kernel declares the binding `weight`: vec4<f32> without a switch, vec2<u32> with W_F16, u32 with W_Q8 or W_Q4.
#ifdef W_F16
fn weight_row_quad(row: u32, k: u32, columns: u32) -> vec4<f32> {
    let words = weight[(row * columns + k) / 4u];
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
#else
#ifdef W_Q8 W_Q4
#import weight

fn weight_row_quad(row: u32, k: u32, columns: u32) -> vec4<f32> {
    return weight_quad(row, k, columns);
}
#else
fn weight_row_quad(row: u32, k: u32, columns: u32) -> vec4<f32> {
    return weight[(row * columns + k) / 4u];
}
#endif
#endif
