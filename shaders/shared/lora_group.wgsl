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

#import bounded

const NO_TOKEN = 0xffffffffu;

// Of the tile number `tile`.
fn group_of(tile: u32) -> Group {
#ifdef GROUPED
    var before = tile;
    for (var expert = 0u; expert < bounded(params.experts, arrayLength(&offsets)); expert++) {
        let first = u32(offsets[expert]);
        let last = u32(offsets[expert + 1u]);
        let tiles = (last - first + TILE - 1u) / TILE;
        if (before < tiles) {
            return Group(expert, first + before * TILE, last);
        }
        before -= tiles;
    }
    return Group(0u, 0u, 0u);
#else
    return Group(0u, min(tile * TILE, params.tokens), params.tokens);
#endif
}

// The token of a line of the group's tile.
fn token_in(group: Group, line: u32) -> u32 {
    let at = group.first + line;
    if (at >= group.last) {
        return NO_TOKEN;
    }
#ifdef GROUPED
    return u32(permutation[at]);
#else
    return at;
#endif
}

#ifdef ALONE
#else
var<workgroup> shared_group: Group;
var<workgroup> token_of_line: array<u32, TILE>;

// Of the workgroup's tile; and its tokens.
fn find_group(thread: u32, tile: u32) -> Group {
    if (thread == 0u) {
        shared_group = group_of(tile);
    }
    // Every thread of the workgroup goes on with the same group.
    let group = workgroupUniformLoad(&shared_group);
    if (thread < TILE) {
        token_of_line[thread] = token_in(group, thread);
    }
    workgroupBarrier();
    return group;
}
#endif
