//! The same shapes in burn's own tensor operations, with no kernel of ours: what our kernels are compared with.
//!
//! Weights lie as burn's own linear layer keeps them, `[in, out]`. One layer's stand for all layers': a layer is larger
//! than any cache of a large model's device, and a second copy of the model needs no room.

use burn::tensor::activation::{sigmoid, silu, softmax};
use burn::tensor::{DType, Device, Distribution, FloatDType, Int, Tensor, TensorData, s};
use pollster::block_on;

use crate::device::{AdapterKind, ComputeDevice, Elapsed, read_ints};
use crate::error::Result;
use crate::model::{LlavaConfig, Precision};

/// A model of burn's operations.
pub struct Generic {
    config: LlavaConfig,
    device: Device,
    dtype: DType,
    norm: Tensor<1>,
    vision_norm: Tensor<1>,
    /// `[in, out]` of q, k, v, o, gate, up, down.
    layer: [Tensor<2>; 7],
    /// `[in, out]` of q, k, v, out, fc1, fc2.
    vision_layer: [Tensor<2>; 6],
    patches: Tensor<2>,
    positions: Tensor<2>,
    projector: [Tensor<2>; 2],
    /// `[rows, d_model]`: those that a tensor of the device holds, since a lookup reads one of them in any case.
    embedding: Tensor<2>,
    /// `[d_model, columns]`, as few parts as the device's largest tensor allows.
    head: Vec<Tensor<2>>,
}

/// Keys and values of every layer, `[kv_heads, capacity, head_dim]` each.
pub struct GenericCache(Vec<Option<[Tensor<3>; 2]>>);

/// Burn has no q8 and q4 of ours, so f16 stands for everything below f32, where the device computes in it.
pub fn dtype(device: &ComputeDevice, precision: Precision) -> DType {
    let real = !matches!(device.report.kind, AdapterKind::Cpu | AdapterKind::Software);
    let half = real && device.report.shader_f16 && device.burn.supports_dtype(FloatDType::F16);
    if precision != Precision::F32 && half { DType::F16 } else { DType::F32 }
}

impl Generic {
    /// Random weights of this shape.
    pub fn new(config: &LlavaConfig, dtype: DType, compute: &ComputeDevice) -> Self {
        let device = &compute.burn;
        let (text, vision) = (&config.text, &config.vision);
        let (d, f, w, vf) = (text.hidden_size, text.intermediate_size, vision.hidden_size, vision.intermediate_size);
        let (q, kv) = (text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim);
        let matrix = |inputs: usize, outputs: usize| {
            let bound = (3.0 / inputs as f64).sqrt();
            Tensor::<2>::random([inputs, outputs], Distribution::Uniform(-bound, bound), device).cast(dtype)
        };
        let square = || matrix(w, w);
        // Made in f32, whatever they are cast to.
        let most = usize::try_from(compute.report.max_binding_bytes).unwrap_or(usize::MAX) / (4 * d);
        Self {
            norm: Tensor::<1>::ones([d], device).cast(dtype),
            vision_norm: Tensor::<1>::ones([w], device).cast(dtype),
            layer: [matrix(d, q), matrix(d, kv), matrix(d, kv), matrix(q, d), matrix(d, f), matrix(d, f), matrix(f, d)],
            vision_layer: [square(), square(), square(), square(), matrix(w, vf), matrix(vf, w)],
            patches: matrix(3 * vision.patch_size * vision.patch_size, w),
            positions: matrix(vision.num_patches() + 1, w),
            projector: [matrix(w, d), matrix(d, d)],
            embedding: matrix(text.vocab_size.min(most), d),
            head: (0..text.vocab_size)
                .step_by(most)
                .map(|first| matrix(d, most.min(text.vocab_size - first)))
                .collect(),
            config: config.clone(),
            device: device.clone(),
            dtype,
        }
    }

