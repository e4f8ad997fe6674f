//! What experts cost: a training step and a decode step with plain LoRA against a mixture of K LoRA experts of the same
//! rank, at D 1024, FFN 2752, 512 tokens.
//!
//! `cargo bench --workspace --bench experts` times each case with divan; behind it stand ratios from rounds in which the
//! cases take turns, so that a machine that grows slower meanwhile does not favour one. `MOLE_BENCH_DEVICE=cpu|gpu` picks
//! one device, `MOLE_BENCH_ROUNDS` the number of rounds (7); `-- --ratios` leaves divan's part out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use divan::Bencher;
use mole_runtime::data::TokenizedSample;
use mole_runtime::device::{ComputeDevice, DeviceChoice, read_floats};
use mole_runtime::model::adapter::{AdapterConfig, LoraConfig, MoleConfig, Target, init_adapter};
use mole_runtime::model::{Llava, LlavaConfig, Precision};
use mole_runtime::nn::{Gating, KvCache};
use mole_runtime::text::ImageToken;
use mole_runtime::train::{Learner, LoadedSample, Rates, TrainConfig};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_tests::numbers;
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::json;

const TOKENS: usize = 512;
const SUPERVISED: usize = 64;
const VOCAB: usize = 512;
const RANK: usize = 32;
const ALPHA: f64 = 64.0;

/// Plain LoRA on the MLP, or so many experts.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Lora,
    Experts(usize),
}

const CASES: [Case; 5] = [Case::Lora, Case::Experts(2), Case::Experts(3), Case::Experts(8), Case::Experts(16)];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lora => f.write_str("LoRA"),
            Self::Experts(experts) => write!(f, "K = {experts}"),
        }
    }
}

/// A LLaVA with one layer of the bench's shape and next to nothing around it.
fn base(device: &Device) -> Llava {
    let config = json!({
        "model_type": "llava", "image_token_index": VOCAB - 1, "vision_feature_layer": -1,
        "text_config": { "model_type": "llama", "hidden_size": 1024, "intermediate_size": 2752, "num_hidden_layers": 1,
            "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": VOCAB, "max_position_embeddings": 1024 },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 32, "image_size": 28,
            "patch_size": 14, "num_attention_heads": 2, "num_hidden_layers": 1 },
    });
    let llava = LlavaConfig::from_json(&config, None, None).unwrap();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = llava
        .expected_tensors()
        .into_iter()
        .enumerate()
        .map(|(seed, (name, shape))| {
            let width = (*shape.last().unwrap() as f32).sqrt();
            let values = numbers(shape.iter().product(), seed as u64);
            (name, shape, values.into_iter().flat_map(|value| (value / width).to_le_bytes()).collect())
        })
        .collect();
    let views =
        tensors.iter().map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    let file = ("model.safetensors".to_string(), Cow::Owned(serialize(views, None).unwrap()));
    let files = ModelFiles::from_memory("bench", BTreeMap::from([file]));
    let checkpoint = Checkpoint::open(&files, None).unwrap();
    pollster::block_on(Llava::load(llava, &checkpoint, Precision::F32, device, &mut |_| {})).unwrap()
}

/// LoRA on attention in every case; on the MLP LoRA or experts.
fn learner(case: Case, device: &Device) -> Learner {
    let mut targets = BTreeSet::from([Target::QProj, Target::KProj, Target::VProj, Target::OProj]);
    let mole = match case {
        Case::Lora => {
            targets.extend([Target::GateProj, Target::UpProj, Target::DownProj]);
            None
        }
        Case::Experts(experts) => {
            Some(MoleConfig { experts, rank: RANK, alpha: ALPHA, dropout: 0.0, gating: Gating::Hard })
        }
    };
    let lora = LoraConfig { rank: RANK, alpha: ALPHA, dropout: 0.0, targets };
    let adapter = AdapterConfig { base_model: String::new(), lora, mole };
    let mut model = base(device);
    init_adapter(&adapter, &mut model, 7);
    let experts = match case {
        Case::Lora => String::new(),
        Case::Experts(experts) => format!("[mole]\nexperts = {experts}\nrank = {RANK}\nalpha = {ALPHA}\n"),
    };
    let config = format!(
        "model = \"m\"\noutput = \"o\"\n[lora]\nrank = {RANK}\nalpha = {ALPHA}\n{experts}\
         [[data]]\nname = \"d\"\npath = \"d\"\n[train]\nsteps = 1\nlr = 1e-4\n"
    );
    Learner::new(model, &TrainConfig::parse(&config, "bench").unwrap())
}

fn sample() -> LoadedSample {
    let ids = (0..TOKENS).map(|t| (t * 37 % (VOCAB - 1)) as i64).collect();
    let supervised = (0..TOKENS).map(|t| t >= TOKENS - SUPERVISED).collect();
    let tokens = TokenizedSample { ids, supervised, images: Vec::new(), image_token: ImageToken(VOCAB as i64 - 1) };
    LoadedSample { dataset: 0, tokens, pixels: Vec::new(), patches_per_image: 4 }
}

