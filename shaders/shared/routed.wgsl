// What `decode_in.wgsl` decided: [E] probabilities, the expert, the factor on its output. Without a router there is one
// expert, and its factor is 1. The kernel declares the binding `routing` and params.experts.
fn routed_expert() -> u32 {
    if (params.experts == 1u) {
        return 0u;
    }
    return min(u32(routing[params.experts]), params.experts - 1u);
}

fn routed_factor() -> f32 {
    if (params.experts == 1u) {
        return 1.0;
    }
    return routing[params.experts + 1u];
}
