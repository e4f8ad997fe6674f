//! Puts an operation with its explicit gradient on burn's tape.

use std::cell::Cell;
use std::fmt::Debug;

use burn::backend::Autodiff;
use burn::backend::Backend;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{FloatDType, Shape, Tensor};

use super::MoleOps;

/// An operation's gradient: from what the forward pass saved, the output's gradient, and which inputs want one, to the
/// inputs' gradients. `None` where none is wanted.
pub(super) type Gradient<B, S, const N: usize> = fn(S, FloatTensor<B>, [bool; N]) -> [Option<FloatTensor<B>>; N];

struct Explicit<B: Backend, S, const N: usize>(Gradient<B, S, N>);

impl<B: Backend, S, const N: usize> Debug for Explicit<B, S, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Explicit")
    }
}

impl<B: Backend, S: Clone + Debug + Send + 'static, const N: usize> Backward<B, N> for Explicit<B, S, N> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        for (parent, gradient) in ops.parents.into_iter().zip((self.0)(ops.state, dy, wanted)) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// The output of an operation as a tensor that knows how to send its gradient back to `inputs`.
pub(super) fn record<B: Backend, C: CheckpointStrategy, S: Clone + Debug + Send + 'static, const N: usize>(
    inputs: [NodeGuard; N],
    output: FloatTensor<B>,
    saved: S,
    gradient: Gradient<B, S, N>,
) -> FloatTensor<Autodiff<B, C>> {
    match Explicit(gradient).prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(operation) => operation.finish(saved, output),
        OpsKind::UnTracked(operation) => operation.finish(output),
    }
}

/// A number, of no meaning, whose gradient in `y` is `dy`: what a tape is walked back from where the gradient of its end is
/// known.
pub fn with_gradient<const D: usize>(y: Tensor<D>, dy: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as MoleOps>::with_gradient(y.into_dispatch(), dy.into_dispatch()))
}

/// The number.
pub(super) fn nothing<B: Backend>(like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(Shape::new([1]), &like.device(), FloatDType::F32)
}

pub(super) fn tracked_with_gradient<B: MoleOps, C: CheckpointStrategy>(
    y: FloatTensor<Autodiff<B, C>>,
    dy: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let ((y, node), (dy, _)) = (y.into_parts(), dy.into_parts());
    record::<B, C, _, 1>([node], nothing::<B>(&y), dy, |dy, _, _| [Some(dy)])
}

thread_local! {
    static COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with every operation's gradient derived by burn from the composed body, instead of our explicit one: the
/// oracle of the gradient tests.
pub fn with_composed_gradients<T>(work: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            COMPOSED.set(false);
        }
    }
    COMPOSED.set(true);
    let _reset = Reset;
    work()
}

/// Whether [`with_composed_gradients`] is running.
pub(super) fn composed_gradients() -> bool {
    COMPOSED.get()
}
