//! The launches of the matrix products behind [`super::linear()`] and its gradients, by the kernel chosen.

use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    Kernel, linear as plain, linear_backward_input as input_plain, linear_backward_input_block as input_block,
    linear_backward_input_wide as input_wide, linear_backward_weight as weight_plain,
    linear_backward_weight_block as weight_block, linear_backward_weight_wide as weight_wide, linear_block as block,
    linear_wide as wide,
};

use super::PackedFormat;
use super::choice::{Product, Shape, product};
use super::launch::launch;
use crate::device::device_traits;

/// The variant of a kernel file for how its weight is stored.
macro_rules! by_format {
    ($module:ident, $format:expr) => {
        match $format {
            None => &$module::PLAIN,
            Some(PackedFormat::F16) => &$module::W_F16,
            Some(PackedFormat::Q8) => &$module::W_Q8,
            Some(PackedFormat::Q4) => &$module::W_Q4,
        }
    };
    ($module:ident, $format:expr, bias) => {
        match $format {
            None => &$module::BIAS,
            Some(PackedFormat::F16) => &$module::W_F16_BIAS,
            Some(PackedFormat::Q8) => &$module::W_Q8_BIAS,
            Some(PackedFormat::Q4) => &$module::W_Q4_BIAS,
        }
    };
}

/// Rows and features of `y = x W^T`.
#[derive(Clone, Copy)]
pub(super) struct Features {
    pub rows: u32,
    pub out_features: u32,
    pub in_features: u32,
}

impl Features {
    fn words(self) -> Vec<u32> {
        let Self { rows, out_features, in_features } = self;
        // The same three in every kernel here.
        plain::Params { rows, out_features, in_features }.words()
    }

    fn in_fours(self) -> bool {
        self.out_features.is_multiple_of(4) && self.in_features.is_multiple_of(4)
    }
}

/// Workgroups for a result of `rows` x `columns`.
fn tiles(product: Product, rows: u32, columns: u32) -> u32 {
    let (tile_rows, tile_columns) = match product {
        Product::Plain => (64, 64),
        Product::Block => (32, 64),
        Product::Wide => (64, 128),
    };
    rows.div_ceil(tile_rows) * columns.div_ceil(tile_columns)
}

/// `y = x W^T (+ b)`: `buffers` are x, W, b if there is one, y.
pub(super) fn forward(buffers: &[&CubeTensor], format: Option<PackedFormat>, features: Features) {
    let Features { rows, out_features, in_features } = features;
    let shape = Shape { rows, columns: out_features, depth: in_features, in_fours: features.in_fours() };
    let product = product(device_traits(&buffers[0].device), shape);
    let kernel: &'static Kernel = match (product, buffers.len() == 4) {
        (Product::Plain, false) => by_format!(plain, format),
        (Product::Plain, true) => by_format!(plain, format, bias),
        (Product::Block, false) => by_format!(block, format),
        (Product::Block, true) => by_format!(block, format, bias),
        (Product::Wide, false) => by_format!(wide, format),
        (Product::Wide, true) => by_format!(wide, format, bias),
    };
    launch(kernel, buffers, features.words(), tiles(product, rows, out_features));
}

/// `dx = dy W`: `buffers` are dy, W, dx.
pub(super) fn backward_input(buffers: &[&CubeTensor; 3], format: Option<PackedFormat>, features: Features) {
    let Features { rows, out_features, in_features } = features;
    let shape = Shape { rows, columns: in_features, depth: out_features, in_fours: features.in_fours() };
    let product = product(device_traits(&buffers[0].device), shape);
    let kernel: &'static Kernel = match product {
        Product::Plain => by_format!(input_plain, format),
        Product::Block => by_format!(input_block, format),
        Product::Wide => by_format!(input_wide, format),
    };
    launch(kernel, buffers, features.words(), tiles(product, rows, in_features));
}

/// `dW = dy^T x`: `buffers` are dy, x, dW.
pub(super) fn backward_weight(buffers: &[&CubeTensor; 3], features: Features) {
    let Features { rows, out_features, in_features } = features;
    let shape = Shape { rows: out_features, columns: in_features, depth: rows, in_fours: features.in_fours() };
    let product = product(device_traits(&buffers[0].device), shape);
    let kernel = match product {
        Product::Plain => &weight_plain::PLAIN,
        Product::Block => &weight_block::PLAIN,
        Product::Wide => &weight_wide::PLAIN,
    };
    launch(kernel, buffers, features.words(), tiles(product, out_features, in_features));
}