/// A step whose every number has arrived.
fn train_step(learner: &mut Learner, sample: &LoadedSample) {
    let rates = Rates { lr: 1e-4, projector_lr: 1e-4, vision_lr: 1e-4 };
    let go = &mut || ControlFlow::Continue(());
    let report = pollster::block_on(learner.step(std::slice::from_ref(sample), 0, rates, go)).unwrap().unwrap();
    assert!(report.applied);
    learner.model.device().sync().unwrap();
}

/// One token behind a cache that holds the sample.
fn decode_step(model: &Llava, cache: &mut KvCache) {
    let x = model.embed_text(&[3]).unwrap();
    let hidden = model.text.forward(x, cache, &model.position(TOKENS), None);
    let logits: Tensor<3> = model.text.logits(hidden);
    assert!(pollster::block_on(read_floats(logits)).unwrap().iter().all(|logit| logit.is_finite()));
}

fn filled_cache(model: &Llava) -> KvCache {
    let mut cache = model.kv_cache(TOKENS + 1);
    let x = model.embed_text(&sample().tokens.ids).unwrap();
    let hidden = model.text.forward(x, &mut cache, &model.position(0), None);
    pollster::block_on(read_floats(hidden.narrow(1, 0, 1))).unwrap();
    cache
}

/// The devices to measure, opened once.
fn devices() -> &'static [(String, Device)] {
    static DEVICES: OnceLock<Vec<(String, Device)>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let asked = std::env::var("MOLE_BENCH_DEVICE").unwrap_or_default();
        let mut devices = Vec::new();
        for (name, choice) in [("cpu", DeviceChoice::Cpu), ("gpu", DeviceChoice::Gpu)] {
            if !asked.is_empty() && asked != name {
                continue;
            }
            match pollster::block_on(ComputeDevice::open(choice)) {
                Ok(device) => devices.push((format!("{name}: {}", device.report.name), device.burn)),
                Err(error) => eprintln!("SKIPPED {name}: {error}"),
            }
        }
        devices
    })
}

/// Every case on every device, for divan.
fn everywhere() -> Vec<String> {
    devices().iter().flat_map(|(name, _)| CASES.iter().map(move |case| format!("{case} on {name}"))).collect()
}

fn find(label: &str) -> (Case, &'static Device) {
    let (name, device) = devices().iter().find(|(name, _)| label.ends_with(name.as_str())).expect("one of ours");
    let case = CASES.into_iter().find(|case| label == format!("{case} on {name}")).expect("one of ours");
    (case, device)
}

#[divan::bench(args = everywhere(), sample_count = 5, sample_size = 1)]
fn training_step(bencher: Bencher, label: &str) {
    let (case, device) = find(label);
    let (mut learner, sample) = (learner(case, device), sample());
    train_step(&mut learner, &sample);
    bencher.bench_local(|| train_step(&mut learner, &sample));
}

#[divan::bench(args = everywhere(), sample_count = 20, sample_size = 1)]
fn decode(bencher: Bencher, label: &str) {
    let (case, device) = find(label);
    let model = learner(case, device).model;
    let mut cache = filled_cache(&model);
    decode_step(&model, &mut cache);
    bencher.bench_local(|| decode_step(&model, &mut cache));
}

/// Medians of rounds in which the cases take turns, relative to the first.
fn ratios(what: &str, device: &str, rounds: usize, works: &mut [Box<dyn FnMut() + '_>]) {
    let mut seconds = vec![Vec::with_capacity(rounds); works.len()];
    // The first round compiles and warms up.
    for round in 0..=rounds {
        for (work, seconds) in works.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            work();
            if round > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    let medians: Vec<f64> = seconds
        .into_iter()
        .map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        })
        .collect();
    println!("{what} on {device}, {rounds} rounds");
    for (case, median) in CASES.iter().zip(&medians) {
        println!("  {case:<7} {:9.2} ms  {:.3} of LoRA", 1e3 * median, median / medians[0]);
    }
    println!("  K = 16 against K = 2: {:.3}", medians[4] / medians[1]);
}

fn main() {
    let asked = |flag: &str| std::env::args().any(|arg| arg == flag);
    if !asked("--ratios") {
        divan::main();
    }
    // `cargo bench` says --bench. Without it every case ran once, to see that it works.
    if !asked("--bench") && !asked("--ratios") {
        return;
    }
    let rounds = std::env::var("MOLE_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    for (name, device) in devices() {
        let sample = sample();
        let mut learners: Vec<Learner> = CASES.iter().map(|&case| learner(case, device)).collect();
        let mut works: Vec<Box<dyn FnMut() + '_>> = learners
            .iter_mut()
            .map(|learner| Box::new(|| train_step(learner, &sample)) as Box<dyn FnMut() + '_>)
            .collect();
        ratios("training step", name, rounds, &mut works);
        drop(works);
        let mut caches: Vec<KvCache> = learners.iter().map(|learner| filled_cache(&learner.model)).collect();
        let mut works: Vec<Box<dyn FnMut() + '_>> = learners
            .iter()
            .zip(&mut caches)
            .map(|(learner, cache)| Box::new(|| decode_step(&learner.model, cache)) as Box<dyn FnMut() + '_>)
            .collect();
        ratios("decode step", name, 5 * rounds, &mut works);
    }
}
