// Which keys a query sees, and which queries see a key. The kernel declares the bindings `key_range` and, with CAUSAL,
// `position`, and params.keys, params.queries. Bounds are loop bounds around barriers: one thread computes them.
// With PACKED several sequences stand one behind the other, queries and keys alike: key_range: [T, 2] is every token's own
// sequence, and it sees that up to itself. Otherwise key_range: [B, 2].
var<workgroup> shared_bounds: vec2<u32>;

// Keys first..last of query `token`.
fn keys_of(batch: u32, token: u32) -> vec2<u32> {
#ifdef PACKED
    let row = token;
#else
    let row = batch;
#endif
    let first = u32(max(key_range[2u * row], 0));
    var last = u32(clamp(key_range[2u * row + 1u], 0, i32(params.keys)));
#ifdef PACKED
    last = min(last, token + 1u);
#endif
#ifdef CAUSAL
    last = min(last, u32(max(position[0] + i32(token) + 1, 0)));
#endif
    return vec2<u32>(first, max(last, first));
}

// Keys first..last that one of the queries token..last_token sees.
fn visible_keys(thread: u32, batch: u32, token: u32, last_token: u32) -> vec2<u32> {
    if (thread == 0u) {
        // The first sees the earliest key and the last the latest.
        shared_bounds = vec2<u32>(keys_of(batch, token).x, keys_of(batch, last_token).y);
    }
    return workgroupUniformLoad(&shared_bounds);
}

// Queries first..last that see one of the keys key..end. Of these, every one from `key` on sees `key` with CAUSAL, and
// with PACKED if the keys are one.
fn seeing_queries(thread: u32, batch: u32, key: u32, end: u32) -> vec2<u32> {
    if (thread == 0u) {
#ifdef PACKED
        let last = min(end, params.keys) - 1u;
        shared_bounds = vec2<u32>(key, u32(clamp(key_range[2u * last + 1u], 0, i32(params.queries))));
#else
        let first_key = max(i32(key), key_range[2u * batch]);
        shared_bounds = vec2<u32>();
        if (first_key < min(i32(min(end, params.keys)), key_range[2u * batch + 1u])) {
            shared_bounds.y = params.queries;
#ifdef CAUSAL
            shared_bounds.x = u32(clamp(first_key - position[0], 0, i32(params.queries)));
#endif
        }
#endif
    }
    return workgroupUniformLoad(&shared_bounds);
}
