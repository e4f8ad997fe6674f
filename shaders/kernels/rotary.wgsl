// Rotary position embedding in the half-rotation layout: pairs (i, i + Dh / 2).
// y_i = x_i cos - x_{i + Dh/2} sin;  y_{i + Dh/2} = x_{i + Dh/2} cos + x_i sin.
// B batch, T tokens, H heads, Dh head width, C context. One thread per pair.
// Token t stands at position[0] + t. Cosines and sines come from a table: f32 range reduction differs by driver.
// Source: Su et al. 2021, arXiv 2104.09864; layout of Llama in transformers (rotate_half).
#import grid

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [B, T, H, Dh]
@group(0) @binding(1) var<storage, read_write> table: array<f32>; // [C, Dh]: Dh / 2 cosines, then Dh / 2 sines
@group(0) @binding(2) var<storage, read_write> position: array<i32>; // [1]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [B, T, H, Dh]
@group(0) @binding(4) var<uniform> params: Params;

struct Params {
    batch: u32, // B
    tokens: u32, // T
    heads: u32, // H
    head_dim: u32, // Dh
    context: u32, // C
    direction: f32, // 1, or -1 to rotate back: the gradient
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let half = params.head_dim / 2u;
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.batch * params.tokens * params.heads * half) {
        return;
    }
    let i = index % half;
    let row = index / half; // (batch, token, head)
    let token = (row / params.heads) % params.tokens;
    // The host refuses positions beyond the context; the bound keeps a stale decode step inside the table.
    let at = min(u32(max(position[0], 0)) + token, params.context - 1u);
    let cosine = table[at * params.head_dim + i];
    let sine = table[at * params.head_dim + half + i] * params.direction;
    let low = x[row * params.head_dim + i];
    let high = x[row * params.head_dim + half + i];
    y[row * params.head_dim + i] = low * cosine - high * sine;
    y[row * params.head_dim + half + i] = high * cosine + low * sine;
}
