//! The products on matrix units: f16 factors, f32 sums, forward and dx, against the composed body.
//!
//! Only some drivers have cooperative matrices; `tests/newest-mesa` runs a command on a software one that does. Without
//! them the tests say that they are skipped, and `MOLE_REQUIRE_COOPERATIVE=1` makes that a failure.
//!
//! Where every factor is a number that f16 holds, nothing is rounded but the sums: the tolerance is that of any other
//! order, sqrt(n) eps. Otherwise a factor is rounded to 11 bits, by up to u = 2^-11 and on average half of that; two
//! factors, and n products of size about 1 / sqrt(n), move a sum by about 0.7 u = 3.5e-4, the worst of 3e4 sums by four
//! to five times that: 2e-3.

use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use mole_runtime::device::{ComputeDevice, DeviceChoice, report};
use mole_runtime::ops::{PackedFormat, Product, Weight, linear};
use mole_tests::{Tolerance, difference, floats, gpu, values, weight_packed};

const SUM: Tolerance = Tolerance { absolute: 2e-5, relative: 1e-5 };
const ROUNDED: Tolerance = Tolerance { absolute: 2e-3, relative: 1e-3 };

/// One product at a time: the choice is the process's.
static TURN: Mutex<()> = Mutex::new(());

/// A GPU with cooperative matrices, and its products; `None` (said on stderr) where there is none.
fn cooperative() -> Option<(Device, Vec<Product>)> {
    let device = gpu();
    let report = device.is_some().then(|| pollster::block_on(report(DeviceChoice::Gpu)).expect("opened above"));
    // The runtime takes the largest size.
    let size = report.and_then(|report| report.cooperative_f16.into_iter().max());
    if let (Some(device), Some(size)) = (device, size) {
        return Some((device, vec![if size == 16 { Product::Cooperative16 } else { Product::Cooperative8 }]));
    }
    let required = std::env::var("MOLE_REQUIRE_COOPERATIVE").is_ok_and(|value| value == "1");
    assert!(!required, "MOLE_REQUIRE_COOPERATIVE is set, but no GPU reports f16 cooperative matrices");
    eprintln!("SKIPPED: no GPU with f16 cooperative matrices");
    None
}

/// `op` on matrix units and on the CPU.
fn both(device: &Device, product: Product, op: impl Fn(&Device) -> Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    let _turn = TURN.lock().unwrap_or_else(|held| held.into_inner());
    Product::always(Some(product));
    let actual = op(device);
    Product::always(None);
    (actual, op(&ComputeDevice::cpu().burn))
}

/// Numbers of 8 bits in -2..2: sums of their products are exact in f16's range.
fn short<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    (floats(shape, seed, device) * 64.0).round() / 64.0
}

/// With a bias, and without.
fn forward(x: Tensor<2>, weight: &Weight) -> Vec<f32> {
    let bias = short([weight.dims()[0]], 5, &x.device());
    let mut all = values(linear(x.clone(), weight, Some(&bias)));
    all.extend(values(linear(x, weight, None)));
    all
}

/// The gradient of x from dy.
fn backward(dy: Tensor<2>, weight: &Weight, device: &Device) -> Vec<f32> {
    let x: Tensor<2> = Tensor::zeros([dy.dims()[0], weight.dims()[1]], device).autodiff().require_grad();
    let gradients = (linear(x.clone(), weight, None) * Tensor::from_inner(dy)).sum().backward();
    values(x.grad(&gradients).expect("x has a gradient"))
}

/// Rows around a tile's 64; features of one step and more, of a part of a tile, of one and more.
const ROWS: [usize; 5] = [5, 63, 64, 65, 130];
const FEATURES: [(usize, usize); 6] = [(32, 32), (64, 32), (32, 96), (160, 64), (288, 608), (64, 1056)];

#[test]
fn factors_that_f16_holds_lose_nothing() {
    let Some((device, products)) = cooperative() else { return };
    for product in products {
        for rows in ROWS {
            for (out_features, in_features) in FEATURES {
                let what = format!("{rows} x {in_features} -> {out_features}, {product:?}");
                // A power of two keeps what f16 holds.
                let size = 1.0 / 16.0;
                let (actual, expected) = both(&device, product, |device| {
                    let weight = Weight::F32(short([out_features, in_features], 2, device));
                    let mut all = forward(short([rows, in_features], 1, device) * size, &weight);
                    // Far below what f16 holds: only the scale makes it right.
                    let dy = short([rows, out_features], 4, device) * 2f32.powi(-40);
                    all.extend(backward(dy, &weight, device).into_iter().map(|dx| dx * 2f32.powi(36)));
                    all
                });
                if let Some(difference) = difference(&actual, &expected, SUM) {
                    panic!("{what}: {difference}");
                }
            }
        }
    }
}

#[test]
fn every_format_within_what_f16_rounds() {
    let Some((device, products)) = cooperative() else { return };
    let formats = [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4];
    for product in products {
        for rows in ROWS {
            for (out_features, in_features) in FEATURES {
                for format in formats {
                    let what = format!("{rows} x {in_features} -> {out_features}, {format:?}, {product:?}");
                    let (actual, expected) = both(&device, product, |device| {
                        let weight = weight_packed(format, out_features, in_features, 2, device);
                        let x = floats([rows, in_features], 1, device) / (in_features as f32).sqrt();
                        let dy = floats([rows, out_features], 4, device) / (out_features as f32).sqrt();
                        let mut all = forward(x, &weight);
                        all.extend(backward(dy, &weight, device));
                        all
                    });
                    if let Some(difference) = difference(&actual, &expected, ROUNDED) {
                        panic!("{what}: {difference}");
                    }
                }
            }
        }
    }
}

#[test]
fn it_is_the_matrix_units_that_are_tested() {
    let Some((device, products)) = cooperative() else { return };
    for product in products {
        let (actual, expected) = both(&device, product, |device| {
            forward(floats([64, 608], 1, device) / 608f32.sqrt(), &Weight::F32(floats([64, 608], 2, device)))
        });
        assert!(difference(&actual, &expected, SUM).is_some(), "{product:?}: nothing was rounded to f16");
        assert_eq!(difference(&actual, &expected, ROUNDED), None);
    }
}

#[test]
fn what_f16_cannot_hold_is_clamped_and_never_infinite() {
    let Some((device, products)) = cooperative() else { return };
    for product in products {
        let (actual, _) = both(&device, product, |device| {
            let x = Tensor::<2>::full([64, 64], 1e6, device);
            values(linear(x, &Weight::F32(Tensor::full([64, 64], 1.0, device)), None))
        });
        assert!(actual.iter().all(|&value| value == 64.0 * 65504.0), "{:?}", &actual[..4]);
    }
}