    /// One picture, as patches already, to embeddings `[patches, d_model]`.
    pub fn clip(&self) -> Tensor<2> {
        let vision = &self.config.vision;
        let (patches, inputs) = (vision.num_patches(), 3 * vision.patch_size * vision.patch_size);
        let pixels = Tensor::<2>::ones([patches, inputs], &self.device).cast(self.dtype);
        let x = pixels.matmul(self.patches.clone());
        let class = Tensor::<2>::zeros([1, vision.hidden_size], &self.device).cast(self.dtype);
        let mut x = layer_norm(Tensor::cat(vec![class, x], 0) + self.positions.clone(), &self.vision_norm);
        let [q, k, v, out, fc1, fc2] = &self.vision_layer;
        for _ in 0..self.config.num_vision_layers_used() {
            let normed = layer_norm(x.clone(), &self.vision_norm);
            let heads = |weight: &Tensor<2>| split(normed.clone().matmul(weight.clone()), vision.num_attention_heads);
            x = x + merge(attend(heads(q), heads(k), heads(v), None)).matmul(out.clone());
            let inner = layer_norm(x.clone(), &self.vision_norm).matmul(fc1.clone());
            x = x + (inner.clone() * sigmoid(inner * 1.702)).matmul(fc2.clone());
        }
        let [first, second] = &self.projector;
        burn::tensor::activation::gelu(x.slice(s![1.., ..]).matmul(first.clone())).matmul(second.clone())
    }

    /// A cache of `capacity` positions.
    pub fn cache(&self, capacity: usize) -> GenericCache {
        let text = &self.config.text;
        let shape = [text.num_key_value_heads, capacity, text.head_dim];
        let empty = || Tensor::<3>::zeros(shape, &self.device).cast(self.dtype);
        GenericCache((0..text.num_hidden_layers).map(|_| Some([empty(), empty()])).collect())
    }

    /// `ids: [tokens]` behind `position` others; the next token, `[1]`.
    pub fn forward(&self, ids: Tensor<1, Int>, position: usize, cache: &mut GenericCache) -> Tensor<1, Int> {
        let [rows, _] = self.embedding.dims();
        let mut x = self.embedding.clone().select(0, ids.clamp(0, rows as i64 - 1));
        let [tokens, _] = x.dims();
        let rotary = self.rotary(position, tokens);
        let mask = (tokens > 1).then(|| self.mask(tokens));
        let [.., o, gate, up, down] = &self.layer;
        for cached in &mut cache.0 {
            let attended = self.attention(rms_norm(x.clone(), &self.norm), &rotary, mask.as_ref(), position, cached);
            x = x + attended.matmul(o.clone());
            let normed = rms_norm(x.clone(), &self.norm);
            let inner = silu(normed.clone().matmul(gate.clone())) * normed.matmul(up.clone());
            x = x + inner.matmul(down.clone());
        }
        let last = rms_norm(x.slice(s![tokens - 1..tokens, ..]), &self.norm);
        let logits = self.head.iter().map(|part| last.clone().matmul(part.clone())).collect();
        Tensor::cat(logits, 1).argmax(1).flatten(0, 1)
    }

    fn attention(
        &self,
        x: Tensor<2>,
        rotary: &[Tensor<3>; 2],
        mask: Option<&Tensor<3>>,
        position: usize,
        cached: &mut Option<[Tensor<3>; 2]>,
    ) -> Tensor<2> {
        let text = &self.config.text;
        let [q, k, v, ..] = &self.layer;
        let heads = |weight: &Tensor<2>, heads: usize| split(x.clone().matmul(weight.clone()), heads);
        let q = rotate(heads(q, text.num_attention_heads), rotary);
        let k = rotate(heads(k, text.num_key_value_heads), rotary);
        let v = heads(v, text.num_key_value_heads);
        let end = position + k.dims()[1];
        let [all_k, all_v] = cached.take().expect("put back below");
        let all_k = all_k.slice_assign(s![.., position..end, ..], k);
        let all_v = all_v.slice_assign(s![.., position..end, ..], v);
        let groups = text.num_attention_heads / text.num_key_value_heads;
        let seen = |all: &Tensor<3>| {
            let all = all.clone().slice(s![.., 0..end, ..]);
            let [heads, keys, width] = all.dims();
            match groups {
                1 => all,
                _ => all.unsqueeze_dim::<4>(1).expand([heads, groups, keys, width]).reshape([
                    heads * groups,
                    keys,
                    width,
                ]),
            }
        };
        let y = merge(attend(q, seen(&all_k), seen(&all_v), mask));
        *cached = Some([all_k, all_v]);
        y
    }

