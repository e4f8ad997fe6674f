//! Every value a weight can have, through both conversions.

use super::super::testing::{file, in_memory, refused};
use super::super::{Checkpoint, ModelFiles};
use super::*;
use crate::packed::PackedFormat;

/// A checkpoint of one tensor, `t`, with these bytes.
fn one(dtype: &str, shape: &[usize], data: &[u8]) -> Checkpoint {
    Checkpoint::open(&files(dtype, shape, data), None).expect("valid")
}

fn files(dtype: &str, shape: &[usize], data: &[u8]) -> ModelFiles {
    let header = format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[0,{}]}}}}"#, data.len());
    in_memory([("model.safetensors", file(&header, data))])
}

/// Packed, the last dimension as a row.
fn read_f16(checkpoint: &Checkpoint) -> Result<Vec<u32>> {
    let row = *checkpoint.get("t").expect("there").shape.last().expect("has a dimension");
    checkpoint.read_packed("t", PackedLayout::new(PackedFormat::F16, row).unwrap_or(EMPTY))
}

/// For a tensor without values: any layout does.
const EMPTY: PackedLayout = PackedLayout { format: PackedFormat::F16, in_features: 2 };

fn bytes_of(bits: impl IntoIterator<Item = u16>) -> Vec<u8> {
    bits.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// Every finite 16-bit pattern.
fn finite(is_finite: fn(u16) -> bool) -> Vec<u16> {
    (0..=u16::MAX).filter(|&bits| is_finite(bits)).collect()
}

#[test]
fn every_finite_f16_survives_both_ways() {
    let bits = finite(|bits| f16::from_bits(bits).is_finite());
    let checkpoint = one("F16", &[bits.len()], &bytes_of(bits.iter().copied()));
    let floats = checkpoint.read_f32("t").expect("finite");
    for (&bits, value) in bits.iter().zip(&floats) {
        assert_eq!(value.to_bits(), f16::from_bits(bits).to_f32().to_bits(), "{bits:#06x}");
    }
    let pairs = read_f16(&checkpoint).expect("finite");
    for (pair, bits) in pairs.iter().zip(bits.chunks_exact(2)) {
        assert_eq!(*pair, u32::from(bits[0]) | u32::from(bits[1]) << 16, "{bits:?}");
    }
}

#[test]
fn every_finite_bf16_is_the_upper_half_of_its_f32() {
    let bits = finite(|bits| bf16::from_bits(bits).is_finite());
    let floats = one("BF16", &[bits.len()], &bytes_of(bits.iter().copied())).read_f32("t").expect("finite");
    for (&bits, value) in bits.iter().zip(&floats) {
        assert_eq!(value.to_bits(), u32::from(bits) << 16, "{bits:#06x}");
    }
}

#[test]
fn f32_is_read_as_it_is_and_rounded_to_the_nearest_f16() {
    let values = [0.0f32, -0.0, 1.0, -65504.0, 1e-8, 0.1, 1.0 + 2f32.powi(-11), 1.0 + 3.0 * 2f32.powi(-11)];
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let checkpoint = one("F32", &[2, 4], &data);
    assert_eq!(checkpoint.read_f32("t").expect("finite"), values);
    let halves: Vec<u16> =
        read_f16(&checkpoint).expect("fits").iter().flat_map(|pair| [*pair as u16, (pair >> 16) as u16]).collect();
    // 1e-8 is below half of the least f16; 1 + 2^-11 lies between two of them and goes to the even one, 1.
    assert_eq!(halves, [0x0000, 0x8000, 0x3c00, 0xfbff, 0x0000, 0x2e66, 0x3c00, 0x3c02]);
}

#[test]
fn chunks_meet_without_a_seam() {
    // More than two chunks, the last one short.
    let len = 2 * CHUNK + 6;
    let data: Vec<u8> = (0..len).flat_map(|index| (index as f32).to_le_bytes()).collect();
    let floats = one("F32", &[len / 2, 2], &data).read_f32("t").expect("finite");
    assert_eq!(floats.len(), len);
    assert!(floats.iter().enumerate().all(|(index, value)| *value == index as f32));

    let bits: Vec<u16> = (0..len).map(|index| (index % 0x7c00) as u16).collect();
    let pairs = read_f16(&one("F16", &[len / 2, 2], &bytes_of(bits.iter().copied()))).expect("finite");
    assert_eq!(pairs.len(), len / 2);
    for (index, (pair, bits)) in pairs.iter().zip(bits.chunks_exact(2)).enumerate() {
        assert_eq!(*pair, u32::from(bits[0]) | u32::from(bits[1]) << 16, "pair {index}");
    }
}

#[test]
fn nan_and_infinity_are_refused_with_their_place() {
    let bad_at = CHUNK + 3;
    let mut values = vec![0.5f32; CHUNK + 8];
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        values[bad_at] = bad;
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let checkpoint = one("F32", &[values.len()], &data);
        let place = format!("tensor t holds {bad} at index {bad_at}");
        refused(checkpoint.read_f32("t"), &[&place, "damaged"]);
        refused(read_f16(&checkpoint), &[&place, "damaged"]);
    }
    for (dtype, nan, infinity) in [("F16", 0x7e01, 0x7c00), ("BF16", 0x7fc1, 0xff80)] {
        for bits in [nan, infinity] {
            let checkpoint = one(dtype, &[4], &bytes_of([0, 0, bits, 0]));
            refused(checkpoint.read_f32("t"), &["at index 2", "damaged"]);
            refused(read_f16(&checkpoint), &["at index 2", "damaged"]);
        }
    }
}

