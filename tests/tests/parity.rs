//! The model against transformers: features, logits and greedy tokens of every fixture, on the CPU and the GPU.
//!
//! `fixtures/make.py` made the checkpoints and dumped what transformers computes in f32. Bounds are of the largest error
//! over the largest magnitude. In f32 the two differ by 2e-6, the rounding of sums; 2e-5 leaves a digit for other CPUs,
//! 2e-4 two for GPUs (whose `exp` differs), and a wrong epsilon or a tanh GELU is still outside. f16 weights get 2e-2:
//! they round to 11 bits.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use mole_runtime::device::ComputeDevice;
use mole_runtime::generate::{GenerateParams, Prompt, PromptImage, Session, StopReason, full_logits, generate};
use mole_runtime::model::{Llava, LlavaConfig, Precision};
use mole_runtime::ops::SampleParams;
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_tests::{fixtures, gpu, max_norm, values};
use safetensors::{Dtype, SafeTensors};

/// Every folder of the fixtures that holds a checkpoint.
fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .expect("the fixtures are committed")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected.safetensors").exists())
        .collect();
    cases.sort();
    assert!(cases.len() >= 8, "{cases:?}");
    cases
}

/// What transformers computed.
struct Expected {
    input_ids: Vec<i64>,
    pixel_values: (Vec<f32>, Vec<usize>),
    image_features: Vec<f32>,
    logits: Vec<f32>,
    greedy_ids: Vec<u32>,
}

impl Expected {
    fn read(case: &std::path::Path) -> Self {
        let bytes = std::fs::read(case.join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| {
            let tensor = file.tensor(name).unwrap();
            assert_eq!(tensor.dtype(), Dtype::F32);
            let values = tensor.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            (values, tensor.shape().to_vec())
        };
        let ints = |name: &str| -> Vec<i64> {
            let tensor = file.tensor(name).unwrap();
            assert_eq!(tensor.dtype(), Dtype::I64);
            tensor.data().chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
        };
        Self {
            input_ids: ints("input_ids"),
            pixel_values: floats("pixel_values"),
            image_features: floats("image_features").0,
            logits: floats("logits").0,
            greedy_ids: ints("greedy_ids").into_iter().map(|id| id as u32).collect(),
        }
    }
}

fn load(case: &std::path::Path, precision: Precision, device: &Device) -> Llava {
    let files = ModelFiles::open(case.join("model")).unwrap();
    let (config, tower) = LlavaConfig::read(&files).unwrap();
    let checkpoint = Checkpoint::open(&files, tower.as_ref()).unwrap();
    pollster::block_on(Llava::load(config, &checkpoint, precision, device, &mut |_| {})).unwrap()
}

/// The prompt of a fixture, pictures encoded, and the features as computed here.
fn prompt(model: &Llava, expected: &Expected) -> (Prompt, Vec<f32>) {
    let (pixels, shape) = &expected.pixel_values;
    let mut images = Vec::new();
    let mut features = Vec::new();
    for (number, picture) in pixels.chunks(shape[1..].iter().product()).enumerate() {
        let dims = [1, shape[1], shape[2], shape[3]];
        let picture = Tensor::from_data(TensorData::new(picture.to_vec(), dims), model.device());
        let encoded = model.encode_images(picture).squeeze_dim::<2>(0);
        features.extend(values(encoded.clone()));
        images.push(PromptImage { key: number as u64, features: encoded });
    }
    (Prompt { ids: expected.input_ids.clone(), images }, features)
}

fn greedy(model: &Llava, prompt: &Prompt, lookahead: usize) -> Vec<u32> {
    let params = GenerateParams {
        max_new_tokens: 48,
        sample: SampleParams::default(),
        seed: 0,
        eos_token_ids: Vec::new(),
        lookahead,
    };
    let go_on = |_| ControlFlow::Continue(());
    let reply = pollster::block_on(generate(model, &mut Session::new(), prompt, &params, go_on)).unwrap();
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    reply.token_ids
}

/// Features and logits of every case on one device, each within `bound`; returns the largest errors by case.
fn parity(device: &Device, precision: Precision, bound: f32, lookahead: Option<usize>) {
    let mut report = BTreeMap::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expected = Expected::read(&case);
        let model = load(&case, precision, device);
        let (prompt, features) = prompt(&model, &expected);
        let features = match features.is_empty() {
            true => 0.0,
            false => max_norm(&features, &expected.image_features),
        };
        let logits = max_norm(&pollster::block_on(full_logits(&model, &prompt)).unwrap(), &expected.logits);
        report.insert(name.clone(), (features, logits));
        if let Some(lookahead) = lookahead {
            assert_eq!(greedy(&model, &prompt, lookahead), expected.greedy_ids, "{name}: greedy tokens");
        }
    }
    eprintln!("{precision} on {device:?}: relative error of features, logits: {report:#?}");
    for (name, (features, logits)) in report {
        assert!(
            features <= bound && logits <= bound,
            "{name}: features {features:e}, logits {logits:e}, bound {bound:e}"
        );
    }
}

#[test]
fn f32_on_the_cpu() {
    parity(&ComputeDevice::cpu().burn, Precision::F32, 2e-5, Some(0));
}

#[test]
fn f16_on_the_cpu() {
    parity(&ComputeDevice::cpu().burn, Precision::F16, 2e-2, None);
}

#[test]
fn f32_on_the_gpu() {
    if let Some(gpu) = gpu() {
        parity(&gpu, Precision::F32, 2e-4, Some(1));
    }
}

#[test]
fn f16_on_the_gpu() {
    if let Some(gpu) = gpu() {
        parity(&gpu, Precision::F16, 2e-2, None);
    }
}

#[test]
fn eos_ends_a_reply_and_leaves_a_cache_that_can_be_built_on() {
    let case = fixtures().join("mha");
    let expected = Expected::read(&case);
    let model = load(&case, Precision::F32, &ComputeDevice::cpu().burn);
    let (prompt, _) = prompt(&model, &expected);
    let eos = expected.greedy_ids[12];
    let length = expected.greedy_ids.iter().position(|&id| id == eos).unwrap();
    // Steps that ran ahead of the end have written to the cache; the next prompt must not see them.
    for lookahead in [0, 1, 3] {
        let run = |session: &mut Session, prompt: &Prompt, eos_token_ids: Vec<u32>| {
            let sample = SampleParams::default();
            let params = GenerateParams { max_new_tokens: 20, sample, seed: 0, eos_token_ids, lookahead };
            pollster::block_on(generate(&model, session, prompt, &params, |_| ControlFlow::Continue(()))).unwrap()
        };
        let mut session = Session::new();
        let reply = run(&mut session, &prompt, vec![eos]);
        assert_eq!(reply.stop_reason, StopReason::Eos);
        assert_eq!(reply.token_ids, expected.greedy_ids[..length], "lookahead {lookahead}");

        let mut next = prompt.clone();
        next.ids.extend(reply.token_ids.iter().map(|&id| i64::from(id)));
        next.ids.extend([280, 281, 282]);
        let (built_on, fresh) = (run(&mut session, &next, Vec::new()), run(&mut Session::new(), &next, Vec::new()));
        assert_eq!(built_on.token_ids, fresh.token_ids, "lookahead {lookahead}");
    }
}
