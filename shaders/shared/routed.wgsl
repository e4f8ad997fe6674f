// What `decode_in.wgsl` decided: [E] probabilities, the expert, the factor on its output. Without a router there is one
// expert, and its factor is 1. The kernel declares the binding `routing` and params.experts.
fn routed_expert() -> u32 {
    return select(min(u32(routing[params.experts]), params.experts - 1u), 0u, params.experts == 1u);
}

fn routed_factor() -> f32 {
    return select(routing[params.experts + 1u], 1.0, params.experts == 1u);
}
