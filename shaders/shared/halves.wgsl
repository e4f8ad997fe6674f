// f32 on its way to f16: what that cannot hold is clamped to its largest.
const F16_LARGEST = 65504.0;

fn half(values: vec4<f32>) -> vec4<f16> {
    return vec4<f16>(clamp(values, vec4<f32>(-F16_LARGEST), vec4<f32>(F16_LARGEST)));
}
