//! A file for each way a header can lie.

use super::super::testing::{counting, file, in_memory, refused};
use super::*;
use crate::error::Result;

fn read_bytes(bytes: Vec<u8>) -> Result<Vec<StoredTensor>> {
    read(&in_memory([("m.safetensors", bytes)]).file("m.safetensors")?.expect("just put there"))
}

/// The message for a file with this header and 16 bytes of data.
#[track_caller]
fn refused_header(header: &str, words: &[&str]) {
    refused(read_bytes(file(header, &[0; 16])), words);
}

#[test]
fn a_valid_file_gives_its_tensors_in_order_of_data() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},
        "empty":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},
        "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   "#;
    let tensors = read_bytes(file(header, &[0; 16])).expect("valid");
    let names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a", "empty", "b"]);
    assert_eq!(tensors[0].shape, Vec::<usize>::new());
    assert_eq!(tensors[2].shape, [2, 3]);
    assert_eq!(tensors[2].dtype, Dtype::F16);
    assert_eq!(tensors[2].offset, 8 + header.len() as u64 + 4);
    assert_eq!(tensors[2].bytes, 12);
}

#[test]
fn a_file_of_no_tensors_is_valid() {
    assert!(read_bytes(file("{}", &[])).expect("valid").is_empty());
}

#[test]
fn lengths_that_cannot_be_are_refused_before_anything_is_allocated() {
    let with_length = |length: u64| {
        let mut bytes = counting(&[("a", &[4])]);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        read_bytes(bytes)
    };
    refused(with_length(0), &["header's length is 0"]);
    refused(with_length(100_000_001), &["header's length is 100000001", "100000000"]);
    refused(with_length(u64::MAX), &["header's length is 18446744073709551615"]);
    refused(with_length(1000), &["header's length is 1000", "cut short"]);
    refused(with_length(99_999_999), &["header's length is 99999999", "cut short"]);
}

#[test]
fn a_file_too_short_for_a_length_is_refused() {
    refused(read_bytes(Vec::new()), &["m.safetensors", "has 0 bytes"]);
    refused(read_bytes(vec![1; 7]), &["has 7 bytes"]);
}

#[test]
fn a_header_that_is_no_table_is_refused() {
    refused_header("not json at all", &["does not parse"]);
    refused_header("[1,2,3]", &["does not parse", "tensor name"]);
    refused_header("{\"a\":", &["does not parse"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[4]}}"#, &["tensor a", "data_offsets"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}"#, &["tensor a", "-4"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}}"#, &["tensor a", "4.0"]);
    refused_header(r#"{"a":{"dtype":"F31","shape":[4],"data_offsets":[0,16]}}"#, &["tensor a", "F31"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16,16]}}"#, &["tensor a"]);
    refused_header(&"[".repeat(100_000), &["does not parse"]);
    let mut invalid_utf8 = file(r#"{"a?":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, &[0; 16]);
    invalid_utf8[11] = 0xff;
    refused(read_bytes(invalid_utf8), &["does not parse"]);
}

#[test]
fn a_shape_of_many_dimensions_is_refused() {
    let shape = vec!["1"; 100_000].join(",");
    refused_header(&format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}}}"#), &["tensor a", "8"]);
}

#[test]
fn a_shape_whose_size_overflows_is_refused() {
    let header = |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,16]}}}}"#);
    refused_header(&header("[18446744073709551616]"), &["tensor a"]);
    refused_header(&header("[4294967296,4294967296]"), &["tensor a", "4294967296"]);
    // Sizes that wrap around to the very range given: 2^32 x 2^32 values to none, 2^62 + 1 of 4 bytes to one.
    let wrapping = |shape: &str, bytes: usize| {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#);
        refused(read_bytes(file(&header, &vec![0; bytes])), &["tensor a", "no size"]);
    };
    wrapping("[4294967296,4294967296]", 0);
    wrapping("[4611686018427387905]", 4);
}

#[test]
fn a_range_that_is_not_dtype_times_shape_is_refused() {
    refused_header(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}"#, &["tensor a", "12 bytes", "0..16"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#, &["tensor a", "16..0"]);
    refused_header(r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,16]}}"#, &["tensor a", "whole bytes"]);
}

#[test]
fn overlaps_gaps_and_rests_are_refused() {
    let two = |second: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},
                "b":{{"dtype":"F32","shape":[1],"data_offsets":{second}}}}}"#
        )
    };
    refused_header(&two("[4,8]"), &["tensor b overlaps a"]);
    refused_header(&two("[12,16]"), &["bytes 8..12", "tensor b"]);
    refused_header(&two("[8,12]"), &["4 bytes follow the last tensor, b"]);
    refused_header(&two("[16,20]"), &["tensor b ends at byte 20", "cut short"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#, &["bytes 0..8"]);
    refused_header("{}", &["16 bytes follow"]);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    refused_header(header, &["two tensors are called a"]);
    refused_header(
        r#"{"a":{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16]}}"#,
        &["tensor a", "duplicate field"],
    );
}

#[test]
fn names_that_would_spoil_a_message_are_refused() {
    let named = |name: &str| format!(r#"{{"{name}":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}}}"#);
    refused_header(&named(""), &["tensor name \"\""]);
    refused_header(&named(r"a\nb"), &[r"a\nb"]);
    refused_header(&named(r"a\u001b[2J"), &[r"a\u{1b}[2J"]);
    refused_header(&named(&"x".repeat(513)), &["513 bytes"]);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = counting(&[("first", &[3]), ("second", &[2, 2])]);
    assert!(read_bytes(whole.clone()).is_ok());
    for len in 0..whole.len() {
        assert!(read_bytes(whole[..len].to_vec()).is_err(), "{len} of {} bytes", whole.len());
    }
}
