//! The kernel bodies: every operation on a GPU.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{
    AttentionMask, MoleOps, PackedLayout, Rotation, SampleParams, activation, attention, cross_entropy, dropout,
    embedding, expert_group, expert_load, kv_write, linear, lora, lora_experts, norm, patch_embed, rotary, router_top1,
    sample,
};

impl MoleOps for CubeBackend {
    fn mole_linear(x: CubeTensor, weight: CubeTensor) -> CubeTensor {
        linear::kernel(x, weight, None, None)
    }

    fn linear_bias(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> CubeTensor {
        linear::kernel(x, weight, Some(bias), None)
    }

    fn linear_packed(x: CubeTensor, words: CubeTensor, layout: PackedLayout) -> CubeTensor {
        linear::kernel(x, words, None, Some(layout))
    }

    fn linear_packed_bias(x: CubeTensor, words: CubeTensor, bias: CubeTensor, layout: PackedLayout) -> CubeTensor {
        linear::kernel(x, words, Some(bias), Some(layout))
    }

    fn mole_embedding(ids: CubeTensor, weight: CubeTensor) -> CubeTensor {
        embedding::kernel(ids, weight, None)
    }

    fn embedding_packed(ids: CubeTensor, words: CubeTensor, layout: PackedLayout) -> CubeTensor {
        embedding::kernel(ids, words, Some(layout))
    }

    fn rms_norm(x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
        norm::kernel_rms(x, weight, eps)
    }

    fn mole_layer_norm(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, eps: f32) -> CubeTensor {
        norm::kernel_layer(x, weight, bias, eps)
    }

    fn rotary(x: CubeTensor, table: CubeTensor, position: CubeTensor, rotation: Rotation) -> CubeTensor {
        rotary::kernel(x, table, position, rotation)
    }

    fn kv_write(cache: CubeTensor, value: CubeTensor, position: CubeTensor) -> CubeTensor {
        kv_write::kernel(cache, value, position)
    }

    fn mole_attention(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        key_range: CubeTensor,
        position: CubeTensor,
        mask: AttentionMask,
    ) -> CubeTensor {
        attention::kernel(q, k, v, key_range, position, mask)
    }

    fn swiglu(gate: CubeTensor, up: CubeTensor) -> CubeTensor {
        activation::kernel_swiglu(gate, up)
    }

    fn mole_gelu(x: CubeTensor) -> CubeTensor {
        activation::kernel_gelu(x)
    }

    fn quick_gelu(x: CubeTensor) -> CubeTensor {
        activation::kernel_quick_gelu(x)
    }

    fn unfold_patches(pixels: CubeTensor, patch_size: usize) -> CubeTensor {
        patch_embed::kernel(pixels, patch_size)
    }

    fn sample(
        logits: CubeTensor,
        seen: CubeTensor,
        state: CubeTensor,
        params: SampleParams,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        sample::kernel(logits, seen, state, params)
    }

    fn linear_backward_input(dy: CubeTensor, weight: CubeTensor) -> CubeTensor {
        linear::kernel_backward_input(dy, weight, None)
    }

    fn linear_backward_input_packed(dy: CubeTensor, words: CubeTensor, layout: PackedLayout) -> CubeTensor {
        linear::kernel_backward_input(dy, words, Some(layout))
    }

    fn linear_backward_weight(dy: CubeTensor, x: CubeTensor) -> CubeTensor {
        linear::kernel_backward_weight(dy, x)
    }

    fn sum_rows(x: CubeTensor) -> CubeTensor {
        linear::kernel_sum_rows(x)
    }

    fn mole_embedding_backward(dy: CubeTensor, ids: CubeTensor, vocab: usize) -> CubeTensor {
        embedding::kernel_backward(dy, ids, vocab)
    }

    fn rms_norm_backward(dy: CubeTensor, x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
        norm::kernel_rms_backward(dy, x, weight, eps)
    }

    fn layer_norm_backward(dy: CubeTensor, x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
        norm::kernel_layer_backward(dy, x, weight, eps)
    }

    fn attention_backward(
        dy: CubeTensor,
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        y: CubeTensor,
        key_range: CubeTensor,
        position: CubeTensor,
        mask: AttentionMask,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        attention::kernel_backward(dy, q, k, v, y, key_range, position, mask)
    }

    fn swiglu_backward(dy: CubeTensor, gate: CubeTensor, up: CubeTensor) -> (CubeTensor, CubeTensor) {
        activation::kernel_swiglu_backward(dy, gate, up)
    }

    fn mole_gelu_backward(dy: CubeTensor, x: CubeTensor) -> CubeTensor {
        activation::kernel_gelu_backward(dy, x)
    }

    fn quick_gelu_backward(dy: CubeTensor, x: CubeTensor) -> CubeTensor {
        activation::kernel_quick_gelu_backward(dy, x)
    }

    fn mole_dropout(x: CubeTensor, seed: u32, probability: f32) -> CubeTensor {
        dropout::kernel(x, seed, probability)
    }

    fn lora(base: CubeTensor, x: CubeTensor, a: CubeTensor, b: CubeTensor, scale: f32) -> CubeTensor {
        lora::kernel(base, x, a, b, scale)
    }

    fn lora_backward(
        dy: CubeTensor,
        x: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        scale: f32,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        lora::kernel_backward(dy, x, a, b, scale)
    }

    fn router_top1(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> (CubeTensor, CubeTensor) {
        router_top1::kernel(x, weight, bias)
    }

    fn router_top1_backward(dprobs: CubeTensor, probs: CubeTensor) -> CubeTensor {
        router_top1::kernel_backward(dprobs, probs)
    }

    fn expert_load(probs: CubeTensor, index: CubeTensor, sequences: CubeTensor) -> (CubeTensor, CubeTensor) {
        expert_load::kernel(probs, index, sequences)
    }

    fn expert_group(index: CubeTensor, experts: usize) -> (CubeTensor, CubeTensor) {
        expert_group::kernel(index, experts)
    }

    fn lora_experts(
        base: CubeTensor,
        x: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        gate: CubeTensor,
        offsets: CubeTensor,
        permutation: CubeTensor,
        scale: f32,
    ) -> CubeTensor {
        lora_experts::kernel(base, x, a, b, gate, offsets, permutation, scale)
    }

    fn lora_experts_few(
        base: CubeTensor,
        x: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        gate: CubeTensor,
        index: CubeTensor,
        scale: f32,
    ) -> CubeTensor {
        lora_experts::kernel_few(base, x, a, b, gate, index, scale)
    }

    fn lora_experts_backward(
        dy: CubeTensor,
        x: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        gate: CubeTensor,
        offsets: CubeTensor,
        permutation: CubeTensor,
        scale: f32,
        gate_wanted: bool,
    ) -> (CubeTensor, CubeTensor, CubeTensor, Option<CubeTensor>) {
        lora_experts::kernel_backward(dy, x, a, b, gate, offsets, permutation, scale, gate_wanted)
    }

    fn cross_entropy_chunk(logits: CubeTensor, targets: CubeTensor, stats: CubeTensor, first: usize) -> CubeTensor {
        cross_entropy::kernel_chunk(logits, targets, stats, first)
    }

    fn cross_entropy_chunk_backward(
        logits: CubeTensor,
        targets: CubeTensor,
        stats: CubeTensor,
        dloss: CubeTensor,
        first: usize,
    ) -> CubeTensor {
        cross_entropy::kernel_chunk_backward(logits, targets, stats, dloss, first)
    }
}
