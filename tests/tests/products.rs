//! Every matrix product kernel against the composed body, forward and backward, whichever the device would choose.
//!
//! Tolerances are those of `kernels` and `gradients`: sums of n products in another order differ by about sqrt(n) eps.

use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use mole_runtime::device::ComputeDevice;
use mole_runtime::ops::{PackedFormat, Product, Weight, linear};
use mole_tests::{Tolerance, difference, floats, gpu, values, weight_f32, weight_packed};

const SUM: Tolerance = Tolerance { absolute: 2e-5, relative: 1e-5 };
const PRODUCTS: [Product; 2] = [Product::Block, Product::Wide];
const FORMATS: [Option<PackedFormat>; 4] =
    [None, Some(PackedFormat::F16), Some(PackedFormat::Q8), Some(PackedFormat::Q4)];

/// One product at a time: the choice is the process's.
static TURN: Mutex<()> = Mutex::new(());

fn weight(format: Option<PackedFormat>, rows: usize, columns: usize, device: &Device) -> Weight {
    match format {
        Some(format) => weight_packed(format, rows, columns, 2, device),
        None => weight_f32(rows, columns, 2, device),
    }
}

fn same(what: &str, product: Product, op: impl Fn(&Device) -> Vec<f32>) {
    let Some(gpu) = gpu() else { return };
    let _turn = TURN.lock().unwrap_or_else(|held| held.into_inner());
    Product::always(Some(product));
    let actual = op(&gpu);
    Product::always(None);
    let expected = op(&ComputeDevice::cpu().burn);
    if let Some(difference) = difference(&actual, &expected, SUM) {
        panic!("{what}, {product:?}: {difference}");
    }
}

/// Rows around the tiles' 16, 32 and 64; features 4, around a thread's 16, a tile's 64 and 128, and large; the last in
/// no multiple of a step of 16.
const ROWS: [usize; 7] = [5, 16, 31, 33, 64, 65, 130];
const FEATURES: [(usize, usize); 6] = [(4, 4), (60, 64), (64, 32), (68, 96), (132, 20), (260, 608)];

#[test]
fn forward() {
    for product in PRODUCTS {
        for rows in ROWS {
            for (out_features, in_features) in FEATURES {
                for format in FORMATS {
                    for bias in [false, true] {
                        let what = format!("{rows} x {in_features} -> {out_features}, {format:?}, bias {bias}");
                        same(&what, product, |device| {
                            let x = floats([rows, in_features], 1, device) / (in_features as f32).sqrt();
                            let bias = bias.then(|| floats([out_features], 3, device));
                            values(linear(x, &weight(format, out_features, in_features, device), bias.as_ref()))
                        });
                    }
                }
            }
        }
    }
}

/// The gradients of x, and of W where it is f32, of a loss that weighs every element of y differently.
fn gradients(rows: usize, out_features: usize, weight: Weight, device: &Device) -> Vec<f32> {
    let [_, in_features] = weight.dims();
    let x: Tensor<2> = floats([rows, in_features], 1, device).autodiff().require_grad();
    let (weight, trained) = match weight {
        Weight::F32(weight) => {
            let weight = weight.autodiff().require_grad();
            (Weight::F32(weight.clone()), Some(weight))
        }
        packed => (packed, None),
    };
    let dy = floats([rows, out_features], 4, device) / (rows.max(out_features) as f32).sqrt();
    let gradients = (linear(x.clone(), &weight, None) * Tensor::from_inner(dy)).sum().backward();
    let mut all = values(x.grad(&gradients).expect("x has a gradient"));
    all.extend(trained.into_iter().flat_map(|weight| values(weight.grad(&gradients).expect("and so has W"))));
    all
}

#[test]
fn backward() {
    for product in PRODUCTS {
        for rows in ROWS {
            for (out_features, in_features) in FEATURES {
                for format in FORMATS {
                    let what = format!("gradients of {rows} x {in_features} -> {out_features}, {format:?}");
                    same(&what, product, |device| {
                        gradients(rows, out_features, weight(format, out_features, in_features, device), device)
                    });
                }
            }
        }
    }
}
