// Packed integers as floats. 2^23 + n has n in its last bits, so that no conversion is needed, of which GPUs do few at once.
const BYTES = vec4<u32>(0u, 8u, 16u, 24u);

fn floats(quants: vec4<u32>, zero: f32) -> vec4<f32> {
    return bitcast<vec4<f32>>(quants | vec4<u32>(0x4b000000u)) - vec4<f32>(8388608.0 + zero);
}

// Four signed bytes.
fn signed_bytes(word: u32) -> vec4<f32> {
    return floats((vec4<u32>(word ^ 0x80808080u) >> BYTES) & vec4<u32>(0xffu), 128.0);
}

// The low nibbles of four bytes, less 8.
fn low_nibbles(word: u32) -> vec4<f32> {
    return floats((vec4<u32>(word) >> BYTES) & vec4<u32>(0xfu), 8.0);
}
