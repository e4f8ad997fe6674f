//! A checkpoint: its tensors by canonical name, compared with the model's before any is read.

use super::convert;
use super::files::ModelFiles;
use super::header::StoredTensor;
use super::names::{self, Layout, Meaning, Part};
use super::shards::{self, Shard};
use crate::error::{Error, Result};
use crate::packed::{PackedFormat, PackedLayout};
use safetensors::Dtype;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// An opened checkpoint. Its headers are read and checked; its tensors are read one at a time, when asked for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    shards: Vec<Shard>,
    tensors: BTreeMap<String, TensorInfo>,
    layout: Layout,
}

/// Where a tensor lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name there, which messages use.
    pub name_in_file: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Its shape, outermost dimension first; a linear weight is `[out, in]`.
    pub shape: Vec<usize>,
    /// The file it is in.
    pub file: String,
    /// Position of its first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// How it is packed, where it is: q8 or q4, stored as bytes `[rows, blocks, bytes of a block]`. Its shape is that of
    /// its values.
    pub packed: Option<PackedLayout>,
    /// Which of the checkpoint's shards that file is.
    shard: usize,
}

impl TensorInfo {
    /// How its values are stored, in words: `F32`, `BF16`, ..., `q8`, `q4`.
    pub fn kind(&self) -> String {
        match self.packed.map(|layout| layout.format) {
            Some(PackedFormat::Q8) => "q8".to_owned(),
            Some(PackedFormat::Q4) => "q4".to_owned(),
            _ => self.dtype.to_string(),
        }
    }

    /// How many values it holds.
    pub fn elements(&self) -> usize {
        // The header's check has multiplied these without overflow.
        self.shape.iter().product()
    }
}

