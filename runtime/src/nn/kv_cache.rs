//! The static key/value cache: allocated once for a context, written in place.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::ops::kv_write;

/// Keys and values of every layer, for one batch.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerKv>,
    /// `[batch, 2]` (i32): first valid key and one past the last, for padded batches.
    key_range: Tensor<2, Int>,
    capacity: usize,
}

/// Keys and values of one layer.
#[derive(Debug)]
pub struct LayerKv {
    // Taken out while it is written: the buffer must not be shared then.
    tensors: Option<[Tensor<4>; 2]>,
}

impl KvCache {
    /// An empty cache of `capacity` positions: `layers x 2 x [1, capacity, kv_heads, head_dim]`.
    pub fn new(layers: usize, capacity: usize, kv_heads: usize, head_dim: usize, device: &Device) -> Self {
        let empty = || Tensor::zeros([1, capacity, kv_heads, head_dim], device);
        let whole = TensorData::new(vec![0i32, capacity as i32], [1, 2]);
        Self {
            layers: (0..layers).map(|_| LayerKv { tensors: Some([empty(), empty()]) }).collect(),
            key_range: Tensor::from_data(whole, (device, DType::I32)),
            capacity,
        }
    }

    /// Positions it holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// `[batch, 2]` (i32): first valid key and one past the last.
    pub fn key_range(&self) -> Tensor<2, Int> {
        self.key_range.clone()
    }

    /// One layer's keys and values.
    pub fn layer(&mut self, index: usize) -> &mut LayerKv {
        &mut self.layers[index]
    }
}

impl LayerKv {
    /// Keys and values as they lie, `[batch, capacity, kv_heads, head_dim]` each, to be written from outside. Drop both
    /// before the next [`LayerKv::append`].
    pub fn tensors(&self) -> [Tensor<4>; 2] {
        self.tensors.clone().expect("put back at the end of every append")
    }

    /// Writes `k`, `v: [batch, tokens, kv_heads, head_dim]` at `position: [1]` and returns the whole cache,
    /// `[batch, capacity, kv_heads, head_dim]` each. Drop both before the next call.
    pub fn append(&mut self, k: Tensor<4>, v: Tensor<4>, position: &Tensor<1, Int>) -> [Tensor<4>; 2] {
        let [cached_k, cached_v] = self.tensors.take().expect("put back at the end of every append");
        let written = [kv_write(cached_k, k, position), kv_write(cached_v, v, position)];
        self.tensors = Some(written.clone());
        written
    }
}
