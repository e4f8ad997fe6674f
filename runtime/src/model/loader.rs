//! Uploads a checkpoint tensor by tensor.
//!
//! Each tensor is read, converted and handed to the device before the next is touched, so that host memory holds one
//! tensor at a time. Nothing is uploaded before the whole checkpoint was checked against the config.

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::Serialize;

use super::random::RandomWeights;
use crate::device::{breathe, is_cpu, max_binding_bytes};
use crate::error::Result;
use crate::nn::{LayerNorm, Linear, RmsNorm};
use crate::ops::{PackedFormat, PackedLayout, PackedWeight, Weight};
use crate::weights::Checkpoint;

/// How weight matrices are kept on the device. Norms, biases and position embeddings are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 4 bytes a weight.
    F32,
    /// 2 bytes a weight, packed two to a u32.
    F16,
    /// 8.5 bits a weight, in blocks of 32 with a scale.
    Q8,
    /// 4.5 bits a weight, in blocks of 32 with a scale.
    Q4,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8, Self::Q4];

    /// How a matrix with rows of `columns` values is packed; `None` where it stays f32. Rows that q8 and q4 have no form
    /// for are kept in f16, odd ones in f32.
    pub fn layout(self, columns: usize) -> Option<PackedLayout> {
        let f16 = PackedLayout::new(PackedFormat::F16, columns);
        match self {
            Self::F32 => None,
            Self::F16 => f16,
            Self::Q8 => PackedLayout::new(PackedFormat::Q8, columns).or(f16),
            Self::Q4 => PackedLayout::new(PackedFormat::Q4, columns).or(f16),
        }
    }

    /// Bytes of a matrix of `rows` times `columns`.
    pub fn bytes(self, rows: usize, columns: usize) -> u64 {
        4 * rows as u64 * self.layout(columns).map_or(columns, |layout| layout.row_words()) as u64
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|precision| precision.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is not f32, f16, q8 or q4"))
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

/// Bytes uploaded before their arrival is awaited.
const MAX_IN_FLIGHT: u64 = 64 << 20;

/// Bytes loaded before a page may breathe: some milliseconds of work.
const MAX_UNBROKEN: u64 = 1 << 20;

/// How far loading is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadProgress {
    /// Bytes read from the checkpoint so far.
    pub done_bytes: u64,
    /// Bytes the model needs from the checkpoint.
    pub total_bytes: u64,
}

/// Reads tensors by their canonical names and puts them on a device.
pub struct Loader<'a> {
    source: Source<'a>,
    device: &'a Device,
    precision: Precision,
    progress: LoadProgress,
    in_flight: u64,
    unbroken: u64,
    on_progress: &'a mut dyn FnMut(LoadProgress),
}

/// Where weights come from.
enum Source<'a> {
    Checkpoint(&'a Checkpoint),
    /// Nowhere: they are made on the device.
    Random(RandomWeights),
}

impl<'a> Loader<'a> {
    /// A loader that reads nothing: every weight is made on the device.
    pub fn random(
        weights: RandomWeights,
        device: &'a Device,
        precision: Precision,
        on_progress: &'a mut dyn FnMut(LoadProgress),
    ) -> Self {
        let (source, progress) = (Source::Random(weights), LoadProgress::default());
        Self { source, device, precision, progress, in_flight: 0, unbroken: 0, on_progress }
    }

    /// A loader for a checkpoint that was checked; `total_bytes` is what it will read.
    pub fn new(
        checkpoint: &'a Checkpoint,
        device: &'a Device,
        precision: Precision,
        total_bytes: u64,
        on_progress: &'a mut dyn FnMut(LoadProgress),
    ) -> Self {
        let progress = LoadProgress { done_bytes: 0, total_bytes };
        let source = Source::Checkpoint(checkpoint);
        Self { source, device, precision, progress, in_flight: 0, unbroken: 0, on_progress }
    }

