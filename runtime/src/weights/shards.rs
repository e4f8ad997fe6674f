//! Which safetensors files make up a checkpoint.
//!
//! `model.safetensors`, else the shards that `model.safetensors.index.json` names, else every loose `.safetensors`
//! file of the folder. The first two in transformers' order of preference.

use super::file::ModelFile;
use super::files::ModelFiles;
use super::formats;
use super::header::{self, StoredTensor};
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const ADAPTER: &str = "adapter_model.safetensors";

/// A safetensors file with its table of tensors.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) file: ModelFile,
    pub(super) tensors: Vec<StoredTensor>,
}

/// Opens the files and reads their headers; no tensor's data.
pub(super) fn open(files: &ModelFiles) -> Result<Vec<Shard>> {
    if let Some(file) = files.file(SINGLE)? {
        return Ok(vec![shard(file)?]);
    }
    if let Some(index) = files.read_json(INDEX)? {
        return indexed(files, &index);
    }
    loose(files)
}

/// Opens a file of this name and reads its header.
pub(super) fn open_file(files: &ModelFiles, name: &str) -> Result<Shard> {
    match files.file(name)? {
        Some(file) => shard(file),
        None => Err(files.not_a_checkpoint(format!("{name} is missing"))),
    }
}

/// Opens an adapter's file and reads its header.
pub(super) fn open_adapter(files: &ModelFiles) -> Result<Shard> {
    match files.file(ADAPTER)? {
        Some(file) => shard(file),
        None => {
            let advice = formats::folder_advice(&files.names()?);
            let general = || format!("holds no {ADAPTER}; name the folder that `train` or PEFT wrote an adapter into");
            Err(files.not_a_checkpoint(advice.unwrap_or_else(general)))
        }
    }
}

fn shard(file: ModelFile) -> Result<Shard> {
    Ok(Shard { tensors: header::read(&file)?, file })
}

/// The shards of an index, which must say of every tensor, and of no other, which shard holds it.
fn indexed(files: &ModelFiles, index: &Value) -> Result<Vec<Shard>> {
    let refuse = |reason: String| Error::Safetensors { file: files.path().join(INDEX).display().to_string(), reason };
    let Some(weight_map) = index.get("weight_map").and_then(Value::as_object) else {
        return Err(refuse("has no weight_map object from tensor name to file".to_owned()));
    };
    let mut shard_of = BTreeMap::new();
    let mut example_of = BTreeMap::new();
    for (tensor, name) in weight_map {
        let Some(name) = name.as_str() else {
            return Err(refuse(format!("weight_map gives tensor {tensor:?} no file name")));
        };
        shard_of.insert(tensor.as_str(), name);
        example_of.entry(name).or_insert(tensor);
    }
    let mut shards = Vec::new();
    for (name, tensor) in example_of {
        let Some(file) = files.file(name)? else {
            return Err(refuse(format!("{name}, which should hold tensor {tensor:?}, is not there; fetch it as well")));
        };
        let shard = shard(file)?;
        for stored in &shard.tensors {
            match shard_of.get(stored.name.as_str()) {
                Some(&named) if named == name => shard_of.remove(stored.name.as_str()),
                Some(named) => {
                    return Err(refuse(format!("tensor {} is in {name}, but the index says {named}", stored.name)));
                }
                None => return Err(refuse(format!("tensor {} of {name} is not in the index", stored.name))),
            };
        }
        shards.push(shard);
    }
    if let Some((tensor, name)) = shard_of.first_key_value() {
        return Err(refuse(format!("tensor {tensor:?} is not in {name}, where the index says it is")));
    }
    Ok(shards)
}

/// Every safetensors file of the folder but adapters, which are laid over a checkpoint and no part of one.
fn loose(files: &ModelFiles) -> Result<Vec<Shard>> {
    let mut names = files.names()?;
    let advice = formats::folder_advice(&names);
    names.retain(|name| name.ends_with(".safetensors") && !name.starts_with("adapter"));
    if names.is_empty() {
        let general =
            || format!("holds no checkpoint: neither {SINGLE} nor {INDEX} with its shards; name the folder that does");
        return Err(files.not_a_checkpoint(advice.unwrap_or_else(general)));
    }
    for (name, total) in names.iter().filter_map(|name| Some((name, numbered_total(name)?))) {
        let found = names.iter().filter(|other| numbered_total(other) == Some(total)).count();
        if found != total {
            let reason =
                format!("{name} is one of {total} shards, of which {found} are there; fetch the others as well");
            return Err(files.not_a_checkpoint(reason));
        }
    }
    let opened = names.iter().map(|name| files.file(name));
    opened.filter_map(|file| file.transpose()).map(|file| shard(file?)).collect()
}

/// 3 of `model-00001-of-00003.safetensors`.
fn numbered_total(name: &str) -> Option<usize> {
    name.strip_suffix(".safetensors")?.rsplit_once("-of-")?.1.parse().ok()
}
