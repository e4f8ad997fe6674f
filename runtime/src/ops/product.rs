//! The launches of the matrix products behind [`super::linear()`] and its gradients, by the kernel chosen.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    Kernel, halve as halve_wgsl, largest as largest_wgsl, linear as plain, linear_backward_input as input_plain,
    linear_backward_input_block as input_block, linear_backward_input_cooperative as input_cooperative,
    linear_backward_input_wide as input_wide, linear_backward_weight as weight_plain,
    linear_backward_weight_block as weight_block, linear_backward_weight_wide as weight_wide, linear_block as block,
    linear_cooperative as cooperative, linear_wide as wide,
};

use super::PackedFormat;
use super::choice::{Factors, Product, Traits, product};
use super::launch::{launch, output, per_element};
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

/// The variant of a cooperative kernel file with matrices of 16 x 16.
macro_rules! by_format_16 {
    ($module:ident, $format:expr) => {
        match $format {
            None => &$module::SIZE_16,
            Some(PackedFormat::F16) => &$module::W_F16_SIZE_16,
            Some(PackedFormat::Q8) => &$module::W_Q8_SIZE_16,
            Some(PackedFormat::Q4) => &$module::W_Q4_SIZE_16,
        }
    };
    ($module:ident, $format:expr, bias) => {
        match $format {
            None => &$module::SIZE_16_BIAS,
            Some(PackedFormat::F16) => &$module::W_F16_SIZE_16_BIAS,
            Some(PackedFormat::Q8) => &$module::W_Q8_SIZE_16_BIAS,
            Some(PackedFormat::Q4) => &$module::W_Q4_SIZE_16_BIAS,
        }
    };
}

/// What a cooperative kernel takes of the contracted dimension at a time.
const COOPERATIVE_DEPTH: u32 = 32;

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

    /// The way to multiply them, contracted over `depth`, on the device of `tensor`.
    fn product(self, tensor: &CubeTensor, factors: Factors, depth: u32) -> Product {
        let in_fours = self.out_features.is_multiple_of(4) && self.in_features.is_multiple_of(4);
        let traits = Traits { in_fours, in_steps: depth.is_multiple_of(COOPERATIVE_DEPTH), factors };
        product(device_traits(&tensor.device), traits)
    }
}

/// Workgroups for a result of `rows` x `columns`.
fn tiles(product: Product, rows: u32, columns: u32) -> u32 {
    let (tile_rows, tile_columns) = match product {
        Product::Plain | Product::Cooperative8 => (64, 64),
        Product::Cooperative16 => (128, 128),
        Product::Block => (32, 64),
        Product::Wide => (64, 128),
    };
    rows.div_ceil(tile_rows) * columns.div_ceil(tile_columns)
}

/// `y = x W^T (+ b)`: `buffers` are x, W, b if there is one, y.
pub(super) fn forward(buffers: &[&CubeTensor], format: Option<PackedFormat>, features: Features) {
    let biased = buffers.len() == 4;
    let product = features.product(buffers[0], Factors::of(format), features.in_features);
    let kernel: &'static Kernel = match (product, biased) {
        (Product::Plain, false) => by_format!(plain, format),
        (Product::Plain, true) => by_format!(plain, format, bias),
        (Product::Block, false) => by_format!(block, format),
        (Product::Block, true) => by_format!(block, format, bias),
        (Product::Wide, false) => by_format!(wide, format),
        (Product::Wide, true) => by_format!(wide, format, bias),
        (Product::Cooperative8, false) => by_format!(cooperative, format),
        (Product::Cooperative8, true) => by_format!(cooperative, format, bias),
        (Product::Cooperative16, false) => by_format_16!(cooperative, format),
        (Product::Cooperative16, true) => by_format_16!(cooperative, format, bias),
    };
    let tiles = tiles(product, features.rows, features.out_features);
    if kernel.needs.is_some() {
        let x = halved(buffers[0], None);
        return launch(kernel, &[&[&x], &buffers[1..]].concat(), features.words(), tiles);
    }
    launch(kernel, buffers, features.words(), tiles);
}

/// `dx = dy W`: `buffers` are dy, W, dx.
pub(super) fn backward_input(buffers: &[&CubeTensor; 3], format: Option<PackedFormat>, features: Features) {
    let product = features.product(buffers[0], Factors::of(format), features.out_features);
    let kernel: &'static Kernel = match product {
        Product::Plain => by_format!(input_plain, format),
        Product::Block => by_format!(input_block, format),
        Product::Wide => by_format!(input_wide, format),
        Product::Cooperative8 => by_format!(input_cooperative, format),
        Product::Cooperative16 => by_format_16!(input_cooperative, format),
    };
    let tiles = tiles(product, features.rows, features.in_features);
    let [dy, weight, dx] = *buffers;
    if kernel.needs.is_some() {
        // What brings dy into f16's range is found on the device.
        let largest = largest(dy);
        let dy = halved(dy, Some(&largest));
        return launch(kernel, &[&dy, weight, &largest, dx], features.words(), tiles);
    }
    launch(kernel, buffers, features.words(), tiles);
}

/// `dW = dy^T x`: `buffers` are dy, x, dW.
pub(super) fn backward_weight(buffers: &[&CubeTensor; 3], features: Features) {
    let product = features.product(buffers[0], Factors::Trained, features.rows);
    let kernel = match product {
        Product::Block => &weight_block::PLAIN,
        Product::Wide => &weight_wide::PLAIN,
        Product::Plain | Product::Cooperative8 | Product::Cooperative16 => &weight_plain::PLAIN,
    };
    launch(kernel, buffers, features.words(), tiles(product, features.out_features, features.in_features));
}

/// The largest |x|, in parts.
fn largest(x: &CubeTensor) -> CubeTensor {
    let quads = (x.shape().num_elements() / 4) as u32;
    // So many workgroups read as fast as the device can; whoever reads the parts reads few.
    let parts = quads.div_ceil(256).clamp(4, 64).next_multiple_of(4);
    let largest = output(x, [parts as usize], DType::F32);
    launch(&largest_wgsl::PLAIN, &[x, &largest], largest_wgsl::Params { quads, parts }.words(), parts);
    largest
}

/// x in f16, two to a word; with its `largest` brought into f16's range.
fn halved(x: &CubeTensor, largest: Option<&CubeTensor>) -> CubeTensor {
    let octets = x.shape().num_elements() / 8;
    let y = output(x, [4 * octets], DType::U32);
    let params = halve_wgsl::Params { octets: octets as u32 }.words();
    match largest {
        Some(largest) => launch(&halve_wgsl::SCALED, &[x, largest, &y], params, per_element(octets)),
        None => launch(&halve_wgsl::PLAIN, &[x, &y], params, per_element(octets)),
    }
    y
}