#[test]
fn what_f16_cannot_hold_is_refused_with_a_way_out() {
    for (value, dtype) in [(65505.0f32, "F32"), (-1e30, "F32"), (65536.0, "BF16"), (-3e38, "BF16")] {
        let data = match dtype {
            "F32" => [1.0, value].iter().flat_map(|value| value.to_le_bytes()).collect(),
            _ => bytes_of([0x3f80, bf16::from_f32(value).to_bits()]),
        };
        let checkpoint = one(dtype, &[2], &data);
        refused(read_f16(&checkpoint), &["tensor t", "at index 1", "--weights f32"]);
        assert!(checkpoint.read_f32("t").is_ok(), "{value} is a fine f32");
    }
}

#[test]
fn rows_of_odd_length_have_no_pairs() {
    let checkpoint = one("F16", &[2, 3], &[0; 12]);
    assert_eq!(checkpoint.read_f32("t").expect("any length").len(), 6);
}

#[test]
fn other_dtypes_are_refused() {
    let checkpoint = one("I64", &[2], &[0; 16]);
    refused(checkpoint.read_f32("t"), &["tensor t", "I64", "BF16"]);
    refused(read_f16(&checkpoint), &["tensor t", "I64", "BF16"]);
}

#[test]
fn an_empty_tensor_is_empty() {
    let checkpoint = one("F16", &[0, 4], &[]);
    assert!(checkpoint.read_f32("t").expect("nothing to read").is_empty());
    assert!(read_f16(&checkpoint).expect("nothing to read").is_empty());
}

#[test]
#[cfg(not(target_arch = "wasm32"))]
fn a_file_cut_short_while_open_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let data = vec![0; 4096];
    let header = r#"{"t":{"dtype":"F16","shape":[2048],"data_offsets":[0,4096]}}"#;
    std::fs::write(&path, file(header, &data)).expect("written");
    let checkpoint = Checkpoint::open(&ModelFiles::open(folder.path()).expect("a folder"), None).expect("valid");
    assert!(checkpoint.read_f32("t").is_ok());
    std::fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(500)).expect("cut");
    refused(checkpoint.read_f32("t"), &["model.safetensors", "cut short"]);
    refused(read_f16(&checkpoint), &["model.safetensors", "cut short"]);
}
