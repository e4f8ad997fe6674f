// A frozen weight in f16, four neighbours at a time. The layout is that of weight.wgsl; with W_F16 the kernel declares
// `weight` as vec4<f16>, and nothing is converted.
#import halves
#ifdef W_F16
fn weight_row_half(row: u32, k: u32, columns: u32) -> vec4<f16> {
    return weight[(row * columns + k) / 4u];
}
#else
#import weight_quads

fn weight_row_half(row: u32, k: u32, columns: u32) -> vec4<f16> {
    return half(weight_row_quad(row, k, columns));
}
#endif
