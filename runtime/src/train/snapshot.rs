//! Parameters as files: an adapter under PEFT's names, or a whole model under the checkpoint's.

use std::collections::HashMap;

use burn::tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView};

use crate::device::read_floats;
use crate::error::{Error, Result};
use crate::model::ParameterVisitor;
use crate::model::adapter::PREFIX;

/// Tensors on their way to a file: name, shape, values.
#[derive(Default)]
pub(super) struct Snapshot(Vec<(String, Vec<usize>, Tensor<1>)>);

impl ParameterVisitor for Snapshot {
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
        let dims = parameter.dims();
        let flat = parameter.clone().reshape([dims.iter().product::<usize>()]);
        self.0.push((name.to_string(), dims.to_vec(), flat));
    }
}

impl Snapshot {
    /// Adds a flat tensor.
    pub(super) fn add(&mut self, name: String, tensor: Tensor<1>) {
        self.0.push((name, tensor.dims().to_vec(), tensor));
    }

    /// Gives tensors the shapes they have in a file: a convolution is a matrix on the device.
    pub(super) fn reshape(&mut self, shapes: &[(String, Vec<usize>)]) {
        let shapes: HashMap<&str, &Vec<usize>> = shapes.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
        for (name, shape, _) in &mut self.0 {
            if let Some(of_file) = shapes.get(name.as_str()) {
                shape.clone_from(of_file);
            }
        }
    }

    /// The bytes of a safetensors file under these names.
    pub(super) async fn into_safetensors(self) -> Result<Vec<u8>> {
        let mut tensors = Vec::with_capacity(self.0.len());
        for (name, shape, tensor) in self.0 {
            tensors.push((name, shape, read_floats(tensor).await?));
        }
        serialize(&tensors)
    }

    /// The bytes of an adapter's file: PEFT's names, experts one by one.
    pub(super) async fn into_adapter(self) -> Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for (name, shape, tensor) in self.0 {
            let name = format!("{PREFIX}{}", name.replace("language_model.model.layers.", "model.layers."));
            let values = read_floats(tensor).await?;
            match name.rsplit_once(".lora_").filter(|_| shape.len() == 3) {
                Some((front, half)) => {
                    for (expert, values) in values.chunks(shape[1] * shape[2]).enumerate() {
                        let name = format!("{front}.{expert}.lora_{half}");
                        tensors.push((name, shape[1..].to_vec(), values.to_vec()));
                    }
                }
                None => tensors.push((name, shape, values)),
            }
        }
        serialize(&tensors)
    }
}

fn serialize(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Result<Vec<u8>> {
    let failed = |error: safetensors::SafeTensorError| Error::Training(format!("cannot write tensors: {error}"));
    let views = tensors.iter().map(|(name, shape, values)| {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
    });
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
    // transformers and PEFT look for this.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}
