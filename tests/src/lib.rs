//! What the tests across crates share: the devices, numbers to feed in, and a comparison that says where it failed.

pub mod history;

use std::path::PathBuf;
use std::sync::OnceLock;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use mole_runtime::device::{ComputeDevice, DeviceChoice};
use mole_runtime::ops::{PackedFormat, PackedLayout, PackedWeight, Weight, poison_outputs};

/// The folder of the fixtures.
pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The GPU the tests share, with outputs poisoned; `None` (said on stderr) where there is none.
///
/// # Panics
/// If there is none and `MOLE_REQUIRE_GPU=1`.
pub fn gpu() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(|| match pollster::block_on(ComputeDevice::open(DeviceChoice::Gpu)) {
        Ok(device) => {
            eprintln!("GPU: {} ({})", device.report.name, device.report.backend);
            poison_outputs();
            Some(device.burn)
        }
        Err(error) if required() => panic!("MOLE_REQUIRE_GPU is set, but {error}"),
        Err(error) => {
            eprintln!("SKIPPED, no GPU: {error}");
            None
        }
    })
    .clone()
}

/// Whether a missing GPU or browser fails the tests.
pub fn required() -> bool {
    std::env::var("MOLE_REQUIRE_GPU").is_ok_and(|value| value == "1")
}

/// Deterministic numbers in about -2..2, none of them zero or alike: a linear congruential generator's high bits.
pub fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0xD1B5_4A32_D192_ED03);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 + 0.5) / (1u64 << 22) as f32 - 2.0
        })
        .collect()
}

/// A float tensor of [`numbers`].
pub fn floats<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// An i32 tensor.
pub fn ints<const D: usize>(values: &[i32], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::I32))
}

/// A weight of [`numbers`] in f32.
pub fn weight_f32(rows: usize, columns: usize, seed: u64, device: &Device) -> Weight {
    Weight::F32(floats([rows, columns], seed, device))
}

/// The same weight in a packed format, or in f32 where the format has no form for its rows.
pub fn weight_packed(format: PackedFormat, rows: usize, columns: usize, seed: u64, device: &Device) -> Weight {
    let Some(layout) = PackedLayout::new(format, columns) else { return weight_f32(rows, columns, seed, device) };
    let mut words = vec![0; rows * layout.row_words()];
    layout.pack(&numbers(rows * columns, seed), &mut words);
    let words = Tensor::from_data(TensorData::new(words, [rows, layout.row_words()]), (device, DType::U32));
    Weight::Packed(PackedWeight { words, layout })
}

/// The values of a float tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    pollster::block_on(mole_runtime::device::read_floats(tensor)).expect("the device works")
}

/// The values of an int tensor.
pub fn int_values<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i32> {
    pollster::block_on(mole_runtime::device::read_ints(tensor)).expect("the device works")
}

/// How far two results may differ: `absolute + relative * |expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// For values near zero.
    pub absolute: f32,
    /// For the rest.
    pub relative: f32,
}

/// The first element outside the tolerance, in words; `None` if there is none. NaN is always outside.
pub fn difference(actual: &[f32], expected: &[f32], tolerance: Tolerance) -> Option<String> {
    if actual.len() != expected.len() {
        return Some(format!("{} values, expected {}", actual.len(), expected.len()));
    }
    let bad = |(a, e): (&f32, &f32)| {
        let within = (a - e).abs() <= tolerance.absolute + tolerance.relative * e.abs();
        !within
    };
    let index = actual.iter().zip(expected).position(bad)?;
    let count = actual.iter().zip(expected).filter(|&pair| bad(pair)).count();
    Some(format!(
        "index {index}: {} instead of {} ({tolerance:?}); {count} of {} are wrong",
        actual[index],
        expected[index],
        actual.len()
    ))
}

/// The largest difference over the largest magnitude expected.
pub fn max_norm(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    let error = actual.iter().zip(expected).fold(0.0f32, |max, (a, e)| match (a - e).abs() {
        error if error.is_nan() => f32::INFINITY,
        error => max.max(error),
    });
    error / scale
}
