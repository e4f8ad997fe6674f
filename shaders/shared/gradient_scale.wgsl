// Gradients are small, often below what f16 can hold: they are brought to at most 2^14 by this power of two. The kernel
// declares the binding `largest`, what `largest.wgsl` found.
fn gradient_scale() -> f32 {
    var most = vec4<f32>(1e-30);
    for (var i = 0u; i < arrayLength(&largest); i++) {
        most = max(most, largest[i]);
    }
    let exponent = frexp(max(max(most.x, most.y), max(most.z, most.w))).exp;
    return ldexp(1.0, 14 - exponent);
}
