//! A linear layer.

use burn::tensor::Tensor;

use crate::ops::{Weight, linear};

/// `y = x W^T + b`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Weight,
    /// `[out_features]`, where there is one.
    pub bias: Option<Tensor<1>>,
}

impl Linear {
    /// `x: [..., in_features]` with any leading dims; returns `[..., out_features]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let rows = dims[..D - 1].iter().product::<usize>();
        let y = linear(x.reshape([rows, dims[D - 1]]), &self.weight, self.bias.as_ref());
        dims[D - 1] = y.dims()[1];
        y.reshape(dims)
    }
}
