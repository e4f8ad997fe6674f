//! The operations of the model, each with a composed body (burn tensor ops: the CPU path and the oracle of the tests)
//! and a kernel body (WGSL through cubecl).
//!
//! A file holds one operation whole: the public function on [`burn::Tensor`], `composed`, and `kernel`. [`MoleOps`] is
//! the extension trait through which burn picks the body by the tensor's device.
//!
//! Shape letters: B batch, T tokens (queries), S keys, H query heads, G key/value heads, Dh head width, D model width,
//! V vocabulary, N pictures, P patches.

mod activation;
mod attention;
mod embedding;
mod host;
mod kv_write;
mod launch;
mod linear;
mod norm;
mod patch_embed;
mod rotary;
mod sample;

pub use activation::{gelu, quick_gelu, swiglu};
pub use attention::{AttentionMask, MAX_HEAD_DIM, attention};
pub use embedding::embedding;
pub use kv_write::kv_write;
pub use launch::{poison_outputs, run_kernel};
pub use linear::{Weight, linear};
pub use norm::{layer_norm, rms_norm};
pub use patch_embed::patch_embed;
pub use rotary::{rotary, rotary_table};
pub use sample::{NO_TOKEN, SampleParams, SampleState, sample};

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex, backend_extension};
use burn_cubecl::CubeBackend;

/// The operations a device must offer beyond burn's own. The default bodies are the composed ones.
#[backend_extension(Cube, Flex)]
pub trait MoleOps: Backend {
    /// See [`linear`]; weight in f32, no bias.
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed::<Self>(x, weight, None)
    }

    /// See [`linear`]; weight in f32.
    fn linear_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed::<Self>(x, weight, Some(bias))
    }

    /// See [`linear`]; weight in f16, packed two to a u32, no bias.
    fn linear_f16(x: FloatTensor<Self>, packed: IntTensor<Self>) -> FloatTensor<Self> {
        linear::composed::<Self>(x, host::unpack_f16::<Self>(packed), None)
    }

    /// See [`linear`]; weight in f16, packed two to a u32.
    fn linear_f16_bias(x: FloatTensor<Self>, packed: IntTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::composed::<Self>(x, host::unpack_f16::<Self>(packed), Some(bias))
    }

    /// See [`embedding`]; weight in f32.
    fn embedding(ids: IntTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        embedding::composed::<Self>(ids, weight)
    }

    /// See [`embedding`]; weight in f16, packed two to a u32.
    fn embedding_f16(ids: IntTensor<Self>, packed: IntTensor<Self>) -> FloatTensor<Self> {
        embedding::composed_f16::<Self>(ids, packed)
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
    fn rotary(x: FloatTensor<Self>, table: FloatTensor<Self>, position: IntTensor<Self>) -> FloatTensor<Self> {
        rotary::composed::<Self>(x, table, position)
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
}

impl MoleOps for Flex {}

impl MoleOps for CubeBackend {
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::kernel(x, weight, None)
    }

    fn linear_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::kernel(x, weight, Some(bias))
    }

    fn linear_f16(x: FloatTensor<Self>, packed: IntTensor<Self>) -> FloatTensor<Self> {
        linear::kernel(x, packed, None)
    }

    fn linear_f16_bias(x: FloatTensor<Self>, packed: IntTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::kernel(x, packed, Some(bias))
    }

    fn embedding(ids: IntTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        embedding::kernel(ids, weight)
    }

    fn embedding_f16(ids: IntTensor<Self>, packed: IntTensor<Self>) -> FloatTensor<Self> {
        embedding::kernel(ids, packed)
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        norm::kernel_rms(x, weight, eps)
    }

    fn mole_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::kernel_layer(x, weight, bias, eps)
    }

    fn rotary(x: FloatTensor<Self>, table: FloatTensor<Self>, position: IntTensor<Self>) -> FloatTensor<Self> {
        rotary::kernel(x, table, position)
    }

    fn kv_write(cache: FloatTensor<Self>, value: FloatTensor<Self>, position: IntTensor<Self>) -> FloatTensor<Self> {
        kv_write::kernel(cache, value, position)
    }

    fn mole_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        key_range: IntTensor<Self>,
        position: IntTensor<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        attention::kernel(q, k, v, key_range, position, mask)
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::kernel_swiglu(gate, up)
    }

    fn mole_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::kernel_gelu(x)
    }

    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::kernel_quick_gelu(x)
    }

    fn unfold_patches(pixels: FloatTensor<Self>, patch_size: usize) -> FloatTensor<Self> {
        patch_embed::kernel(pixels, patch_size)
    }

    fn sample(
        logits: FloatTensor<Self>,
        seen: IntTensor<Self>,
        state: IntTensor<Self>,
        params: SampleParams,
    ) -> (IntTensor<Self>, IntTensor<Self>, IntTensor<Self>) {
        sample::kernel(logits, seen, state, params)
    }
}
