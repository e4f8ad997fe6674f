// Unfolds pictures into rows of patches, so that the patch convolution (stride = size) is one `linear`.
// y[n, p, (c, i, j)] = pixels[n, c, py s + i, px s + j], p = py columns + px; pixels beyond the last whole patch
// are dropped, as a convolution without padding does. N pictures, s patch size. One thread per element of y.
// Source: Dosovitskiy et al. 2020, arXiv 2010.11929.
#import grid

@group(0) @binding(0) var<storage, read_write> pixels: array<f32>; // [N, 3, height, width]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, P, 3 s s]
@group(0) @binding(2) var<uniform> params: Params;

struct Params {
    images: u32, // N
    height: u32,
    width: u32,
    patch_size: u32, // s
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let s = params.patch_size;
    let columns = params.width / s;
    let rows = params.height / s;
    let index = workgroup_index(workgroup, count) * 64u + thread;
    if (index >= params.images * rows * columns * 3u * s * s) {
        return;
    }
    let j = index % s;
    let i = (index / s) % s;
    let c = (index / (s * s)) % 3u;
    let patch_index = (index / (3u * s * s)) % (rows * columns);
    let n = index / (3u * s * s * rows * columns);
    let from_y = (patch_index / columns) * s + i;
    let from_x = (patch_index % columns) * s + j;
    y[index] = pixels[((n * 3u + c) * params.height + from_y) * params.width + from_x];
}
