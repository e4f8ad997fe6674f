//! `y = x W^T + b` with a weight in f32, or packed; in f32 it may be trained.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, Device, Int, Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{linear_vec as vec, sum_rows as sum_rows_wgsl};

use super::launch::{contiguous, dims, launch, output};
use super::product::{self, Features};
use super::tape::record;
use super::{MoleOps, PackedFormat, PackedLayout};

/// Up to this many rows the product is bound by reading the weight, and the row kernel wins over the tiled one.
const VEC_ROWS: u32 = 4;

/// A weight matrix `[out_features, in_features]` as it is stored on the device.
#[derive(Clone, Debug)]
pub enum Weight {
    /// f32, `[out_features, in_features]`.
    F32(Tensor<2>),
    /// Frozen, in less room. It needs no device feature.
    Packed(PackedWeight),
}

/// A frozen weight matrix in f16, q8 or q4.
#[derive(Clone, Debug)]
pub struct PackedWeight {
    /// u32, `[out_features, layout.row_words()]`.
    pub words: Tensor<2, Int>,
    /// How the words are to be read.
    pub layout: PackedLayout,
}

impl Weight {
    /// `[out_features, in_features]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::F32(weight) => weight.dims(),
            Self::Packed(packed) => [packed.words.dims()[0], packed.layout.in_features],
        }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> u64 {
        let [rows, words] = match self {
            Self::F32(weight) => weight.dims(),
            Self::Packed(packed) => packed.words.dims(),
        };
        4 * rows as u64 * words as u64
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            Self::F32(weight) => weight.device(),
            Self::Packed(packed) => packed.words.device(),
        }
    }

    /// `count` rows from `first` on; on a GPU the same memory, where they begin and end at whole bindings.
    pub fn rows(&self, first: usize, count: usize) -> Self {
        match self {
            Self::F32(weight) => Self::F32(weight.clone().narrow(0, first, count)),
            Self::Packed(packed) => {
                let words = packed.words.clone().narrow(0, first, count);
                Self::Packed(PackedWeight { words, layout: packed.layout })
            }
        }
    }

    /// Weights of one kind and with rows of one length, one below the other.
    ///
    /// # Panics
    /// If they are of several kinds.
    pub fn cat(parts: &[&Self]) -> Self {
        let packed: Vec<_> = parts
            .iter()
            .filter_map(|part| match part {
                Self::Packed(packed) => Some(packed),
                Self::F32(_) => None,
            })
            .collect();
        let Some(first) = packed.first() else {
            let f32 = |part: &&Self| match part {
                Self::F32(weight) => weight.clone(),
                Self::Packed(_) => unreachable!("none is packed"),
            };
            return Self::F32(Tensor::cat(parts.iter().map(f32).collect(), 0));
        };
        let same = packed.len() == parts.len() && packed.iter().all(|part| part.layout == first.layout);
        assert!(same, "weights of several kinds cannot be one");
        let words = Tensor::cat(packed.iter().map(|part| part.words.clone()).collect(), 0);
        Self::Packed(PackedWeight { words, layout: first.layout })
    }
}

/// `y = x W^T + b`.
///
/// `x: [rows, in_features]`, `bias: [out_features]`; returns `[rows, out_features]`. Sums are in f32.
pub fn linear(x: Tensor<2>, weight: &Weight, bias: Option<&Tensor<1>>) -> Tensor<2> {
    let x = x.into_dispatch();
    let bias = bias.map(|bias| bias.clone().into_dispatch());
    Tensor::from_dispatch(match (weight, bias) {
        (Weight::F32(w), None) => <Dispatch as MoleOps>::mole_linear(x, w.clone().into_dispatch()),
        (Weight::F32(w), Some(bias)) => <Dispatch as MoleOps>::linear_bias(x, w.clone().into_dispatch(), bias),
        (Weight::Packed(w), None) => <Dispatch as MoleOps>::linear_packed(x, w.words.clone().into_dispatch(), w.layout),
        (Weight::Packed(w), Some(bias)) => {
            <Dispatch as MoleOps>::linear_packed_bias(x, w.words.clone().into_dispatch(), bias, w.layout)
        }
    })
}

pub(super) fn composed<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let [out_features, _] = weight.shape().dims();
    let y = B::float_matmul(x, B::float_transpose(weight));
    match bias {
        Some(bias) => B::float_add(y, B::float_reshape(bias, Shape::new([1, out_features]))),
        None => y,
    }
}

/// Rows and columns of a weight on a GPU, packed where there is a `layout`.
pub(super) fn weight_dims(weight: &CubeTensor, layout: Option<PackedLayout>) -> [u32; 2] {
    let [rows, stored] = dims(weight);
    let Some(layout) = layout else { return [rows, stored] };
    assert_eq!(stored as usize, layout.row_words(), "a packed weight is as wide as its layout says");
    [rows, layout.in_features as u32]
}

