// A frozen weight matrix, f32 or f16 packed two to a u32 (even element in the low half).
// The kernel declares the binding `weight` and calls weight_at(flat element index).
#ifdef W_F16
fn weight_at(index: u32) -> f32 {
    let pair = unpack2x16float(weight[index / 2u]);
    return select(pair.x, pair.y, (index & 1u) == 1u);
}
#else
fn weight_at(index: u32) -> f32 {
    return weight[index];
}
#endif
