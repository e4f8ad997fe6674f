//! The patch embedding of a vision transformer: a convolution whose stride is its size, as an unfolding and a product.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Shape, Slice, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::patch_embed as patch_embed_wgsl;

use super::launch::{contiguous, dims, launch, output, per_element};
use super::{MoleOps, Weight, linear};

/// Embeds every patch of every picture.
///
/// `pixels: [N, 3, height, width]`, `weight: [D, 3 s s]` (the convolution's `[D, 3, s, s]` flattened), `s = patch_size`;
/// returns `[N, P, D]` with `P = (height / s) (width / s)`, row by row. Pixels beyond the last whole patch are dropped.
pub fn patch_embed(pixels: Tensor<4>, weight: &Weight, patch_size: usize) -> Tensor<3> {
    let patches = Tensor::<3>::from_dispatch(<Dispatch as MoleOps>::unfold_patches(pixels.into_dispatch(), patch_size));
    let [images, count, width] = patches.dims();
    let [d_model, _] = weight.dims();
    linear(patches.reshape([images * count, width]), weight, None).reshape([images, count, d_model])
}

pub(super) fn composed<B: Backend>(pixels: FloatTensor<B>, patch_size: usize) -> FloatTensor<B> {
    let [images, channels, height, width] = pixels.shape().dims();
    let (rows, columns) = (height / patch_size, width / patch_size);
    let whole = |patches: usize| Slice::new(0, Some((patches * patch_size) as isize), 1);
    let pixels = B::float_slice(pixels, &[Slice::full(), Slice::full(), whole(rows), whole(columns)]);
    let blocks = Shape::new([images, channels, rows, patch_size, columns, patch_size]);
    let blocks = B::float_permute(B::float_reshape(pixels, blocks), &[0, 2, 4, 1, 3, 5]);
    B::float_reshape(blocks, Shape::new([images, rows * columns, channels * patch_size * patch_size]))
}

pub(super) fn kernel(pixels: CubeTensor, patch_size: usize) -> CubeTensor {
    let pixels = contiguous(pixels);
    let [images, channels, height, width] = dims(&pixels);
    assert_eq!(channels, 3, "patch_embed: pictures have three channels");
    let s = patch_size as u32;
    let (patches, row) = ((height / s) * (width / s), 3 * s * s);
    let y = output(&pixels, [images as usize, patches as usize, row as usize], DType::F32);
    let params = patch_embed_wgsl::Params { images, height, width, patch_size: s }.words();
    launch(&patch_embed_wgsl::PLAIN, &[&pixels, &y], params, per_element((images * patches * row) as usize));
    y
}