/// `layout` is that of a packed weight.
pub(super) fn kernel(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    layout: Option<PackedLayout>,
) -> CubeTensor {
    let (x, weight, bias) = (contiguous(x), contiguous(weight), bias.map(contiguous));
    let ([rows, in_features], [out_features, columns]) = (dims(&x), weight_dims(&weight, layout));
    assert_eq!(in_features, columns, "linear: x and weight disagree");
    let y = output(&x, [rows as usize, out_features as usize], DType::F32);

    let mut buffers = vec![&x, &weight];
    buffers.extend(bias.as_ref());
    buffers.push(&y);
    let format = layout.map(|layout| layout.format);
    if rows <= VEC_ROWS {
        let kernel = match (format, bias.is_some()) {
            (None, false) => &vec::PLAIN,
            (None, true) => &vec::BIAS,
            (Some(PackedFormat::F16), false) => &vec::W_F16,
            (Some(PackedFormat::F16), true) => &vec::W_F16_BIAS,
            (Some(PackedFormat::Q8), false) => &vec::W_Q8,
            (Some(PackedFormat::Q8), true) => &vec::W_Q8_BIAS,
            (Some(PackedFormat::Q4), false) => &vec::W_Q4,
            (Some(PackedFormat::Q4), true) => &vec::W_Q4_BIAS,
        };
        let params = vec::Params { rows, out_features, in_features }.words();
        launch(kernel, &buffers, params, rows * out_features.div_ceil(4));
    } else {
        product::forward(&buffers, format, Features { rows, out_features, in_features });
    }
    y
}

/// A frozen weight's gradient goes to the input alone: `dx = dy W`.
pub(super) fn tracked_packed<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    words: IntTensor<B>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
    layout: PackedLayout,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, x_node) = x.into_parts();
    let saved = (words.clone(), layout);
    match bias.map(|bias| bias.into_parts()) {
        None => {
            let y = B::linear_packed(x, words, layout);
            record::<B, C, _, 1>([x_node], y, saved, |(words, layout), dy, _| {
                [Some(B::linear_backward_input_packed(dy, words, layout))]
            })
        }
        Some((bias, bias_node)) => {
            let y = B::linear_packed_bias(x, words, bias, layout);
            record::<B, C, _, 2>([x_node, bias_node], y, saved, |(words, layout), dy, [dx, db]| {
                let db = db.then(|| B::sum_rows(dy.clone()));
                [dx.then(|| B::linear_backward_input_packed(dy, words, layout)), db]
            })
        }
    }
}

/// `dx = dy W`, `dW = dy^T x`, `db` the sum of the rows of dy.
pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
) -> FloatTensor<Autodiff<B, C>> {
    // A frozen weight, the usual case, does not keep its input alive.
    let trained = weight.is_tracked();
    let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
    let saved = (trained.then(|| x.clone()), weight.clone());
    match bias.map(|bias| bias.into_parts()) {
        None => {
            let y = B::mole_linear(x, weight);
            record::<B, C, _, 2>([x_node, weight_node], y, saved, |(x, weight), dy, [dx, _]| {
                let dw = x.map(|x| B::linear_backward_weight(dy.clone(), x));
                [dx.then(|| B::linear_backward_input(dy, weight)), dw]
            })
        }
        Some((bias, bias_node)) => {
            let y = B::linear_bias(x, weight, bias);
            record::<B, C, _, 3>([x_node, weight_node, bias_node], y, saved, |(x, weight), dy, [dx, _, db]| {
                let dw = x.map(|x| B::linear_backward_weight(dy.clone(), x));
                let db = db.then(|| B::sum_rows(dy.clone()));
                [dx.then(|| B::linear_backward_input(dy, weight)), dw, db]
            })
        }
    }
}

pub(super) fn composed_backward_input<B: Backend>(dy: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(dy, weight)
}

pub(super) fn composed_backward_weight<B: Backend>(dy: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(B::float_transpose(dy), x)
}

pub(super) fn composed_sum_rows<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [_, columns] = x.shape().dims();
    B::float_reshape(B::float_sum_dim(x, 0), Shape::new([columns]))
}

/// `layout` is that of a packed weight.
pub(super) fn kernel_backward_input(dy: CubeTensor, weight: CubeTensor, layout: Option<PackedLayout>) -> CubeTensor {
    let (dy, weight) = (contiguous(dy), contiguous(weight));
    let ([rows, out_features], [weight_rows, in_features]) = (dims(&dy), weight_dims(&weight, layout));
    assert_eq!(out_features, weight_rows, "linear_backward_input: dy and weight disagree");
    let dx = output(&dy, [rows as usize, in_features as usize], DType::F32);
    let features = Features { rows, out_features, in_features };
    product::backward_input(&[&dy, &weight, &dx], layout.map(|layout| layout.format), features);
    dx
}

pub(super) fn kernel_backward_weight(dy: CubeTensor, x: CubeTensor) -> CubeTensor {
    let (dy, x) = (contiguous(dy), contiguous(x));
    let ([rows, out_features], [x_rows, in_features]) = (dims(&dy), dims(&x));
    assert_eq!(rows, x_rows, "linear_backward_weight: dy and x disagree");
    let dw = output(&dy, [out_features as usize, in_features as usize], DType::F32);
    product::backward_weight(&[&dy, &x, &dw], Features { rows, out_features, in_features });
    dw
}

pub(super) fn kernel_sum_rows(x: CubeTensor) -> CubeTensor {
    let x = contiguous(x);
    let [rows, columns] = dims(&x);
    let y = output(&x, [columns as usize], DType::F32);
    let params = sum_rows_wgsl::Params { rows, columns }.words();
    launch(&sum_rows_wgsl::PLAIN, &[&x, &y], params, columns.div_ceil(16));
    y
}
