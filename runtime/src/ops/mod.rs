//! The operations of the model, each with a composed body (burn tensor ops: the CPU path and the oracle of the tests),
//! a kernel body (WGSL through cubecl), and an explicit gradient, itself made of such operations.
//!
//! A file holds one operation whole: the public function on [`burn::Tensor`], `composed`, `kernel` and `tracked`, each
//! with its `_backward`. [`MoleOps`] is the extension trait through which burn picks the body by the tensor's device.
//!
//! Shape letters: B batch, T tokens (queries), S keys, H query heads, G key/value heads, Dh head width, D model width,
//! V vocabulary, N pictures, P patches, E experts, R rows.

mod activation;
mod adamw;
mod attention;
mod choice;
mod cross_entropy;
mod cube;
mod decode;
mod dropout;
mod embedding;
mod expert_group;
mod expert_load;
mod flex;
mod gradients;
mod host;
mod kernels;
mod kv_write;
mod launch;
mod linear;
mod lora;
mod lora_experts;
mod low_rank;
mod norm;
mod patch_embed;
mod product;
mod rotary;
mod router_top1;
mod sample;
mod tape;

pub use activation::{gelu, quick_gelu, swiglu};
pub use adamw::{AdamWStep, adamw, square_sums};
pub use attention::{AttentionMask, MAX_HEAD_DIM, attention};
pub use choice::Product;
pub use cross_entropy::cross_entropy;
pub use decode::{DecodeLayer, DecodeStack, DecodeWorker, DecodedToken, Decoder, LowRank, Router, TokenRead};
pub use dropout::dropout;
pub use embedding::embedding;
pub use expert_group::{ExpertGroups, SortedTokens, expert_group};
pub use expert_load::expert_load;
pub use kernels::Kernels;
pub use kv_write::kv_write;
pub use launch::{always_by_workgroups, poison_outputs, run_kernel};
pub use linear::{PackedWeight, Weight, linear};
pub use lora::lora;
pub use lora_experts::lora_experts;
pub use norm::{layer_norm, rms_norm};
pub use patch_embed::patch_embed;
pub use rotary::{Rotation, rotary, rotary_table};
pub use router_top1::{MAX_EXPERTS, router_top1};
pub use sample::{NO_TOKEN, SampleParams, SampleState, sample};
pub use tape::{with_composed_gradients, with_gradient};

pub use crate::packed::{PackedFormat, PackedLayout};

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, backend_extension};