    /// Cosines and sines of `tokens` positions, `[1, tokens, head_dim]`.
    fn rotary(&self, position: usize, tokens: usize) -> [Tensor<3>; 2] {
        let width = self.config.text.head_dim;
        let angle = |token: usize, i: usize| {
            (position + token) as f64 / self.config.text.rope_theta.powf((2 * (i % (width / 2))) as f64 / width as f64)
        };
        let angles = || (0..tokens).flat_map(|token| (0..width).map(move |i| (token, i)));
        [f64::cos, f64::sin].map(|of| {
            let values: Vec<f32> = angles().map(|(token, i)| of(angle(token, i)) as f32).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, tokens, width]), &self.device).cast(self.dtype)
        })
    }

    fn mask(&self, tokens: usize) -> Tensor<3> {
        let value = |index: usize| if index % tokens > index / tokens { -1e4f32 } else { 0.0 };
        let values: Vec<f32> = (0..tokens * tokens).map(value).collect();
        Tensor::<3>::from_data(TensorData::new(values, [1, tokens, tokens]), &self.device).cast(self.dtype)
    }

    /// The time of a prompt of these ids, up to the first token.
    ///
    /// # Errors
    /// A device that fails.
    pub fn prefill(&self, device: &ComputeDevice, ids: &[i64], cache: &mut GenericCache) -> Result<Elapsed> {
        Ok(device.timed(|| drop(self.forward(self.ids(ids), 0, cache)))?.1)
    }

    /// The time of `steps` steps behind `context` tokens, read one step behind.
    ///
    /// # Errors
    /// A device that fails.
    pub fn decode(
        &self,
        device: &ComputeDevice,
        context: usize,
        steps: usize,
        cache: &mut GenericCache,
    ) -> Result<Elapsed> {
        let mut token = self.ids(&[1]);
        let (read, elapsed) = device.timed(|| {
            let mut before: Option<Tensor<1, Int>> = None;
            for step in 0..steps {
                token = self.forward(token.clone(), context + step, cache);
                if let Some(before) = before.replace(token.clone()) {
                    block_on(read_ints(before))?;
                }
            }
            block_on(read_ints(token)).map(drop)
        })?;
        read.map(|()| elapsed)
    }

    fn ids(&self, ids: &[i64]) -> Tensor<1, Int> {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let shape = [ids.len()];
        Tensor::from_data(TensorData::new(ids, shape), (&self.device, DType::I32))
    }
}

/// `[tokens, heads * width]` to `[heads, tokens, width]`.
fn split(x: Tensor<2>, heads: usize) -> Tensor<3> {
    let [tokens, width] = x.dims();
    x.reshape([tokens, heads, width / heads]).swap_dims(0, 1)
}

/// And back.
fn merge(x: Tensor<3>) -> Tensor<2> {
    let [heads, tokens, width] = x.dims();
    x.swap_dims(0, 1).reshape([tokens, heads * width])
}

fn attend(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, mask: Option<&Tensor<3>>) -> Tensor<3> {
    let [.., width] = q.dims();
    let scores = (q / (width as f64).sqrt()).matmul(k.swap_dims(1, 2));
    let scores = match mask {
        Some(mask) => scores + mask.clone(),
        None => scores,
    };
    softmax(scores, 2).matmul(v)
}

fn rotate(x: Tensor<3>, [cos, sin]: &[Tensor<3>; 2]) -> Tensor<3> {
    let [_, _, width] = x.dims();
    let (first, second) = (x.clone().slice(s![.., .., 0..width / 2]), x.clone().slice(s![.., .., width / 2..]));
    x * cos.clone() + Tensor::cat(vec![-second, first], 2) * sin.clone()
}

fn rms_norm(x: Tensor<2>, weight: &Tensor<1>) -> Tensor<2> {
    let mean = (x.clone() * x.clone()).mean_dim(1);
    x / (mean + 1e-5).sqrt() * weight.clone().unsqueeze()
}

fn layer_norm(x: Tensor<2>, weight: &Tensor<1>) -> Tensor<2> {
    let x = x.clone() - x.mean_dim(1);
    rms_norm(x, weight)
}
