// Which keys a query sees, and which queries see a key. The kernel declares the bindings `key_range` and, with CAUSAL,
// `position`, and params.keys, params.queries. Bounds are loop bounds around barriers: one thread computes them.
var<workgroup> shared_bounds: vec2<u32>;

// Keys first..last of query `token`.
fn visible_keys(thread: u32, batch: u32, token: u32) -> vec2<u32> {
    if (thread == 0u) {
        let first = max(key_range[2u * batch], 0);
        var last = min(key_range[2u * batch + 1u], i32(params.keys));
#ifdef CAUSAL
        last = min(last, position[0] + i32(token) + 1);
#endif
        shared_bounds = vec2<u32>(u32(first), u32(max(last, first)));
    }
    return workgroupUniformLoad(&shared_bounds);
}

// Queries first..last that see `key`.
fn seeing_queries(thread: u32, batch: u32, key: u32) -> vec2<u32> {
    if (thread == 0u) {
        var first = 0;
        var last = 0;
        if (i32(key) >= max(key_range[2u * batch], 0) && i32(key) < key_range[2u * batch + 1u]) {
            last = i32(params.queries);
#ifdef CAUSAL
            first = clamp(i32(key) - position[0], 0, last);
#endif
        }
        shared_bounds = vec2<u32>(u32(first), u32(last));
    }
    return workgroupUniformLoad(&shared_bounds);
}
