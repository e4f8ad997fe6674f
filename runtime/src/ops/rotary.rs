//! Rotary position embedding (arXiv 2104.09864) in Llama's half-rotation layout.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Device, Int, Shape, Slice, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::rotary as rotary_wgsl;

use super::launch::{contiguous, dims, launch, output, per_element};
use super::tape::record;
use super::{MoleOps, host};

/// Which way a token is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// By its position.
    Forward,
    /// Back: a rotation's inverse is its transpose, so this is also the gradient.
    Backward,
}

/// Cosines and sines of every position: `[context, head_dim]`, the first half cosines, the second sines.
///
/// Angle of pair `i` at position `p`: `p / theta^(2 i / head_dim)`, computed in f64 and rounded once, so that every
/// device rotates by the same angle.
pub fn rotary_table(context: usize, head_dim: usize, theta: f64, device: &Device) -> Tensor<2> {
    let half = head_dim / 2;
    let mut table = Vec::with_capacity(context * head_dim);
    for position in 0..context {
        let angle = |i: usize| position as f64 / theta.powf(2.0 * i as f64 / head_dim as f64);
        table.extend((0..half).map(|i| angle(i).cos() as f32));
        table.extend((0..half).map(|i| angle(i).sin() as f32));
    }
    Tensor::from_data(TensorData::new(table, [context, head_dim]), device)
}

/// Rotates queries or keys. `x: [B, T, H, Dh]`, `table` of [`rotary_table`], `position: [1]` (i32) of the first token.
///
/// The caller keeps `position + T` within the table.
pub fn rotary(x: Tensor<4>, table: &Tensor<2>, position: &Tensor<1, Int>) -> Tensor<4> {
    let (table, position) = (table.clone().into_dispatch(), position.clone().into_dispatch());
    Tensor::from_dispatch(<Dispatch as MoleOps>::rotary(x.into_dispatch(), table, position, Rotation::Forward))
}

pub(super) fn composed<B: Backend>(
    x: FloatTensor<B>,
    table: FloatTensor<B>,
    position: IntTensor<B>,
    rotation: Rotation,
) -> FloatTensor<B> {
    let [_, tokens, _, head_dim] = x.shape().dims();
    let [context, _] = table.shape().dims();
    let half = head_dim / 2;
    let position = host::ints::<B>(position)[0];
    let rows: Vec<i32> = (0..tokens).map(|t| (position + t as i32).clamp(0, context as i32 - 1)).collect();
    let rows = B::float_select(table.clone(), 0, host::int_tensor::<B>(rows, &table));
    let part = |tensor: FloatTensor<B>, dim: usize, from: usize| {
        let mut slices = vec![Slice::full(); dim];
        slices.push(Slice::new(from as isize, Some((from + half) as isize), 1));
        B::float_slice(tensor, &slices)
    };
    let shape = Shape::new([1, tokens, 1, half]);
    let cosine = B::float_reshape(part(rows.clone(), 1, 0), shape.clone());
    let sine = B::float_reshape(part(rows, 1, half), shape);
    let sine = match rotation {
        Rotation::Forward => sine,
        Rotation::Backward => B::float_neg(sine),
    };
    let (low, high) = (part(x.clone(), 3, 0), part(x, 3, half));
    let new_low = B::float_sub(B::float_mul(low.clone(), cosine.clone()), B::float_mul(high.clone(), sine.clone()));
    let new_high = B::float_add(B::float_mul(high, cosine), B::float_mul(low, sine));
    B::float_cat(vec![new_low, new_high], 3)
}

pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    table: FloatTensor<Autodiff<B, C>>,
    position: IntTensor<B>,
    rotation: Rotation,
) -> FloatTensor<Autodiff<B, C>> {
    let ((x, node), table) = (x.into_parts(), table.into_primitive());
    let y = B::rotary(x, table.clone(), position.clone(), rotation);
    record::<B, C, _, 1>([node], y, (table, position, rotation), |(table, position, rotation), dy, _| {
        let back = match rotation {
            Rotation::Forward => Rotation::Backward,
            Rotation::Backward => Rotation::Forward,
        };
        [Some(B::rotary(dy, table, position, back))]
    })
}

pub(super) fn kernel(x: CubeTensor, table: CubeTensor, position: CubeTensor, rotation: Rotation) -> CubeTensor {
    let (x, table, position) = (contiguous(x), contiguous(table), contiguous(position));
    let [batch, tokens, heads, head_dim] = dims(&x);
    let [context, table_width] = dims(&table);
    assert_eq!(table_width, head_dim, "rotary: table of another head width");
    let y = output(&x, x.shape(), DType::F32);
    let direction = match rotation {
        Rotation::Forward => 1.0,
        Rotation::Backward => -1.0,
    };
    let params = rotary_wgsl::Params { batch, tokens, heads, head_dim, context, direction }.words();
    launch(&rotary_wgsl::PLAIN, &[&x, &table, &position, &y], params, per_element(y.shape().num_elements() / 2));
    y
}
