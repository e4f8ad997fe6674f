// Which expert and tokens a tile of TILE tokens belongs to. Tokens are sorted by expert: those of expert e are
// permutation[offsets[e] .. offsets[e + 1]]. Each expert starts a tile of its own, so there are at most
// tokens / TILE + experts tiles; a tile finds itself by walking the offsets. Without GROUPED there is one expert, and the
// tokens stand in their own order. The kernel declares params.tokens and params.experts, and with GROUPED the bindings
// `offsets` and `permutation`.
struct Group {
    expert: u32,
    first: u32, // of the tile's tokens, in sorted order
    last: u32, // one past the expert's last; equal to first where the tile is beyond all tokens
}

var<workgroup> shared_group: Group;
var<workgroup> token_of_line: array<u32, TILE>;

const NO_TOKEN = 0xffffffffu;

fn find_group(thread: u32, tile: u32) -> Group {
    if (thread == 0u) {
#ifdef GROUPED
        var found = Group(0u, 0u, 0u);
        var before = tile;
        for (var expert = 0u; expert < params.experts; expert++) {
            let first = u32(offsets[expert]);
            let last = u32(offsets[expert + 1u]);
            let tiles = (last - first + TILE - 1u) / TILE;
            if (before < tiles) {
                found = Group(expert, first + before * TILE, last);
                break;
            }
            before -= tiles;
        }
        shared_group = found;
#else
        shared_group = Group(0u, min(tile * TILE, params.tokens), params.tokens);
#endif
    }
    // Every thread of the workgroup goes on with the same group.
    let group = workgroupUniformLoad(&shared_group);
    if (thread < TILE) {
        let at = group.first + thread;
        var token = NO_TOKEN;
        if (at < group.last) {
#ifdef GROUPED
            token = u32(permutation[at]);
#else
            token = at;
#endif
        }
        token_of_line[thread] = token;
    }
    workgroupBarrier();
    return group;
}
