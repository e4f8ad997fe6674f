// Which keys a query sees, and which queries see a key. The kernel declares the bindings `key_range` and, with CAUSAL,
// `position`, and params.keys, params.queries. Bounds are loop bounds around barriers: one thread computes them.
var<workgroup> shared_bounds: vec2<u32>;

// Keys first..last that may be seen at all.
fn valid_keys(batch: u32) -> vec2<u32> {
    let first = max(key_range[2u * batch], 0);
    let last = min(key_range[2u * batch + 1u], i32(params.keys));
    return vec2<u32>(u32(first), u32(max(last, first)));
}

// Keys first..last of query `token`.
fn visible_keys(thread: u32, batch: u32, token: u32) -> vec2<u32> {
    if (thread == 0u) {
        var keys = valid_keys(batch);
#ifdef CAUSAL
        keys.y = max(keys.x, min(keys.y, u32(max(position[0] + i32(token) + 1, 0))));
#endif
        shared_bounds = keys;
    }
    return workgroupUniformLoad(&shared_bounds);
}

// Queries first..last that see one of the keys key..end.
fn seeing_queries(thread: u32, batch: u32, key: u32, end: u32) -> vec2<u32> {
    if (thread == 0u) {
        let keys = valid_keys(batch);
        let first_key = max(key, keys.x);
        shared_bounds = vec2<u32>();
        if (first_key < min(end, keys.y)) {
            shared_bounds.y = params.queries;
#ifdef CAUSAL
            shared_bounds.x = u32(clamp(i32(first_key) - position[0], 0, i32(params.queries)));
#endif
        }
    }
    return workgroupUniformLoad(&shared_bounds);
}
