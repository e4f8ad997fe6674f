// Eight numbers as f16, two to a word: what f16 cannot hold is clamped to its largest.
const F16_LARGEST = 65504.0;

fn pair_of_words(values: vec4<f32>) -> vec2<u32> {
    let held = clamp(values, vec4<f32>(-F16_LARGEST), vec4<f32>(F16_LARGEST));
    return vec2<u32>(pack2x16float(held.xy), pack2x16float(held.zw));
}

fn octet(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
    return vec4<u32>(pair_of_words(low), pair_of_words(high));
}
