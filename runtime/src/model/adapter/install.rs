//! Puts an adapter's tensors on a model, from a file or freshly drawn.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::check::lora_name;
use super::config::{AdapterConfig, MoleConfig, Target};
use crate::error::Result;
use crate::model::parameters::ParameterVisitor;
use crate::model::{Llava, layer_name};
use crate::nn::{ExpertLora, Lora, MoleExperts};

/// Gives the values of the tensor of this name and shape.
type Source<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a;

/// Puts a fresh adapter on the model: A by Kaiming's uniform (a = sqrt 5), B zero, routers as a linear layer begins, so
/// that the model answers as before. The same seed gives the same adapter.
pub fn init_adapter(config: &AdapterConfig, model: &mut Llava, seed: u64) {
    let d_model = model.config.text.hidden_size;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |name: &str, shape: &[usize]| {
        let count = shape.iter().product();
        if name.contains("lora_B") {
            return Ok(vec![0.0; count]);
        }
        // Kaiming's bound with a = sqrt 5 is 1 / sqrt(inputs), and so is that of a linear layer's bias.
        let inputs = shape.get(1).copied().unwrap_or(d_model);
        let bound = 1.0 / (inputs as f32).sqrt();
        Ok((0..count).map(|_| rng.random_range(-bound..bound)).collect())
    };
    install(config, model, &mut draw).expect("drawing cannot fail");
}

/// Puts the tensors of `source` on the model, in the place of any adapter before.
pub(super) fn install(config: &AdapterConfig, model: &mut Llava, source: &mut Source<'_>) -> Result<()> {
    let device = model.device().clone();
    for layer in &mut model.text.layers {
        layer.projections().into_iter().for_each(|(_, projection)| projection.lora = None);
        *layer.experts() = None;
    }
    for (index, layer) in model.text.layers.iter_mut().enumerate() {
        let mut shapes = Vec::with_capacity(Target::ALL.len());
        for (target, (_, projection)) in Target::ALL.into_iter().zip(layer.projections()) {
            let [out_features, in_features] = projection.base.weight.dims();
            shapes.push([out_features, in_features]);
            if !config.lora.targets.contains(&target) {
                continue;
            }
            let mut half = |half: &str, shape: [usize; 2]| -> Result<Tensor<2>> {
                Ok(tensor(source(&lora_name(index, target, half), &shape)?, shape, &device))
            };
            projection.lora = Some(Lora {
                lora_a: half("A", [config.lora.rank, in_features])?,
                lora_b: half("B", [out_features, config.lora.rank])?,
                scale: (config.lora.alpha / config.lora.rank as f64) as f32,
                dropout: config.lora.dropout as f32,
            });
        }
        if let Some(mole) = &config.mole {
            let [.., gate, up, down] = shapes.as_slice() else { unreachable!("a layer has seven projections") };
            let name = format!("{}.mlp", layer_name(index));
            *layer.experts() = Some(experts(mole, &name, [*gate, *up, *down], source, &device)?);
        }
    }
    Ok(())
}

fn experts(
    mole: &MoleConfig,
    name: &str,
    [gate, up, down]: [[usize; 2]; 3],
    source: &mut Source<'_>,
    device: &Device,
) -> Result<MoleExperts> {
    let [_, d_model] = gate;
    let router_weight =
        tensor(source(&format!("{name}.router.weight"), &[mole.experts, d_model])?, [mole.experts, d_model], device);
    let router_bias = tensor(source(&format!("{name}.router.bias"), &[mole.experts])?, [mole.experts], device);
    let mut pair = |part: &str, [out_features, in_features]: [usize; 2]| -> Result<ExpertLora> {
        let (mut all_a, mut all_b) = (Vec::new(), Vec::new());
        for expert in 0..mole.experts {
            let name = format!("{name}.moe_{part}.{expert}");
            all_a.extend(source(&format!("{name}.lora_A"), &[mole.rank, in_features])?);
            all_b.extend(source(&format!("{name}.lora_B"), &[out_features, mole.rank])?);
        }
        Ok(ExpertLora {
            lora_a: tensor(all_a, [mole.experts, mole.rank, in_features], device),
            lora_b: tensor(all_b, [mole.experts, out_features, mole.rank], device),
        })
    };
    Ok(MoleExperts {
        gate: pair("gate", gate)?,
        up: pair("up", up)?,
        down: pair("down", down)?,
        router_weight,
        router_bias,
        gating: mole.gating,
        scale: (mole.alpha / mole.rank as f64) as f32,
        dropout: mole.dropout as f32,
    })
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Replaces the projector's weights.
pub(super) fn install_projector(model: &mut Llava, read: &mut dyn FnMut(&str) -> Result<Vec<f32>>) -> Result<()> {
    struct Replace<'a> {
        read: &'a mut dyn FnMut(&str) -> Result<Vec<f32>>,
        result: Result<()>,
    }
    impl ParameterVisitor for Replace<'_> {
        fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
            match (self.read)(name) {
                Ok(values) => *parameter = tensor(values, parameter.dims(), &parameter.device()),
                Err(error) => self.result = Err(error),
            }
        }
    }
    let mut replace = Replace { read, result: Ok(()) };
    model.projector.visit(&mut replace);
    replace.result
}