/// The operations a device must offer beyond burn's own. The default bodies are the composed ones.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait MoleOps: Backend {
    /// See [`linear`]; weight in f32, no bias. Names that burn has too begin with `mole_`.
    fn mole_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed::<Self>(x, weight, None)
    }

    /// See [`linear`]; weight in f32.
    fn linear_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed::<Self>(x, weight, Some(bias))
    }

    /// See [`linear`]; packed weight, no bias.
    fn linear_packed(x: FloatTensor<Self>, words: IntTensor<Self>, layout: PackedLayout) -> FloatTensor<Self> {
        linear::composed::<Self>(x, host::unpack::<Self>(words, layout), None)
    }

    /// See [`linear`]; packed weight.
    fn linear_packed_bias(
        x: FloatTensor<Self>,
        words: IntTensor<Self>,
        bias: FloatTensor<Self>,
        layout: PackedLayout,
    ) -> FloatTensor<Self> {
        linear::composed::<Self>(x, host::unpack::<Self>(words, layout), Some(bias))
    }

    /// See [`embedding`]; weight in f32.
    fn mole_embedding(ids: IntTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        embedding::composed::<Self>(ids, weight)
    }

    /// See [`embedding`]; packed weight.
    fn embedding_packed(ids: IntTensor<Self>, words: IntTensor<Self>, layout: PackedLayout) -> FloatTensor<Self> {
        embedding::composed_packed::<Self>(ids, words, layout)
    }

    /// See [`rms_norm`].
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        norm::composed_rms::<Self>(x, weight, eps)
    }

    /// See [`layer_norm`].
    fn mole_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::composed_layer::<Self>(x, weight, bias, eps)
    }

    /// See [`rotary`].
    fn rotary(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        position: IntTensor<Self>,
        rotation: Rotation,
    ) -> FloatTensor<Self> {
        rotary::composed::<Self>(x, table, position, rotation)
    }

    /// See [`kv_write`].
    fn kv_write(cache: FloatTensor<Self>, value: FloatTensor<Self>, position: IntTensor<Self>) -> FloatTensor<Self> {
        kv_write::composed::<Self>(cache, value, position)
    }

    /// See [`attention`]. Named apart from burn's own `attention`.
    fn mole_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        key_range: IntTensor<Self>,
        position: IntTensor<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        attention::composed::<Self>(q, k, v, key_range, position, mask)
    }

    /// See [`swiglu`].
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::composed_swiglu::<Self>(gate, up)
    }

    /// See [`gelu`]. Named apart from burn's own `gelu`.
    fn mole_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::composed_gelu::<Self>(x)
    }

    /// See [`quick_gelu`].
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::composed_quick_gelu::<Self>(x)
    }

    /// The unfolding inside [`patch_embed`].
    fn unfold_patches(pixels: FloatTensor<Self>, patch_size: usize) -> FloatTensor<Self> {
        patch_embed::composed::<Self>(pixels, patch_size)
    }

    /// See [`sample`]. Returns the token, the tokens seen and the state.
    fn sample(
        logits: FloatTensor<Self>,
        seen: IntTensor<Self>,
        state: IntTensor<Self>,
        params: SampleParams,
    ) -> (IntTensor<Self>, IntTensor<Self>, IntTensor<Self>) {
        sample::composed::<Self>(logits, seen, state, params)
    }

    /// The gradient of [`linear`] in x, `dy W`; weight in f32.
    fn linear_backward_input(dy: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed_backward_input::<Self>(dy, weight)
    }

    /// The gradient of [`linear`] in x, `dy W`; packed weight.
    fn linear_backward_input_packed(
        dy: FloatTensor<Self>,
        words: IntTensor<Self>,
        layout: PackedLayout,
    ) -> FloatTensor<Self> {
        linear::composed_backward_input::<Self>(dy, host::unpack::<Self>(words, layout))
    }

    /// The gradient of [`linear`] in its weight, `dy^T x`.
    fn linear_backward_weight(dy: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed_backward_weight::<Self>(dy, x)
    }

    /// `[R, N]` summed to `[N]`: the gradient of what is added to every row.
    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed_sum_rows::<Self>(x)
    }

    /// The gradient of [`embedding`] in its table.
    fn mole_embedding_backward(dy: FloatTensor<Self>, ids: IntTensor<Self>, vocab: usize) -> FloatTensor<Self> {
        embedding::composed_backward::<Self>(dy, ids, vocab)
    }

    /// The gradient of [`rms_norm`] in x.
    fn rms_norm_backward(
        dy: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::composed_rms_backward::<Self>(dy, x, weight, eps)
    }

    /// The gradient of [`layer_norm`] in x.
    fn layer_norm_backward(
        dy: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::composed_layer_backward::<Self>(dy, x, weight, eps)
    }

    /// The gradients of [`attention`] in q, k and v; y is its output.
    #[allow(clippy::too_many_arguments, reason = "an operation names all its inputs")]
    fn attention_backward(
        dy: FloatTensor<Self>,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        y: FloatTensor<Self>,
        key_range: IntTensor<Self>,
        position: IntTensor<Self>,
        mask: AttentionMask,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        attention::composed_backward::<Self>(dy, q, k, v, y, key_range, position, mask)
    }

    /// The gradients of [`swiglu`] in gate and up.
    fn swiglu_backward(
        dy: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        activation::composed_swiglu_backward::<Self>(dy, gate, up)
    }

    /// The gradient of [`gelu`].
    fn mole_gelu_backward(dy: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::composed_gelu_backward::<Self>(dy, x)
    }

    /// The gradient of [`quick_gelu`].
    fn quick_gelu_backward(dy: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::composed_quick_gelu_backward::<Self>(dy, x)
    }

    /// See [`dropout`]. Named apart from burn's own.
    fn mole_dropout(x: FloatTensor<Self>, seed: u32, probability: f32) -> FloatTensor<Self> {
        dropout::composed::<Self>(x, seed, probability)
    }

    /// See [`lora`].
    fn lora(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        lora::composed::<Self>(base, x, a, b, scale)
    }

    /// The gradients of [`lora`] in x, A and B.
    fn lora_backward(
        dy: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        scale: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        lora::composed_backward::<Self>(dy, x, a, b, scale)
    }

    /// See [`router_top1`]. Returns the probabilities and the expert.
    fn router_top1(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        router_top1::composed::<Self>(x, weight, bias)
    }

    /// The gradient of [`router_top1`]'s logits from that of its probabilities.
    fn router_top1_backward(dprobs: FloatTensor<Self>, probs: FloatTensor<Self>) -> FloatTensor<Self> {
        router_top1::composed_backward::<Self>(dprobs, probs)
    }

    /// See [`expert_group`]. Returns the offsets and the permutation.
    fn expert_group(index: IntTensor<Self>, experts: usize) -> (IntTensor<Self>, IntTensor<Self>) {
        expert_group::composed::<Self>(index, experts)
    }

    /// See [`expert_load`]; the sequences as `[S, 2]`, first token and one past the last.
    fn expert_load(
        probs: FloatTensor<Self>,
        index: IntTensor<Self>,
        sequences: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        expert_load::composed::<Self>(probs, index, sequences)
    }

    /// See [`with_gradient`].
    fn with_gradient(y: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self> {
        // Without a tape nobody asks for it.
        drop(dy);
        tape::nothing::<Self>(&y)
    }

    /// See [`lora_experts`]; tokens sorted by expert.
    #[allow(clippy::too_many_arguments, reason = "an operation names all its inputs")]
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
        let groups = lora_experts::host_groups::<Self>(offsets, permutation);
        lora_experts::composed::<Self>(base, x, a, b, gate, &groups, scale)
    }

    /// See [`lora_experts`]; few tokens, as they are.
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
        let groups = expert_group::HostGroups::sort(&host::ints::<Self>(index), experts);
        lora_experts::composed::<Self>(base, x, a, b, gate, &groups, scale)
    }

    /// The gradients of [`lora_experts`] in x, A, B and, where `gate_wanted`, the gate.
    #[allow(clippy::too_many_arguments, reason = "an operation names all its inputs")]
    fn lora_experts_backward(
        dy: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        offsets: IntTensor<Self>,
        permutation: IntTensor<Self>,
        scale: f32,
        gate_wanted: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let groups = lora_experts::host_groups::<Self>(offsets, permutation);
        let (dx, da, db, dgate) = lora_experts::composed_backward::<Self>(dy, x, a, b, gate, &groups, scale);
        (dx, da, db, gate_wanted.then_some(dgate))
    }

    /// See [`cross_entropy`]; weight in f32.
    fn cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        cross_entropy::chunked::<Self>(hidden, cross_entropy::Output::F32(weight), targets)
    }

    /// See [`cross_entropy`]; packed weight.
    fn cross_entropy_packed(
        hidden: FloatTensor<Self>,
        words: IntTensor<Self>,
        targets: IntTensor<Self>,
        layout: PackedLayout,
    ) -> FloatTensor<Self> {
        cross_entropy::chunked::<Self>(hidden, cross_entropy::Output::Packed(words, layout), targets)
    }

    /// Takes the logits of one chunk of the vocabulary, beginning at id `first`, into [`cross_entropy`]'s statistics.
    fn cross_entropy_chunk(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        stats: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self> {
        cross_entropy::composed_chunk::<Self>(logits, targets, stats, first)
    }

    /// The gradient of [`cross_entropy`] in the logits of one chunk.
    fn cross_entropy_chunk_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        stats: FloatTensor<Self>,
        dloss: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self> {
        cross_entropy::composed_chunk_backward::<Self>(logits, targets, stats, dloss, first)
    }
}
