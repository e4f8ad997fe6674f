// A frozen weight in f16, four neighbours at a time. The layout is that of weight.wgsl; with W_F16 the kernel declares
// `weight` as vec4<f16>, and nothing is converted. What f16 cannot hold is clamped to its largest.
#ifdef W_F16
fn weight_row_half(row: u32, k: u32, columns: u32) -> vec4<f16> {
    return weight[(row * columns + k) / 4u];
}
#else
#import weight_quads

const F16_LARGEST = 65504.0;

fn weight_row_half(row: u32, k: u32, columns: u32) -> vec4<f16> {
    return vec4<f16>(clamp(weight_row_quad(row, k, columns), vec4<f32>(-F16_LARGEST), vec4<f32>(F16_LARGEST)));
}
#endif