impl Checkpoint {
    /// Opens the checkpoint in `files` and reads its headers.
    ///
    /// `vision_tower` is the separate CLIP folder of the original layout ([`Checkpoint::vision_tower_files`] finds it,
    /// or the user names one). It is used where the checkpoint has no vision tower of its own: LLaVA, too, lets the
    /// checkpoint's win.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for a damaged file or index and for two tensors of one meaning,
    /// [`Error::NotACheckpoint`] where there is nothing to open or a name leads out of the folder.
    pub fn open(files: &ModelFiles, vision_tower: Option<&ModelFiles>) -> Result<Self> {
        let mut checkpoint = Self {
            path: files.path().to_owned(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            layout: Layout::Transformers4,
        };
        checkpoint.add(files, Part::Model)?;
        if let Some(files) = vision_tower.filter(|_| !checkpoint.has_vision_tower()) {
            checkpoint.add(files, Part::VisionTower)?;
        }
        Ok(checkpoint)
    }

    /// Opens one file of tensors, under the names they have in it.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for a damaged file, [`Error::NotACheckpoint`] where it is not there.
    pub fn open_file(files: &ModelFiles, name: &str) -> Result<Self> {
        let mut checkpoint = Self {
            path: files.path().to_owned(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            layout: Layout::Transformers4,
        };
        checkpoint.take(vec![shards::open_file(files, name)?], Part::Plain)?;
        Ok(checkpoint)
    }

    /// Opens the adapter in `files`: `adapter_model.safetensors`, its tensors under the canonical names of what they adapt.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_adapter(files: &ModelFiles) -> Result<Self> {
        let mut checkpoint = Self {
            path: files.path().to_owned(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            layout: Layout::Transformers4,
        };
        checkpoint.take(vec![shards::open_adapter(files)?], Part::Adapter)?;
        Ok(checkpoint)
    }

    /// The separate vision tower that an original `config.json` names in `mm_vision_tower`, where it is a folder inside
    /// the model's folder: at that path, or under that path's last part (`clip-vit-large-patch14-336` of
    /// `openai/clip-vit-large-patch14-336`). `None` for a path elsewhere: nothing outside is opened on a file's word.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] where the folder is a symlink that leads out.
    pub fn vision_tower_files(files: &ModelFiles, config: &Value) -> Result<Option<ModelFiles>> {
        let Some(tower) = config.get("mm_vision_tower").and_then(Value::as_str) else { return Ok(None) };
        let tower = tower.trim_start_matches("./").trim_end_matches('/');
        for name in [tower, tower.rsplit('/').next().unwrap_or_default()] {
            if super::files::is_plain(name)
                && let Some(folder) = files.subfolder(name)?
            {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    /// Takes in the files of one part, each tensor under its canonical name.
    fn add(&mut self, files: &ModelFiles, part: Part) -> Result<()> {
        self.take(shards::open(files)?, part)
    }

    fn take(&mut self, shards: Vec<Shard>, part: Part) -> Result<()> {
        for shard in shards {
            for stored in &shard.tensors {
                let Meaning::Tensor(canonical, layout) = names::meaning(part, &stored.name) else { continue };
                // Of the layouts that names give away, the last in order is the most particular.
                self.layout = self.layout.max(layout.unwrap_or(self.layout));
                let packed = packed(stored);
                let info = TensorInfo {
                    name_in_file: stored.name.clone(),
                    dtype: stored.dtype,
                    shape: packed.map_or(stored.shape.clone(), |layout| vec![stored.shape[0], layout.in_features]),
                    packed,
                    file: shard.file.name().to_owned(),
                    offset: stored.offset,
                    bytes: stored.bytes,
                    shard: self.shards.len(),
                };
                if let Some(other) = self.tensors.get(&canonical) {
                    let reason = format!(
                        "tensor {} and tensor {} of {} are both the model's {canonical}; keep one of them",
                        info.name_in_file, other.name_in_file, other.file
                    );
                    return Err(Error::Safetensors { file: shard.file.shown(), reason });
                }
                self.tensors.insert(canonical, info);
            }
            self.shards.push(shard);
        }
        Ok(())
    }

    /// Who wrote it.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Every tensor with its canonical name, in the order of names; without those that can be computed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// The tensor of this canonical name.
    pub fn get(&self, canonical: &str) -> Option<&TensorInfo> {
        self.tensors.get(canonical)
    }

    fn has_vision_tower(&self) -> bool {
        self.tensors.keys().any(|name| names::is_vision(name))
    }

    /// Compares the checkpoint with the tensors a model `needs`, by canonical name and shape. `unused` are those that
    /// may be there without being needed.
    ///
    /// # Errors
    /// [`Error::TensorNames`] lists what is missing and what no one knows; [`Error::TensorShape`] and
    /// [`Error::TensorDtype`] name the first tensor that does not fit; [`Error::NotACheckpoint`] says how to add a
    /// vision tower that is missing as a whole.
    pub fn check(&self, needs: &[(String, Vec<usize>)], unused: &[String]) -> Result<()> {
        let missing: Vec<_> = needs.iter().map(|(name, _)| name).filter(|name| self.get(name).is_none()).collect();
        if self.layout == Layout::Original
            && !self.has_vision_tower()
            && missing.iter().any(|name| names::is_vision(name))
        {
            let reason = "the checkpoint has no vision tower inside, and config.json's mm_vision_tower is no folder in \
                          it: put the CLIP checkpoint (config.json, model.safetensors) into a folder of that name there";
            return Err(Error::NotACheckpoint { path: self.path.clone(), reason: reason.to_owned() });
        }
        let known: BTreeSet<&str> = needs.iter().map(|(name, _)| name).chain(unused).map(String::as_str).collect();
        let unknown: Vec<_> = self.iter().filter(|(name, _)| !known.contains(name)).collect();
        if !missing.is_empty() || !unknown.is_empty() {
            return Err(Error::TensorNames {
                missing: missing.into_iter().cloned().collect(),
                unused: unknown.into_iter().map(|(_, info)| info.name_in_file.clone()).collect(),
            });
        }
        for (name, expected) in needs {
            let info = &self.tensors[name];
            if info.shape != *expected {
                return Err(Error::TensorShape {
                    tensor: info.name_in_file.clone(),
                    actual: info.shape.clone(),
                    expected: expected.clone(),
                });
            }
            if info.packed.is_none() && !convert::is_read(info.dtype) {
                let (tensor, actual) = (info.name_in_file.clone(), format!("{:?}", info.dtype));
                return Err(Error::TensorDtype { tensor, actual });
            }
        }
        Ok(())
    }

    /// Tells this checkpoint from others: the table of its tensors, and the first bytes of each. FNV-1a, so the same on
    /// every machine; a few reads a tensor, whatever its size.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn fingerprint(&self) -> Result<u64> {
        const SAMPLED_BYTES: u64 = 256;
        let mut hash = 0xCBF2_9CE4_8422_2325;
        let mut take = |bytes: &[u8]| {
            for &byte in bytes {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        };
        for (name, info) in self.iter() {
            take(format!("{name} {:?} {:?}\n", info.dtype, info.shape).as_bytes());
            let mut first = vec![0; info.bytes.min(SAMPLED_BYTES) as usize];
            self.shards[info.shard].file.read_at(info.offset, &mut first)?;
            take(&first);
        }
        Ok(hash)
    }

    /// Makes a tensor readable where its bytes have to be waited for, in the place of the one before; elsewhere nothing
    /// has to be done.
    ///
    /// # Errors
    /// [`Error::TensorNames`] where there is none of this canonical name, [`Error::Io`].
    pub async fn fetch(&self, canonical: &str) -> Result<()> {
        let info = self.require(canonical)?;
        self.shards[info.shard].file.fetch(info.offset, info.bytes).await
    }

    /// A tensor's bytes, as they are stored.
    ///
    /// # Errors
    /// [`Error::TensorNames`] where there is none of this canonical name, [`Error::Io`].
    pub fn read_bytes(&self, canonical: &str) -> Result<Vec<u8>> {
        let info = self.require(canonical)?;
        let mut bytes = vec![0; info.bytes as usize];
        self.shards[info.shard].file.read_at(info.offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a tensor as f32. Beside the result, about 1 MiB of memory is used.
    ///
    /// # Errors
    /// [`Error::TensorNames`] where there is none of this canonical name, [`Error::TensorDtype`],
    /// [`Error::TensorValue`] for NaN and infinity, [`Error::Io`], [`Error::Memory`].
    pub fn read_f32(&self, canonical: &str) -> Result<Vec<f32>> {
        let info = self.require(canonical)?;
        convert::to_f32(&self.shards[info.shard].file, info)
    }

    /// Reads a matrix in rows of `layout`: packed on the way, or as it is stored. Beside the result, about 2 MiB of memory
    /// a core are used.
    ///
    /// # Errors
    /// As [`Checkpoint::read_f32`]; [`Error::TensorValue`] also for magnitudes the layout does not hold.
    pub fn read_packed(&self, canonical: &str, layout: PackedLayout) -> Result<Vec<u32>> {
        let info = self.require(canonical)?;
        convert::to_packed(&self.shards[info.shard].file, info, layout)
    }

    fn require(&self, canonical: &str) -> Result<&TensorInfo> {
        self.get(canonical)
            .ok_or_else(|| Error::TensorNames { missing: vec![canonical.to_owned()], unused: Vec::new() })
    }
}

/// How a stored tensor is packed, where it is.
fn packed(stored: &StoredTensor) -> Option<PackedLayout> {
    match (stored.dtype, stored.shape.as_slice()) {
        (Dtype::U8, &[_, blocks, block_bytes]) => PackedLayout::of_blocks(blocks, block_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
