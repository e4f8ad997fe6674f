//! The language model's loss from its last hidden states, chunk by chunk of the vocabulary: neither the logits of all
//! tokens nor their gradient is ever whole.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, FloatDType, Int, Shape, Slice, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{cross_entropy as chunk_wgsl, cross_entropy_backward as backward_wgsl};

use super::launch::{contiguous, dims, launch, output, per_element};
use super::tape::record;
use super::{MoleOps, PackedLayout, Weight, host};

/// Columns of the vocabulary at a time.
const CHUNK: usize = 8192;

/// `loss_r = log sum_v exp(<hidden_r, w_v>) - <hidden_r, w_target>`.
///
/// `hidden: [R, D]`, weight `[V, D]`, `targets: [R]` (i32) in `0..V`; returns `[R]`.
pub fn cross_entropy(hidden: Tensor<2>, weight: &Weight, targets: &Tensor<1, Int>) -> Tensor<1> {
    let (hidden, targets) = (hidden.into_dispatch(), targets.clone().into_dispatch());
    Tensor::from_dispatch(match weight {
        Weight::F32(weight) => <Dispatch as MoleOps>::cross_entropy(hidden, weight.clone().into_dispatch(), targets),
        Weight::Packed(packed) => {
            let words = packed.words.clone().into_dispatch();
            <Dispatch as MoleOps>::cross_entropy_packed(hidden, words, targets, packed.layout)
        }
    })
}

/// The formula, with all logits at once.
pub(super) fn composed<B: Backend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> FloatTensor<B> {
    let [rows, _] = hidden.shape().dims();
    let logits = B::float_matmul(hidden, B::float_transpose(weight));
    let targets = B::int_reshape(targets, Shape::new([rows, 1]));
    let likelihood = B::float_gather(1, B::log_softmax(logits, 1), targets);
    B::float_reshape(B::float_neg(likelihood), Shape::new([rows]))
}

/// The output layer, whichever way it is stored; cut along the vocabulary.
#[derive(Clone, Debug)]
pub(super) enum Output<B: Backend> {
    F32(FloatTensor<B>),
    Packed(IntTensor<B>, PackedLayout),
}

impl<B: MoleOps> Output<B> {
    fn vocab(&self) -> usize {
        match self {
            Self::F32(weight) => weight.shape()[0],
            Self::Packed(words, _) => words.shape()[0],
        }
    }

    /// The chunks' first columns and their weights.
    fn chunks(&self) -> impl Iterator<Item = (usize, Self)> {
        let vocab = self.vocab();
        (0..vocab).step_by(CHUNK).map(move |first| {
            let rows = [Slice::new(first as isize, Some((first + CHUNK).min(vocab) as isize), 1)];
            let chunk = match self {
                Self::F32(weight) => Self::F32(B::float_slice(weight.clone(), &rows)),
                Self::Packed(words, layout) => Self::Packed(B::int_slice(words.clone(), &rows), *layout),
            };
            (first, chunk)
        })
    }

    fn logits(&self, hidden: FloatTensor<B>) -> FloatTensor<B> {
        match self {
            Self::F32(weight) => B::mole_linear(hidden, weight.clone()),
            Self::Packed(words, layout) => B::linear_packed(hidden, words.clone(), *layout),
        }
    }

    fn backward_input(&self, dlogits: FloatTensor<B>) -> FloatTensor<B> {
        match self {
            Self::F32(weight) => B::linear_backward_input(dlogits, weight.clone()),
            Self::Packed(words, layout) => B::linear_backward_input_packed(dlogits, words.clone(), *layout),
        }
    }
}

/// The loss of each row, and the statistics `[R, 3]` that its gradient needs.
fn forward<B: MoleOps>(
    hidden: FloatTensor<B>,
    weight: &Output<B>,
    targets: IntTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [rows, _] = hidden.shape().dims();
    let nothing = [-3.4e38f32, 0.0, 0.0].repeat(rows);
    let mut stats = B::float_from_data(TensorData::new(nothing, [rows, 3]), &hidden.device());
    for (first, chunk) in weight.chunks() {
        stats = B::cross_entropy_chunk(chunk.logits(hidden.clone()), targets.clone(), stats, first);
    }
    let column = |i: isize| B::float_slice(stats.clone(), &[Slice::full(), Slice::new(i, Some(i + 1), 1)]);
    let loss = B::float_sub(B::float_add(B::float_log(column(1)), column(0)), column(2));
    (B::float_reshape(loss, Shape::new([rows])), stats)
}

/// The loss without a gradient.
pub(super) fn chunked<B: MoleOps>(hidden: FloatTensor<B>, weight: Output<B>, targets: IntTensor<B>) -> FloatTensor<B> {
    forward::<B>(hidden, &weight, targets).0
}

/// What the backward pass keeps; the hidden states are those of the supervised tokens alone.
type Saved<B> = (FloatTensor<B>, Output<B>, IntTensor<B>, FloatTensor<B>);

