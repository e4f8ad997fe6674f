//! Training against the committed PyTorch reference (`fixtures/maker/mole.py`, written from the paper's equations): the
//! gradients of the first step, and every step's losses and the final weights of a run.
//!
//! The reference itself differs between f32 and f64 by at most 1.6e-6 in a loss, 1.1e-5 in a norm and 4.6e-6 in a final
//! weight (the `rounding` of each case).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use mole_runtime::data::TokenizedSample;
use mole_runtime::device::ComputeDevice;
use mole_runtime::image::PixelValues;
use mole_runtime::model::adapter::{Adapter, init_adapter};
use mole_runtime::model::{Llava, LlavaConfig, ParameterVisitor, Precision};
use mole_runtime::ops::with_composed_gradients;
use mole_runtime::text::ImageToken;
use mole_runtime::train::{GradientStore, Learner, LoadedSample, Rates, TrainConfig};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_tests::{fixtures, gpu, max_norm, values};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};
use serde_json::Value;

const RUNS: [&str; 7] =
    ["lora", "hard_layer", "hard_pooled", "gated_layer", "gated_pooled", "dense_layer", "dense_pooled"];

type Floats = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// How far a device may be from the reference.
#[derive(Clone, Copy)]
struct Bounds {
    loss: f64,
    /// Of a tensor's largest gradient.
    gradient: f32,
    /// Of a tensor's largest weight.
    weight: f32,
}

const CPU: Bounds = Bounds { loss: 1e-5, gradient: 2e-5, weight: 1e-4 };
const GPU: Bounds = Bounds { loss: 1e-4, gradient: 1e-4, weight: 1e-3 };

fn floats(file: &str, part: &str) -> Floats {
    let bytes = fs::read(fixtures().join("training").join(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let of_part = tensors.iter().filter_map(|(name, view)| Some((name.strip_prefix(part)?.to_string(), view)));
    of_part
        .map(|(name, view)| {
            let data = view.data().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
            (name, (view.shape().to_vec(), data))
        })
        .collect()
}

fn json(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixtures().join("training").join(file)).unwrap()).unwrap()
}

/// A run's configuration, in the words of a configuration file.
fn config(run: &Value) -> TrainConfig {
    let mut file = run["config"].clone();
    file["model"] = "model".into();
    file["output"] = "output".into();
    file["data"] = serde_json::json!([{ "name": "all", "path": "all.jsonl" }]);
    serde_json::from_value(file).unwrap()
}

/// The base with the run's initial adapter on it.
fn model(name: &str, run: &Value, device: &Device) -> Llava {
    let files = ModelFiles::open(fixtures().join("two_images").join("model")).unwrap();
    let (llava, tower) = LlavaConfig::read(&files).unwrap();
    let checkpoint = Checkpoint::open(&files, tower.as_ref()).unwrap();
    let mut model = pollster::block_on(Llava::load(llava, &checkpoint, Precision::F32, device, &mut |_| {})).unwrap();
    if run["config"]["stage"] == "finetune" {
        let tensors = floats(&format!("{name}.safetensors"), "initial.");
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, (shape, data))| (name, shape, data.iter().flat_map(|value| value.to_le_bytes()).collect()))
            .collect();
        let views = bytes.iter().map(|(name, shape, data)| {
            (format!("base_model.model.{name}"), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
        });
        let files = BTreeMap::from([
            ("adapter_model.safetensors".to_string(), Cow::Owned(serialize(views, None).unwrap())),
            ("adapter_config.json".to_string(), Cow::Owned(config(run).adapter().to_json().to_string().into_bytes())),
        ]);
        let files = ModelFiles::from_memory("initial", files);
        Adapter::open(&files, &model.config).unwrap().attach(&mut model).unwrap();
    }
    model
}

