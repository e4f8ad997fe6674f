//! The explicit gradients: every operation on the path from the loss to a trained weight, for burn's autodiff.
//!
//! What is not here has no gradient: pictures, the key/value cache and the sampler end the path, and a gradient of a
//! gradient goes through the composed bodies.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, TensorMetadata};

use super::tape::{self, composed_gradients};
use super::{
    AttentionMask, MoleOps, PackedLayout, Rotation, activation, attention, cross_entropy, dropout, embedding, host,
    linear, lora, lora_experts, norm, rotary, router_top1,
};

impl<B: MoleOps, C: CheckpointStrategy> MoleOps for Autodiff<B, C> {
    fn mole_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        match composed_gradients() {
            false => linear::tracked::<B, C>(x, weight, None),
            true => linear::composed::<Self>(x, weight, None),
        }
    }

    fn linear_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        match composed_gradients() {
            false => linear::tracked::<B, C>(x, weight, Some(bias)),
            true => linear::composed::<Self>(x, weight, Some(bias)),
        }
    }

    fn linear_packed(x: FloatTensor<Self>, words: IntTensor<Self>, layout: PackedLayout) -> FloatTensor<Self> {
        match composed_gradients() {
            false => linear::tracked_packed::<B, C>(x, words, None, layout),
            true => linear::composed::<Self>(x, host::unpack::<Self>(words, layout), None),
        }
    }

    fn linear_packed_bias(
        x: FloatTensor<Self>,
        words: IntTensor<Self>,
        bias: FloatTensor<Self>,
        layout: PackedLayout,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => linear::tracked_packed::<B, C>(x, words, Some(bias), layout),
            true => linear::composed::<Self>(x, host::unpack::<Self>(words, layout), Some(bias)),
        }
    }

    fn mole_embedding(ids: IntTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        match composed_gradients() {
            false => embedding::tracked::<B, C>(ids, weight),
            true => embedding::composed::<Self>(ids, weight),
        }
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        match composed_gradients() {
            false => norm::tracked_rms::<B, C>(x, weight, eps),
            true => norm::composed_rms::<Self>(x, weight, eps),
        }
    }

    fn mole_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => norm::tracked_layer::<B, C>(x, weight, bias, eps),
            true => norm::composed_layer::<Self>(x, weight, bias, eps),
        }
    }

    fn rotary(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        position: IntTensor<Self>,
        rotation: Rotation,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => rotary::tracked::<B, C>(x, table, position, rotation),
            true => rotary::composed::<Self>(x, table, position, rotation),
        }
    }

    fn mole_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        key_range: IntTensor<Self>,
        position: IntTensor<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => attention::tracked::<B, C>(q, k, v, key_range, position, mask),
            true => attention::composed::<Self>(q, k, v, key_range, position, mask),
        }
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        match composed_gradients() {
            false => activation::tracked_swiglu::<B, C>(gate, up),
            true => activation::composed_swiglu::<Self>(gate, up),
        }
    }

    fn mole_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match composed_gradients() {
            false => activation::tracked_gelu::<B, C>(x),
            true => activation::composed_gelu::<Self>(x),
        }
    }

    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match composed_gradients() {
            false => activation::tracked_quick_gelu::<B, C>(x),
            true => activation::composed_quick_gelu::<Self>(x),
        }
    }

    fn mole_dropout(x: FloatTensor<Self>, seed: u32, probability: f32) -> FloatTensor<Self> {
        match composed_gradients() {
            false => dropout::tracked::<B, C>(x, seed, probability),
            true => dropout::composed::<Self>(x, seed, probability),
        }
    }

    fn lora(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => lora::tracked::<B, C>(base, x, a, b, scale),
            true => lora::composed::<Self>(base, x, a, b, scale),
        }
    }

    fn router_top1(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        match composed_gradients() {
            false => router_top1::tracked::<B, C>(x, weight, bias),
            true => router_top1::composed::<Self>(x, weight, bias),
        }
    }

    fn with_gradient(y: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self> {
        tape::tracked_with_gradient::<B, C>(y, dy)
    }

    fn lora_experts(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        offsets: IntTensor<Self>,
        permutation: IntTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => lora_experts::tracked::<B, C>(base, x, a, b, gate, offsets, permutation, scale),
            true => lora_experts::composed::<Self>(
                base,
                x,
                a,
                b,
                gate,
                &lora_experts::host_groups::<Self>(offsets, permutation),
                scale,
            ),
        }
    }

    fn lora_experts_few(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        index: IntTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let [experts, ..] = a.shape().dims::<3>();
        let (offsets, permutation) = B::expert_group(index, experts);
        Self::lora_experts(base, x, a, b, gate, offsets, permutation, scale)
    }

    fn cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => cross_entropy::tracked::<B, C>(hidden, weight, targets),
            true => cross_entropy::composed::<Self>(hidden, weight, targets),
        }
    }

    fn cross_entropy_packed(
        hidden: FloatTensor<Self>,
        words: IntTensor<Self>,
        targets: IntTensor<Self>,
        layout: PackedLayout,
    ) -> FloatTensor<Self> {
        match composed_gradients() {
            false => cross_entropy::tracked_packed::<B, C>(hidden, words, targets, layout),
            true => cross_entropy::composed::<Self>(hidden, host::unpack::<Self>(words, layout), targets),
        }
    }
}