/// The gradients of the hidden states and, where it is trained, of the output layer.
fn backward<B: MoleOps>(
    (hidden, weight, targets, stats): Saved<B>,
    dloss: FloatTensor<B>,
    trained: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let mut dhidden = B::float_zeros(hidden.shape(), &hidden.device(), FloatDType::F32);
    let mut dweight = Vec::new();
    for (first, chunk) in weight.chunks() {
        let logits = chunk.logits(hidden.clone());
        let dlogits = B::cross_entropy_chunk_backward(logits, targets.clone(), stats.clone(), dloss.clone(), first);
        if trained {
            dweight.push(B::linear_backward_weight(dlogits.clone(), hidden.clone()));
        }
        dhidden = B::float_add(dhidden, chunk.backward_input(dlogits));
    }
    (dhidden, trained.then(|| B::float_cat(dweight, 0)))
}

pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    hidden: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    targets: IntTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    let ((hidden, hidden_node), (weight, weight_node)) = (hidden.into_parts(), weight.into_parts());
    let weight = Output::F32(weight);
    let (loss, stats) = forward::<B>(hidden.clone(), &weight, targets.clone());
    let saved = (hidden, weight, targets, stats);
    record::<B, C, Saved<B>, 2>([hidden_node, weight_node], loss, saved, |saved, dloss, [_, trained]| {
        let (dhidden, dweight) = backward::<B>(saved, dloss, trained);
        [Some(dhidden), dweight]
    })
}

pub(super) fn tracked_packed<B: MoleOps, C: CheckpointStrategy>(
    hidden: FloatTensor<Autodiff<B, C>>,
    words: IntTensor<B>,
    targets: IntTensor<B>,
    layout: PackedLayout,
) -> FloatTensor<Autodiff<B, C>> {
    let (hidden, node) = hidden.into_parts();
    let weight = Output::Packed(words, layout);
    let (loss, stats) = forward::<B>(hidden.clone(), &weight, targets.clone());
    let saved = (hidden, weight, targets, stats);
    record::<B, C, Saved<B>, 1>([node], loss, saved, |saved, dloss, _| [Some(backward::<B>(saved, dloss, false).0)])
}

/// Takes one chunk of logits into the running statistics: largest logit, sum of exponentials relative to it, target's
/// logit.
pub(super) fn composed_chunk<B: Backend>(
    logits: FloatTensor<B>,
    targets: IntTensor<B>,
    before: FloatTensor<B>,
    first: usize,
) -> FloatTensor<B> {
    let [rows, columns] = logits.shape().dims();
    let device = logits.device();
    let (logits, before) = (host::floats::<B>(logits), host::floats::<B>(before));
    let mut stats = Vec::with_capacity(3 * rows);
    for (row, target) in host::ints::<B>(targets).into_iter().enumerate() {
        let logits = &logits[row * columns..][..columns];
        let (last_largest, last_sum, last_target) = (before[3 * row], before[3 * row + 1], before[3 * row + 2]);
        let largest = logits.iter().copied().fold(last_largest, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let column = usize::try_from(target).ok().and_then(|target| target.checked_sub(first));
        let target = column.and_then(|column| logits.get(column)).copied().unwrap_or(last_target);
        stats.extend([largest, sum + last_sum * (last_largest - largest).exp(), target]);
    }
    B::float_from_data(TensorData::new(stats, [rows, 3]), &device)
}

/// `dloss (softmax - 1 at the target)` of one chunk.
pub(super) fn composed_chunk_backward<B: Backend>(
    logits: FloatTensor<B>,
    targets: IntTensor<B>,
    stats: FloatTensor<B>,
    dloss: FloatTensor<B>,
    first: usize,
) -> FloatTensor<B> {
    let [rows, columns] = logits.shape().dims();
    let device = logits.device();
    let (mut values, stats) = (host::floats::<B>(logits), host::floats::<B>(stats));
    let dloss = host::floats::<B>(dloss);
    for (row, target) in host::ints::<B>(targets).into_iter().enumerate() {
        let (largest, sum, dloss) = (stats[3 * row], stats[3 * row + 1], dloss[row]);
        for (column, value) in values[row * columns..][..columns].iter_mut().enumerate() {
            let hit = if (first + column) as i32 == target { 1.0 } else { 0.0 };
            *value = dloss * ((*value - largest).exp() / sum - hit);
        }
    }
    B::float_from_data(TensorData::new(values, [rows, columns]), &device)
}

pub(super) fn kernel_chunk(logits: CubeTensor, targets: CubeTensor, before: CubeTensor, first: usize) -> CubeTensor {
    let (logits, targets, before) = (contiguous(logits), contiguous(targets), contiguous(before));
    let [rows, columns] = dims(&logits);
    let stats = output(&logits, [rows as usize, 3], DType::F32);
    let params = chunk_wgsl::Params { rows, columns, first: first as u32 }.words();
    launch(&chunk_wgsl::PLAIN, &[&logits, &targets, &before, &stats], params, rows);
    stats
}

pub(super) fn kernel_chunk_backward(
    logits: CubeTensor,
    targets: CubeTensor,
    stats: CubeTensor,
    dloss: CubeTensor,
    first: usize,
) -> CubeTensor {
    let (logits, targets) = (contiguous(logits), contiguous(targets));
    let (stats, dloss) = (contiguous(stats), contiguous(dloss));
    let [rows, columns] = dims(&logits);
    let dlogits = output(&logits, logits.shape(), DType::F32);
    let params = backward_wgsl::Params { rows, columns, first: first as u32 }.words();
    let workgroups = per_element((rows * columns) as usize);
    launch(&backward_wgsl::PLAIN, &[&logits, &targets, &stats, &dloss, &dlogits], params, workgroups);
    dlogits
}
