//! The table of tensors at the start of a safetensors file.
//!
//! The format: 8 bytes, the header's length (u64, little-endian); the header, a JSON object from tensor name to dtype,
//! shape and byte range; the data, every byte of it in exactly one range. <https://huggingface.co/docs/safetensors>
//!
//! The `safetensors` crate's own reader is not used, only its list of dtypes: it wants the whole file as one slice,
//! keeps the last of two tensors of one name unnoticed, and its errors name no tensor. Here the length is checked
//! against the file before the header is allocated, and every tensor before it is believed.

use super::file::ModelFile;
use crate::error::{self, Error};
use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The format's own limit on the header, in bytes.
const HEADER_LIMIT: u64 = 100_000_000;
const LENGTH_BYTES: u64 = 8;
/// More dimensions than any tensor of a transformer has; bounds what a shape can allocate.
const DIMENSIONS_LIMIT: usize = 8;
/// Names of tensors go into messages, one line each.
const NAME_LIMIT: usize = 512;

/// A tensor as its file's header describes it, checked.
#[derive(Debug)]
pub(super) struct StoredTensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Position of its first byte in the file.
    pub(super) offset: u64,
    /// Length in bytes: what dtype and shape come to.
    pub(super) bytes: u64,
}

/// Reads and checks a file's table. The tensors come in the order of their data.
pub(super) fn read(file: &ModelFile) -> error::Result<Vec<StoredTensor>> {
    let refuse = |reason: String| Error::Safetensors { file: file.shown(), reason };
    if file.len() < LENGTH_BYTES {
        return Err(refuse(format!("has {} bytes and no safetensors header; fetch the file again", file.len())));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    let rest = file.len() - LENGTH_BYTES;
    if length == 0 || length > HEADER_LIMIT {
        return Err(refuse(format!(
            "the header's length is {length} bytes; 1 to {HEADER_LIMIT} are accepted: this is no safetensors file, \
             or it is damaged"
        )));
    }
    if length > rest {
        return Err(refuse(format!(
            "the header's length is {length} bytes, but only {rest} follow: the file is cut short; fetch it again"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_at(LENGTH_BYTES, &mut header)?;
    let entries = serde_json::from_slice::<Entries>(&header)
        .map_err(|error| refuse(format!("the header does not parse: {error}")))?;
    check(entries.0, LENGTH_BYTES + length, rest - length).map_err(refuse)
}

/// Holds every tensor against its dtype and shape, and all together against the data: no overlap, no gap, no rest.
fn check(mut entries: Vec<Entry>, data_start: u64, data_bytes: u64) -> Result<Vec<StoredTensor>, String> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(format!("two tensors are called {}", pair[0].name));
    }
    entries.sort_by_key(|entry| entry.data_offsets);
    let mut end = 0;
    let mut last = "the header";
    for entry in &entries {
        let Entry { name, dtype, shape, data_offsets: [from, to] } = entry;
        let (from, to) = (*from, *to);
        let bytes = byte_size(*dtype, shape)
            .ok_or_else(|| format!("tensor {name}: shape {shape:?} of {dtype:?} has no size in whole bytes"))?;
        if to.checked_sub(from) != Some(bytes) {
            return Err(format!("tensor {name}: {dtype:?} {shape:?} has {bytes} bytes, data_offsets say {from}..{to}"));
        }
        if to > data_bytes {
            return Err(format!(
                "tensor {name} ends at byte {to} of the data, but there are {data_bytes}: the file is cut short; \
                 fetch it again"
            ));
        }
        if from < end {
            return Err(format!("tensor {name} overlaps {last}: it begins at byte {from} of the data, not at {end}"));
        }
        if from > end {
            return Err(format!("bytes {end}..{from} of the data, between {last} and tensor {name}, belong to none"));
        }
        (end, last) = (to, name);
    }
    if end != data_bytes {
        return Err(format!("{} bytes follow the last tensor, {last}, and belong to none", data_bytes - end));
    }
    entries
        .into_iter()
        .map(|Entry { name, dtype, shape, data_offsets: [from, to] }| {
            // A page counts with 32 bits; what has more bytes than that has no place in it.
            let dims = shape.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>();
            match (dims, usize::try_from(to - from)) {
                (Ok(shape), Ok(_)) => {
                    Ok(StoredTensor { name, dtype, shape, offset: data_start + from, bytes: to - from })
                }
                _ => Err(format!("tensor {name}: shape {shape:?} is too large for this machine")),
            }
        })
        .collect()
}

/// `None` where it overflows, or is no whole number of bytes (dtypes below 8 bits).
fn byte_size(dtype: Dtype, shape: &[u64]) -> Option<u64> {
    let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    let bits = elements.checked_mul(dtype.bitsize() as u64)?;
    (bits % 8 == 0).then_some(bits / 8)
}

/// A header's tensors in the order they are written, two of one name both kept.
struct Entries(Vec<Entry>);

struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

#[derive(Deserialize)]
struct Description {
    dtype: Dtype,
    #[serde(deserialize_with = "few_dimensions")]
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object from tensor name to dtype, shape and data_offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if name.is_empty() || name.len() > NAME_LIMIT || name.contains(char::is_control) {
                        let start: String = name.chars().take(60).flat_map(char::escape_debug).collect();
                        return Err(de::Error::custom(format_args!(
                            "the tensor name \"{start}\" of {} bytes is empty, too long or not printable",
                            name.len()
                        )));
                    }
                    let Description { dtype, shape, data_offsets } =
                        map.next_value().map_err(|error| de::Error::custom(format_args!("tensor {name}: {error}")))?;
                    entries.push(Entry { name, dtype, shape, data_offsets });
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

fn few_dimensions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    struct Dims;
    impl<'de> Visitor<'de> for Dims {
        type Value = Vec<u64>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "a shape of at most {DIMENSIONS_LIMIT} dimensions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u64>, A::Error> {
            let mut dims = Vec::new();
            while let Some(dim) = seq.next_element()? {
                if dims.len() == DIMENSIONS_LIMIT {
                    return Err(de::Error::invalid_length(DIMENSIONS_LIMIT + 1, &self));
                }
                dims.push(dim);
            }
            Ok(dims)
        }
    }
    deserializer.deserialize_seq(Dims)
}

#[cfg(test)]
mod tests;