    /// The device tensors are put on.
    pub fn device(&self) -> &'a Device {
        self.device
    }

    /// A weight matrix in the chosen precision; dims behind the first are flattened.
    ///
    /// # Errors
    /// Whatever reading the tensor can cause.
    pub async fn weight(&mut self, name: &str) -> Result<Weight> {
        if let Source::Random(random) = &self.source {
            return Ok(random.weight(name, self.precision, self.device));
        }
        let [rows, columns] = self.matrix_dims(name);
        self.checkpoint().fetch(name).await?;
        let weight = match self.precision.layout(columns) {
            Some(layout) => {
                let words = self.checkpoint().read_packed(name, layout)?;
                self.upload_packed(words, layout, rows)
            }
            None => {
                let values = self.checkpoint().read_f32(name)?;
                self.upload_f32(values, [rows, columns])
            }
        };
        self.advance(name).await?;
        Ok(weight)
    }

    /// The matrices `{name}.weight`, all with rows of one length, each by itself; on a GPU also as one, of which they are
    /// parts, so that one kernel can read them all, if it can bind so much. It takes no memory beside theirs.
    ///
    /// # Errors
    /// Whatever reading the tensors can cause.
    pub async fn joined<const N: usize>(&mut self, names: [String; N]) -> Result<([Linear; N], Option<Weight>)> {
        let mut linears = Vec::with_capacity(N);
        if is_cpu(self.device) || self.joined_bytes(&names) > max_binding_bytes(self.device) {
            for name in &names {
                linears.push(self.linear(name).await?);
            }
            return Ok((linears.try_into().expect("one for each name"), None));
        }
        let names = names.map(|name| format!("{name}.weight"));
        let (whole, rows) = match &self.source {
            Source::Random(random) => {
                let parts = names.each_ref().map(|name| random.weight(name, self.precision, self.device));
                (Weight::cat(&parts.each_ref()), parts.map(|part| part.dims()[0]))
            }
            Source::Checkpoint(_) => self.read_joined(&names).await?,
        };
        let mut start = 0;
        for rows in rows {
            linears.push(Linear { weight: whole.rows(start, rows), bias: None });
            start += rows;
        }
        Ok((linears.try_into().expect("one for each name"), Some(whole)))
    }

    /// Bytes of these matrices together, as they will lie on the device.
    fn joined_bytes(&self, names: &[String]) -> u64 {
        let bytes = |name: &String| {
            let [rows, columns] = self.dims_of(&format!("{name}.weight"));
            self.precision.bytes(rows, columns)
        };
        names.iter().map(bytes).sum()
    }

    /// Matrices one below the other, and how many rows each has.
    async fn read_joined<const N: usize>(&mut self, names: &[String; N]) -> Result<(Weight, [usize; N])> {
        let dims = names.each_ref().map(|name| self.matrix_dims(name));
        let (rows, [_, columns]) = (dims.iter().map(|dims| dims[0]).sum(), dims[0]);
        let layout = self.precision.layout(columns);
        let (mut words, mut values) = (Vec::new(), Vec::new());
        for name in names {
            self.checkpoint().fetch(name).await?;
            match layout {
                Some(layout) => words.append(&mut self.checkpoint().read_packed(name, layout)?),
                None => values.append(&mut self.checkpoint().read_f32(name)?),
            }
            self.advance(name).await?;
        }
        let whole = match layout {
            Some(layout) => self.upload_packed(words, layout, rows),
            None => self.upload_f32(values, [rows, columns]),
        };
        Ok((whole, dims.map(|dims| dims[0])))
    }

    /// A matrix in f32 whatever the precision.
    ///
    /// # Errors
    /// Whatever reading the tensor can cause.
    pub async fn full_precision(&mut self, name: &str) -> Result<Tensor<2>> {
        if let Source::Random(random) = &self.source {
            return Ok(random.full_precision(name, self.device));
        }
        let dims = self.matrix_dims(name);
        self.checkpoint().fetch(name).await?;
        let values = TensorData::new(self.checkpoint().read_f32(name)?, dims);
        let tensor = self.upload(values, |data, device| Tensor::from_data(data, (device, DType::F32)));
        self.advance(name).await?;
        Ok(tensor)
    }

    /// A vector in f32.
    ///
    /// # Errors
    /// Whatever reading the tensor can cause.
    pub async fn vector(&mut self, name: &str) -> Result<Tensor<1>> {
        if let Source::Random(random) = &self.source {
            return Ok(random.vector(name, self.device));
        }
        self.checkpoint().fetch(name).await?;
        let values = self.checkpoint().read_f32(name)?;
        let dims = [values.len()];
        let values = TensorData::new(values, dims);
        let tensor = self.upload(values, |data, device| Tensor::from_data(data, (device, DType::F32)));
        self.advance(name).await?;
        Ok(tensor)
    }

    /// `{name}.weight` alone.
    ///
    /// # Errors
    /// Whatever reading the tensors can cause.
    pub async fn linear(&mut self, name: &str) -> Result<Linear> {
        Ok(Linear { weight: self.weight(&format!("{name}.weight")).await?, bias: None })
    }

    /// `{name}.weight` and `{name}.bias`.
    ///
    /// # Errors
    /// Whatever reading the tensors can cause.
    pub async fn linear_bias(&mut self, name: &str) -> Result<Linear> {
        let weight = self.weight(&format!("{name}.weight")).await?;
        Ok(Linear { weight, bias: Some(self.vector(&format!("{name}.bias")).await?) })
    }

    /// `{name}.weight` and `{name}.bias` in f32 whatever the precision.
    ///
    /// # Errors
    /// Whatever reading the tensors can cause.
    pub async fn linear_bias_f32(&mut self, name: &str) -> Result<Linear> {
        let weight = Weight::F32(self.full_precision(&format!("{name}.weight")).await?);
        Ok(Linear { weight, bias: Some(self.vector(&format!("{name}.bias")).await?) })
    }

    /// `{name}.weight`.
    ///
    /// # Errors
    /// Whatever reading the tensors can cause.
    pub async fn rms_norm(&mut self, name: &str, eps: f32) -> Result<RmsNorm> {
        Ok(RmsNorm { weight: self.vector(&format!("{name}.weight")).await?, eps })
    }

    /// `{name}.weight` and `{name}.bias`.
    ///
    /// # Errors
    /// Whatever reading the tensors can cause.
    pub async fn layer_norm(&mut self, name: &str, eps: f32) -> Result<LayerNorm> {
        let weight = self.vector(&format!("{name}.weight")).await?;
        Ok(LayerNorm { weight, bias: self.vector(&format!("{name}.bias")).await?, eps })
    }

    fn checkpoint(&self) -> &'a Checkpoint {
        match self.source {
            Source::Checkpoint(checkpoint) => checkpoint,
            Source::Random(_) => unreachable!("random weights are not read"),
        }
    }

    fn dims_of(&self, name: &str) -> [usize; 2] {
        match &self.source {
            Source::Checkpoint(_) => self.matrix_dims(name),
            Source::Random(random) => random.dims(name),
        }
    }

    fn matrix_dims(&self, name: &str) -> [usize; 2] {
        let shape = &self.checkpoint().get(name).expect("the checkpoint was checked against the config").shape;
        [shape[0], shape[1..].iter().product()]
    }

    fn upload_packed(&self, words: Vec<u32>, layout: PackedLayout, rows: usize) -> Weight {
        let words = TensorData::new(words, [rows, layout.row_words()]);
        let words = self.upload(words, |data, device| Tensor::from_data(data, (device, DType::U32)));
        Weight::Packed(PackedWeight { words, layout })
    }

    fn upload_f32(&self, values: Vec<f32>, dims: [usize; 2]) -> Weight {
        let values = TensorData::new(values, dims);
        Weight::F32(self.upload(values, |data, device| Tensor::from_data(data, (device, DType::F32))))
    }

    /// Weights stay for good, so each gets an allocation of its own size instead of a slice of a growing pool.
    fn upload<T: Send + 'static>(&self, data: TensorData, make: fn(TensorData, &Device) -> T) -> T {
        let device = self.device;
        device.memory_persistent_allocations(data, |data| make(data, device))
    }

    async fn advance(&mut self, name: &str) -> Result<()> {
        let bytes = self.checkpoint().get(name).map_or(0, |info| info.bytes);
        self.progress.done_bytes += bytes;
        self.in_flight += bytes;
        if self.in_flight >= MAX_IN_FLIGHT {
            self.in_flight = 0;
            settle(self.device)?;
        }
        (self.on_progress)(self.progress);
        self.unbroken += bytes;
        if self.unbroken >= MAX_UNBROKEN {
            self.unbroken = 0;
            breathe().await;
        }
        Ok(())
    }
}

/// Waits until the copies so far have arrived: the driver keeps a staging copy of each until then.
#[cfg(not(target_arch = "wasm32"))]
fn settle(device: &Device) -> Result<()> {
    device
        .sync()
        .map_err(|e| crate::error::Error::Device(format!("the device failed while weights were uploaded: {e:?}")))
}

/// A page cannot wait; the browser frees its copies as they arrive.
#[cfg(target_arch = "wasm32")]
fn settle(_: &Device) -> Result<()> {
    Ok(())
}