/// Every step's window.
fn windows() -> Vec<Vec<LoadedSample>> {
    let batches = json("batches.json");
    let bytes = fs::read(fixtures().join("training/batches.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let image_token = batches["image_token_id"].as_i64().unwrap();
    let sample = |index: &Value| {
        let of = |part: &str| tensors.tensor(&format!("{index}.{part}")).unwrap();
        let ints = |part: &str| -> Vec<i64> {
            of(part).data().chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect()
        };
        let pixels = of("pixel_values");
        let (height, width) = (pixels.shape()[2], pixels.shape()[3]);
        let data: Vec<f32> =
            pixels.data().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        let images = data.chunks(3 * height * width);
        LoadedSample {
            dataset: 0,
            tokens: TokenizedSample {
                ids: ints("input_ids"),
                supervised: ints("supervised").into_iter().map(|flag| flag == 1).collect(),
                images: images.clone().map(|_| String::new()).collect(),
                image_token: ImageToken(image_token),
            },
            pixels: images.map(|data| PixelValues { height, width, data: data.to_vec() }).collect(),
            patches_per_image: batches["image_tokens"].as_u64().unwrap() as usize,
        }
    };
    let steps = batches["steps"].as_array().unwrap();
    steps.iter().map(|step| step.as_array().unwrap().iter().map(sample).collect()).collect()
}

/// Parameters and gradients under the names of the fixtures: experts one by one.
fn unstacked(name: &str, shape: &[usize], data: Vec<f32>, into: &mut BTreeMap<String, Vec<f32>>) {
    let name = name.replace("language_model.model.layers", "model.layers");
    match name.rsplit_once(".lora_").filter(|(front, _)| front.contains(".moe_")) {
        Some((front, half)) => {
            let one = shape[1] * shape[2];
            for (expert, data) in data.chunks(one).enumerate() {
                into.insert(format!("{front}.{expert}.lora_{half}"), data.to_vec());
            }
        }
        None => {
            into.insert(name, data);
        }
    }
}

#[derive(Default)]
struct Values(BTreeMap<String, Vec<f32>>);

impl ParameterVisitor for Values {
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
        unstacked(name, &parameter.dims(), values(parameter.clone()), &mut self.0);
    }
}

/// Gradients in the shapes of the parameters they belong to.
struct Gradients<'a>(&'a GradientStore, BTreeMap<String, Vec<f32>>);

impl ParameterVisitor for Gradients<'_> {
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
        if let Some(gradient) = self.0.get(name) {
            unstacked(name, &parameter.dims(), values(gradient.clone()), &mut self.1);
        }
    }
}

/// Compares tensors by name; CLIP's key biases have no gradient but rounding.
fn compare(what: &str, actual: &BTreeMap<String, Vec<f32>>, expected: &Floats, bound: f32) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, (_, data))| (name.replace("language_model.model.layers", "model.layers"), data))
        .filter(|(name, _)| !(name.starts_with("vision_tower") && name.ends_with("k_proj.bias")))
        .filter(|(name, _)| !name.contains("post_layernorm"))
        .collect();
    assert!(!expected.is_empty(), "{what}: nothing to compare with");
    let mut worst = (0.0, String::new());
    for (name, expected) in expected {
        let actual = actual.get(&name).unwrap_or_else(|| panic!("{what}: no {name} among {:?}", actual.keys()));
        let error = max_norm(actual, expected);
        if error > worst.0 {
            worst = (error, name);
        }
    }
    eprintln!("{what}: worst {:e} in {}", worst.0, worst.1);
    assert!(worst.0 <= bound, "{what}: {} is off by {:e} of its largest element", worst.1, worst.0);
}

fn first_gradients(name: &str, device: &Device, bounds: Bounds) {
    let run = json(&format!("{name}.json"));
    let mut learner = Learner::new(model(name, &run, device), &config(&run));
    let go = &mut || ControlFlow::Continue(());
    let (store, _) = pollster::block_on(learner.gradients(&windows()[0], 0, go)).unwrap().unwrap();
    let mut gradients = Gradients(&store, BTreeMap::new());
    learner.visit(&mut gradients);
    let expected = floats(&format!("{name}.safetensors"), "grad.");
    compare(&format!("{name}, gradients"), &gradients.1, &expected, bounds.gradient);
}

fn trajectory(name: &str, device: &Device, bounds: Bounds) {
    let run = json(&format!("{name}.json"));
    let config = config(&run);
    let rates =
        Rates { lr: config.train.lr, projector_lr: config.train.projector_lr.unwrap(), vision_lr: config.train.lr };
    let mut learner = Learner::new(model(name, &run, device), &config);
    for (index, (window, expected)) in windows().iter().zip(run["steps"].as_array().unwrap()).enumerate() {
        let go = &mut || ControlFlow::Continue(());
        let report = pollster::block_on(learner.step(window, index as u64, rates, go)).unwrap().unwrap();
        let pairs = [
            ("loss", report.loss),
            ("lm_loss", report.lm_loss),
            ("balance_loss", report.balance_loss.unwrap_or(0.0)),
            ("grad_norm", report.grad_norm),
        ];
        for (what, actual) in pairs {
            let expected = expected[what].as_f64().unwrap_or(0.0);
            let error = (actual - expected).abs() / expected.abs().max(1e-3);
            // A norm is a sum over every gradient, each with its own rounding.
            let bound = if what == "grad_norm" { 10.0 * bounds.loss } else { bounds.loss };
            assert!(error <= bound, "{name}, step {}: {what} {actual}, expected {expected}", index + 1);
        }
        assert!(report.applied);
        if index == 0 && run["expert_load"].is_array() {
            let expected: Vec<Vec<f32>> = serde_json::from_value(run["expert_load"].clone()).unwrap();
            for (actual, expected) in report.expert_load.iter().flatten().zip(expected.iter().flatten()) {
                assert!(
                    (actual - expected).abs() < 1e-5,
                    "{name}: load {:?}, expected {expected:?}",
                    report.expert_load
                );
            }
            assert_eq!(report.expert_load.len(), expected.len());
        }
    }
    let mut weights = Values::default();
    learner.visit(&mut weights);
    let expected = floats(&format!("{name}.safetensors"), "final.");
    compare(&format!("{name}, final weights"), &weights.0, &expected, bounds.weight);
}

