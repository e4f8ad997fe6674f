//! Parameters by name, for whoever trains, saves or counts them.

use burn::tensor::Tensor;

use crate::nn::{LayerNorm, Linear, RmsNorm};
use crate::ops::Weight;

/// Called with every parameter of a part of the model, in a fixed order, under its name in a file: that of the checkpoint
/// (transformers 4), or PEFT's without prefix. Experts come stacked, as `...moe_gate.lora_A`.
pub trait ParameterVisitor {
    /// One parameter; it may be replaced by another of the same shape.
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>);
}

/// Which parameters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// Those of the checkpoint.
    Weights,
    /// LoRA pairs, experts and routers.
    Adapters,
}

/// `{name}.weight`, and `{name}.bias` where there is one.
///
/// # Panics
/// If the weight is packed: a caller that trains weights loads them in f32.
pub(super) fn visit_linear(linear: &mut Linear, name: &str, visitor: &mut impl ParameterVisitor) {
    visit_weight(&mut linear.weight, &format!("{name}.weight"), visitor);
    if let Some(bias) = &mut linear.bias {
        visitor.visit(&format!("{name}.bias"), bias);
    }
}

/// A weight matrix.
///
/// # Panics
/// As [`visit_linear`].
pub(super) fn visit_weight(weight: &mut Weight, name: &str, visitor: &mut impl ParameterVisitor) {
    match weight {
        Weight::F32(weight) => visitor.visit(name, weight),
        Weight::Packed(_) => panic!("{name} is packed and cannot be trained; the caller checks the precision"),
    }
}

pub(super) fn visit_rms_norm(norm: &mut RmsNorm, name: &str, visitor: &mut impl ParameterVisitor) {
    visitor.visit(&format!("{name}.weight"), &mut norm.weight);
}

pub(super) fn visit_layer_norm(norm: &mut LayerNorm, name: &str, visitor: &mut impl ParameterVisitor) {
    visitor.visit(&format!("{name}.weight"), &mut norm.weight);
    visitor.visit(&format!("{name}.bias"), &mut norm.bias);
}
