//! Checkpoints for the tests, made byte by byte so that they can be wrong in any one way.

use super::{MemoryFiles, ModelFiles};
use crate::error::Result;

/// A safetensors file: the header's true length, the header, the data.
pub(super) fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A valid safetensors file of f32 tensors whose values count up from 0.
pub(super) fn counting(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in tensors {
        let from = data.len();
        data.extend((0..shape.iter().product()).flat_map(|index: usize| (index as f32).to_le_bytes()));
        let to = data.len();
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{from},{to}]}}"#));
    }
    file(&format!("{{{}}}", entries.join(",")), &data)
}

/// Files in memory.
pub(super) fn in_memory<const N: usize>(files: [(&str, Vec<u8>); N]) -> ModelFiles {
    let files: MemoryFiles = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect();
    ModelFiles::from_memory("test", files)
}

/// The message of what must be an error, in one line and with these words in it.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) -> String {
    let message = result.expect_err("this must be refused").to_string();
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
    assert!(!message.contains('\n'), "more than a line: {message}");
    message
}