#[test]
fn the_first_steps_gradients_are_the_references() {
    for name in ["lora", "hard_layer", "gated_layer", "dense_layer", "projector", "full"] {
        first_gradients(name, &ComputeDevice::cpu().burn, CPU);
    }
}

#[test]
fn composed_gradients_agree_through_the_whole_model() {
    // Which gradients are taken is a thread's own matter, so the micro-batches must not go to others.
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one_core.install(|| {
        with_composed_gradients(|| {
            for name in ["lora", "hard_layer", "gated_layer", "dense_layer", "full"] {
                first_gradients(name, &ComputeDevice::cpu().burn, CPU);
            }
        });
    });
}

#[test]
fn a_run_goes_the_references_way() {
    for name in RUNS.into_iter().chain(["projector", "full"]) {
        trajectory(name, &ComputeDevice::cpu().burn, CPU);
    }
}

/// The gradients of one window of eight samples, cut into micro-batches of `micro_batch`, and its losses.
fn window_gradients(name: &str, micro_batch: usize, device: &Device) -> (BTreeMap<String, Vec<f32>>, [f64; 3]) {
    gradients_with(name, device, |config| config["train"]["micro_batch"] = micro_batch.into())
}

/// As [`window_gradients`], of a run whose configuration, in the words of its file, was changed.
fn gradients_with(
    name: &str,
    device: &Device,
    change: impl FnOnce(&mut Value),
) -> (BTreeMap<String, Vec<f32>>, [f64; 3]) {
    let mut run = json(&format!("{name}.json"));
    change(&mut run["config"]);
    let config = config(&run);
    let window: Vec<LoadedSample> = windows().into_iter().take(4).flatten().collect();
    let mut learner = Learner::new(model(name, &run, device), &config);
    let go = &mut || ControlFlow::Continue(());
    let (store, _) = pollster::block_on(learner.gradients(&window, 0, go)).unwrap().unwrap();
    let mut gradients = Gradients(&store, BTreeMap::new());
    learner.visit(&mut gradients);
    let rates = Rates { lr: 0.0, projector_lr: 0.0, vision_lr: 0.0 };
    let report = pollster::block_on(learner.step(&window, 0, rates, go)).unwrap().unwrap();
    (gradients.1, [report.loss, report.balance_loss.unwrap_or(0.0), report.grad_norm])
}

/// Gradients are compared, not weights: AdamW's first step has the size of the rate whatever the gradient's, so that where
/// a gradient is little more than rounding, so is the sign of the step.
#[test]
fn accumulation_is_a_large_batch() {
    let devices = [Some(ComputeDevice::cpu().burn), gpu()];
    for device in devices.iter().flatten() {
        for name in ["lora", "hard_layer", "gated_pooled", "full"] {
            let (one_by_one, losses) = window_gradients(name, 1, device);
            for micro_batch in [8, 3] {
                let (together, same_losses) = window_gradients(name, micro_batch, device);
                for (parameter, expected) in &one_by_one {
                    // CLIP's key biases have no gradient at all but rounding.
                    if parameter.starts_with("vision_tower") && parameter.ends_with("k_proj.bias") {
                        continue;
                    }
                    let error = max_norm(&together[parameter], expected);
                    assert!(error <= 1e-5, "{name}, micro-batches of {micro_batch}: {parameter} is off by {error:e}");
                }
                for (a, b) in losses.iter().zip(same_losses) {
                    assert!(
                        (a - b).abs() <= 1e-5 * a,
                        "{name}, micro-batches of {micro_batch}: {losses:?}, {same_losses:?}"
                    );
                }
            }
        }
    }
}

/// However many micro-batches are computed at once: not a bit depends on the machine.
#[test]
fn a_windows_gradient_is_the_same_on_one_core_and_on_three() {
    let on = |cores: usize, name: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build().unwrap();
        pool.install(|| window_gradients(name, 1, &ComputeDevice::cpu().burn))
    };
    for name in ["hard_layer", "full"] {
        let (one, losses) = on(1, name);
        let (three, same_losses) = on(3, name);
        assert_eq!(losses, same_losses, "{name}");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for (parameter, gradient) in &one {
            assert_eq!(bits(gradient), bits(&three[parameter]), "{name}: {parameter}");
        }
        assert_eq!(one.len(), three.len());
    }
}

/// Layers that are kept on their tapes and layers that run again: not a bit differs, dropout and routers included.
#[test]
fn layers_that_are_kept_give_the_gradients_of_those_that_run_again() {
    let device = ComputeDevice::cpu().burn;
    for name in ["lora", "hard_layer", "gated_pooled", "dense_layer", "full", "projector"] {
        let run = |recompute: bool, dropout: f64| {
            gradients_with(name, &device, |config| {
                config["train"]["micro_batch"] = 2.into();
                config["train"]["recompute"] = recompute.into();
                for part in ["lora", "mole"] {
                    if let Some(part) = config.get_mut(part).filter(|part| part.is_object()) {
                        part["dropout"] = dropout.into();
                    }
                }
            })
        };
        let ((again, losses), (kept, same_losses)) = (run(true, 0.1), run(false, 0.1));
        assert_eq!(losses, same_losses, "{name}");
        let adapts = !["full", "projector"].contains(&name);
        assert_eq!(adapts, losses != run(true, 0.0).1, "{name}: dropout drops where there is an adapter");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(again.values().flatten().any(|value| *value != 0.0), "{name}");
        for (parameter, gradient) in &again {
            assert_eq!(bits(gradient), bits(&kept[parameter]), "{name}: {parameter}");
        }
    }
}

/// Each part at its own rate: where that is zero it stays, where it is not it moves.
#[test]
fn vision_tower_and_projector_have_rates_of_their_own() {
    let run = json("full.json");
    let values = |learner: &mut Learner| {
        let mut values = Values(BTreeMap::new());
        learner.visit(&mut values);
        values.0
    };
    for resting in ["vision_tower", "multi_modal_projector", "language_model"] {
        let rate = |part: &str| if part == resting { 0.0 } else { 1e-3 };
        let rates = Rates {
            lr: rate("language_model"),
            projector_lr: rate("multi_modal_projector"),
            vision_lr: rate("vision_tower"),
        };
        let mut learner = Learner::new(model("full", &run, &ComputeDevice::cpu().burn), &config(&run));
        let before = values(&mut learner);
        let go = &mut || ControlFlow::Continue(());
        pollster::block_on(learner.step(&windows()[0], 0, rates, go)).unwrap().unwrap();
        for part in ["vision_tower", "multi_modal_projector", "language_model"] {
            let of = |all: &BTreeMap<String, Vec<f32>>| -> Vec<Vec<f32>> {
                all.iter().filter(|(name, _)| name.starts_with(part)).map(|(_, values)| values.clone()).collect()
            };
            let (before, after) = (of(&before), of(&values(&mut learner)));
            assert!(!before.is_empty() && (before == after) == (part == resting), "{part} while {resting} rests");
        }
    }
}

/// The least mixture there is: one expert, to which every token goes with probability 1.
#[test]
fn one_expert_takes_every_token() {
    let devices = [Some(ComputeDevice::cpu().burn), gpu()];
    for device in devices.iter().flatten() {
        let mut run = json("hard_layer.json");
        run["config"]["mole"]["experts"] = 1.into();
        let config = config(&run);
        run["config"]["stage"] = "none".into();
        let mut model = model("hard_layer", &run, device);
        init_adapter(&config.adapter(), &mut model, 3);
        let mut learner = Learner::new(model, &config);
        let go = &mut || ControlFlow::Continue(());
        let rates = Rates { lr: 1e-3, projector_lr: 1e-3, vision_lr: 1e-3 };
        let report = pollster::block_on(learner.step(&windows()[0], 0, rates, go)).unwrap().unwrap();
        assert!(report.applied && report.expert_load == [[1.0], [1.0]], "{report:?}");
        assert!((report.balance_loss.unwrap() - 1.0).abs() < 1e-6, "{report:?}");
    }
}

#[test]
fn the_gpu_goes_the_references_way() {
    let Some(gpu) = gpu() else { return };
    for name in ["lora", "hard_layer", "gated_layer", "dense_layer", "full"] {
        first_gradients(name, &gpu, GPU);
    }
    for name in RUNS.into_iter().chain(["projector", "full"]) {
        trajectory(name, &gpu, GPU);
    }
}
