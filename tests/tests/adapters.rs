//! Adapters on the model, against PEFT and the training reference: logits, routing, greedy tokens; and that every way
//! through the model (prefill, decode, a cache that is reused) routes tokens alike.
//!
//! Bounds are those of `parity`: of the largest error over the largest magnitude, 2e-5 on the CPU, 2e-4 on a GPU, 2e-2
//! with the base in f16. The reference's two likeliest experts are 0.02 apart or more, so the choice is compared exactly.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use mole_runtime::device::{ComputeDevice, DeviceChoice};
use mole_runtime::engine::{
    Command, Engine, Event, LoadRequest, ModelInfo, ModelSource, Reply, ReplyPrompt, ReplyRequest,
};
use mole_runtime::generate::{
    GenerateParams, Generated, Position, Prompt, PromptImage, RoutingRecord, Session, full_logits,
    full_logits_with_routing, generate, generate_with_routing,
};
use mole_runtime::model::adapter::Adapter;
use mole_runtime::model::{Llava, LlavaConfig, PREFILL_CHUNK, Precision};
use mole_runtime::ops::SampleParams;
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_tests::{fixtures, gpu, max_norm, values};
use safetensors::{Dtype, SafeTensors};

const ADAPTERS: [&str; 3] = ["peft_llava", "peft_llama", "mole"];

fn folder(adapter: &str) -> PathBuf {
    fixtures().join("adapters").join(adapter)
}

/// An adapter on its model, and what the reference computed with it.
struct Case {
    model: Llava,
    expected: Vec<u8>,
}

impl Case {
    fn load(adapter: &str, precision: Precision, device: &Device) -> Self {
        let mut case = Self::base(adapter, precision, device);
        let files = Adapter::files(&folder(adapter)).unwrap();
        Adapter::open(&files, &case.model.config).unwrap().attach(&mut case.model).unwrap();
        case
    }

    /// The model without the adapter.
    fn base(adapter: &str, precision: Precision, device: &Device) -> Self {
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder(adapter).join("case.json")).unwrap()).unwrap();
        let files = ModelFiles::open(fixtures().join(json["model"].as_str().unwrap())).unwrap();
        let (config, tower) = LlavaConfig::read(&files).unwrap();
        let checkpoint = Checkpoint::open(&files, tower.as_ref()).unwrap();
        let model = pollster::block_on(Llava::load(config, &checkpoint, precision, device, &mut |_| {})).unwrap();
        Self { model, expected: std::fs::read(folder(adapter).join("expected.safetensors")).unwrap() }
    }

    fn floats(&self, name: &str) -> (Vec<f32>, Vec<usize>) {
        let file = SafeTensors::deserialize(&self.expected).unwrap();
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F32);
        let values = tensor.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        (values, tensor.shape().to_vec())
    }

    fn ints(&self, name: &str) -> Vec<i64> {
        let file = SafeTensors::deserialize(&self.expected).unwrap();
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::I64);
        tensor.data().chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
    }

    /// The reference's prompt, its pictures encoded here, and their features.
    fn prompt(&self) -> (Prompt, Vec<f32>) {
        let (pixels, shape) = self.floats("pixel_values");
        let (mut images, mut features) = (Vec::new(), Vec::new());
        for (number, picture) in pixels.chunks(shape[1..].iter().product()).enumerate() {
            let dims = [1, shape[1], shape[2], shape[3]];
            let picture = Tensor::from_data(TensorData::new(picture.to_vec(), dims), self.model.device());
            let encoded = self.model.encode_images(picture).squeeze_dim::<2>(0);
            features.extend(values(encoded.clone()));
            images.push(PromptImage { key: number as u64, features: encoded });
        }
        (Prompt { ids: self.ints("input_ids"), images }, features)
    }

    fn routed(&self, prompt: &Prompt) -> (Vec<f32>, Option<RoutingRecord>) {
        pollster::block_on(full_logits_with_routing(&self.model, prompt)).unwrap()
    }

    fn answer(&self, session: &mut Session, prompt: &Prompt, lookahead: usize) -> Vec<u32> {
        let go_on = |_| ControlFlow::Continue(());
        pollster::block_on(generate(&self.model, session, prompt, &greedy(lookahead), go_on)).unwrap().token_ids
    }

    fn answer_routed(&self, session: &mut Session, prompt: &Prompt, lookahead: usize) -> Generated {
        let go_on = |_| ControlFlow::Continue(());
        pollster::block_on(generate_with_routing(&self.model, session, prompt, &greedy(lookahead), go_on)).unwrap()
    }
}

fn greedy(lookahead: usize) -> GenerateParams {
    let sample = SampleParams::default();
    GenerateParams { max_new_tokens: 24, sample, seed: 0, eos_token_ids: Vec::new(), lookahead }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| match (a - b).abs() {
        difference if difference.is_nan() => f32::INFINITY,
        difference => difference.max(most),
    })
}

fn parity(device: &Device, precision: Precision, bound: f32) {
    for adapter in ADAPTERS {
        let case = Case::load(adapter, precision, device);
        let (prompt, features) = case.prompt();
        let expected = case.floats("logits").0;
        let features = max_norm(&features, &case.floats("image_features").0);
        let logits = max_norm(&pollster::block_on(full_logits(&case.model, &prompt)).unwrap(), &expected);
        eprintln!("{adapter}, {precision} on {device:?}: features {features:e}, logits {logits:e}");
        assert!(features <= bound && logits <= bound, "{adapter}: {features:e}, {logits:e}, bound {bound:e}");
    }
}

#[test]
fn f32_on_the_cpu() {
    parity(&ComputeDevice::cpu().burn, Precision::F32, 2e-5);
}

#[test]
fn f16_base_on_the_cpu() {
    parity(&ComputeDevice::cpu().burn, Precision::F16, 2e-2);
}

#[test]
fn f32_on_the_gpu() {
    if let Some(gpu) = gpu() {
        parity(&gpu, Precision::F32, 2e-4);
    }
}

#[test]
fn f16_base_on_the_gpu() {
    if let Some(gpu) = gpu() {
        parity(&gpu, Precision::F16, 2e-2);
    }
}

/// The bounds above would mean nothing if the adapter did not matter.
#[test]
fn without_the_adapter_the_logits_are_others() {
    for adapter in ADAPTERS {
        let case = Case::base(adapter, Precision::F32, &ComputeDevice::cpu().burn);
        let (logits, routing) = case.routed(&case.prompt().0);
        let error = max_norm(&logits, &case.floats("logits").0);
        assert!(error > 5e-2 && routing.is_none(), "{adapter}: {error:e}");
    }
}

fn routing(device: &Device, precision: Precision, bound: f32) {
    let case = Case::load("mole", precision, device);
    let (prompt, _) = case.prompt();
    let record = case.routed(&prompt).1.expect("it has experts");
    let (probs, shape) = case.floats("router_probs");
    assert_eq!(shape, [record.layers, record.tokens, record.experts]);
    let index: Vec<i64> = record.index.iter().map(|&expert| i64::from(expert)).collect();
    assert_eq!(index, case.ints("expert_index"));
    let error = largest_difference(&record.probs, &probs);
    eprintln!("{precision} on {device:?}: router_probs {error:e}");
    assert!(error <= bound, "{error:e}");
}

#[test]
fn routing_on_the_cpu() {
    routing(&ComputeDevice::cpu().burn, Precision::F32, 1e-4);
    routing(&ComputeDevice::cpu().burn, Precision::F16, 1e-2);
}

#[test]
fn routing_on_the_gpu() {
    if let Some(gpu) = gpu() {
        routing(&gpu, Precision::F32, 1e-4);
        routing(&gpu, Precision::F16, 1e-2);
    }
}

#[test]
fn plain_lora_has_no_routing() {
    let case = Case::load("peft_llava", Precision::F32, &ComputeDevice::cpu().burn);
    let (prompt, _) = case.prompt();
    assert!(case.routed(&prompt).1.is_none());
    assert!(case.answer_routed(&mut Session::new(), &prompt, 0).routing.is_none());
}

/// The prompt and the tokens of its reply that went through the model, as one prompt.
fn with_reply(prompt: &Prompt, reply: &[u32]) -> Prompt {
    let mut all = prompt.clone();
    all.ids.extend(reply.iter().map(|&id| i64::from(id)));
    all
}

/// A reply's record, made a token at a time behind a prefill, is that of one pass over the same tokens; and what a cache
/// held before does not matter.
fn decoding(device: &Device, lookahead: usize, bound: f32) -> Vec<u32> {
    let case = Case::load("mole", Precision::F32, device);
    let (prompt, _) = case.prompt();
    let length = prompt.positions(&case.model.config).unwrap().len();

    let mut session = Session::new();
    let plain = case.answer(&mut session, &prompt, lookahead);
    assert_eq!(case.answer(&mut session, &prompt, lookahead), plain, "from the cache");
    for session in [&mut session, &mut Session::new()] {
        let reply = case.answer_routed(session, &prompt, lookahead);
        assert_eq!(reply.token_ids, plain, "recording changes nothing");
        let record = reply.routing.expect("it has experts");
        // The last token is not fed: nothing has to follow it.
        assert_eq!(record.tokens, length + plain.len() - 1);
        let whole = case.routed(&with_reply(&prompt, &plain[..plain.len() - 1])).1.expect("it has experts");
        assert_eq!((record.layers, record.tokens, record.experts), (whole.layers, whole.tokens, whole.experts));
        assert_eq!(record.index, whole.index);
        let error = largest_difference(&record.probs, &whole.probs);
        assert!(error <= bound, "{error:e}");
        // The next question is answered from the cache that the recorded reply left.
        let next = with_reply(&prompt, &[&plain[..], &[280, 281, 282]].concat());
        assert_eq!(
            case.answer(session, &next, lookahead),
            case.answer(&mut Session::new(), &next, lookahead),
            "after a recorded reply"
        );
    }
    plain
}

#[test]
fn decoding_routes_as_prefill_and_the_gpu_answers_as_the_cpu() {
    let on_cpu = decoding(&ComputeDevice::cpu().burn, 0, 1e-5);
    // Steps that run ahead of the reply's end are not in the record.
    assert_eq!(decoding(&ComputeDevice::cpu().burn, 3, 1e-5), on_cpu);
    if let Some(gpu) = gpu() {
        assert_eq!(decoding(&gpu, 1, 1e-4), on_cpu);
    }
}

/// Four tokens or fewer take another kernel than many: the logits of each token fed alone are those of one pass.
fn alone(device: &Device, bound: f32) {
    let case = Case::load("mole", Precision::F32, device);
    let ids: Vec<i64> = (0..24).map(|token| token * 37 % 300 + 5).collect();
    let prompt = Prompt { ids: ids.clone(), images: Vec::new() };
    let (logits, record) = case.routed(&prompt);
    let record = record.expect("it has experts");
    let model = &case.model;
    let mut cache = model.kv_cache(ids.len());
    let (mut one_by_one, mut index) = (Vec::new(), vec![Vec::new(); record.layers]);
    for (position, &id) in ids.iter().enumerate() {
        let mut routing = Vec::new();
        let x = model.embed_text(&[id]).unwrap();
        let hidden = model.text.forward(x, &mut cache, &model.position(position), Some(&mut routing));
        one_by_one.extend(values(model.text.logits(hidden)));
        for (layer, routing) in routing.into_iter().enumerate() {
            index[layer].extend(mole_tests::int_values(routing.index));
        }
    }
    assert_eq!(index.concat(), record.index);
    let error = max_norm(&one_by_one, &logits);
    assert!(error <= bound, "{error:e}");
}

#[test]
fn one_token_at_a_time_is_one_pass_on_the_cpu() {
    alone(&ComputeDevice::cpu().burn, 2e-5);
}

#[test]
fn one_token_at_a_time_is_one_pass_on_the_gpu() {
    if let Some(gpu) = gpu() {
        alone(&gpu, 2e-5);
    }
}

/// A prompt in two pieces is recorded as one.
#[test]
fn pieces_of_a_long_prompt_are_joined() {
    let files = ModelFiles::open(fixtures().join("two_images").join("model")).unwrap();
    let (mut config, tower) = LlavaConfig::read(&files).unwrap();
    config.text.max_position_embeddings = 2048;
    let checkpoint = Checkpoint::open(&files, tower.as_ref()).unwrap();
    let device = ComputeDevice::cpu().burn;
    let mut model = pollster::block_on(Llava::load(config, &checkpoint, Precision::F32, &device, &mut |_| {})).unwrap();
    let adapter = Adapter::open(&Adapter::files(&folder("mole")).unwrap(), &model.config).unwrap();
    adapter.attach(&mut model).unwrap();
    let case = Case { model, expected: Vec::new() };

    let ids: Vec<i64> = (0..PREFILL_CHUNK as i64 + 40).map(|token| token * 37 % 300 + 5).collect();
    let prompt = Prompt { ids: ids.clone(), images: Vec::new() };
    let mut expected = Vec::new();
    let x = case.model.embed_text(&ids).unwrap();
    let mut cache = case.model.kv_cache(ids.len());
    case.model.text.forward(x, &mut cache, &case.model.position(0), Some(&mut expected));
    let expected: Vec<i32> = expected.into_iter().flat_map(|routing| mole_tests::int_values(routing.index)).collect();
    assert_eq!(case.routed(&prompt).1.unwrap().index, expected);
    let reply = case.answer_routed(&mut Session::new(), &prompt, 0).routing.unwrap();
    assert_eq!(reply.tokens, ids.len() + 23);
    for (layer, expected) in expected.chunks(ids.len()).enumerate() {
        assert_eq!(&reply.index[layer * reply.tokens..][..ids.len()], expected);
    }
}

#[test]
fn positions_name_tokens_and_patches_in_order() {
    let case = Case::load("mole", Precision::F32, &ComputeDevice::cpu().burn);
    let (prompt, _) = case.prompt();
    let positions = prompt.positions(&case.model.config).unwrap();
    let patches: Vec<_> = positions
        .iter()
        .filter_map(|position| match position {
            Position::Patch { image, index } => Some((*image, *index)),
            Position::Token(_) => None,
        })
        .collect();
    assert_eq!(patches, (0..2).flat_map(|image| (0..9).map(move |index| (image, index))).collect::<Vec<_>>());
    let tokens = positions.iter().filter(|position| matches!(position, Position::Token(_))).count();
    assert_eq!(tokens, prompt.ids.len() - 2);
}

/// The next event that `take` wants, within a minute.
fn wait<T>(engine: &Engine, take: impl Fn(Event) -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        match engine.events().try_recv() {
            Ok(Event::Failed(error)) => return Err(error.to_string()),
            Ok(event) => {
                if let Some(taken) = take(event) {
                    return Ok(taken);
                }
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("no such event within a minute");
}

fn load(engine: &Engine, adapter: Option<PathBuf>) -> Result<ModelInfo, String> {
    engine.send(Command::Load(LoadRequest {
        model: ModelSource::Folder(fixtures().join("two_images").join("model")),
        adapter: adapter.map(ModelSource::Folder),
        device: DeviceChoice::Cpu,
        precision: None,
        aspect_ratio: None,
    }));
    wait(engine, |event| match event {
        Event::Loaded(info) => Some(*info),
        _ => None,
    })
}

fn ask(engine: &Engine, routing: bool) -> Result<Reply, String> {
    let prompt = ReplyPrompt::Raw("Which is tall?".to_string(), Vec::new());
    let sample = SampleParams::default();
    engine.send(Command::Reply(ReplyRequest { prompt, max_new_tokens: 6, sample, seed: 0, routing }));
    wait(engine, |event| match event {
        Event::Replied(reply) => Some(reply),
        _ => None,
    })
}

#[test]
fn the_engine_puts_an_adapter_on_and_takes_it_off() {
    let engine = Engine::spawn();
    assert!(load(&engine, None).unwrap().adapter.is_none());
    let base = ask(&engine, false).unwrap();
    let refused = ask(&engine, true).unwrap_err();
    assert!(refused.contains("has no experts") && refused.contains("--adapter"), "{refused}");

    let info = load(&engine, Some(folder("mole"))).unwrap();
    let adapter = info.adapter.unwrap();
    assert_eq!((adapter.experts, adapter.name), (3, folder("mole").display().to_string()));
    assert_eq!(info.memory.adapter, 4 * adapter.parameters);
    let adapted = ask(&engine, false).unwrap();
    assert_ne!(adapted.token_ids, base.token_ids);
    assert!(adapted.routing.is_none());
    // The second from a cache that holds all of it.
    for _ in 0..2 {
        let routed = ask(&engine, true).unwrap();
        assert_eq!(routed.token_ids, adapted.token_ids);
        let routing = routed.routing.unwrap();
        assert_eq!(routing.tokens.len(), routed.prompt_tokens + routed.token_ids.len() - 1);
        assert_eq!((routing.experts, routing.layers), (3, vec![0, 1]));
    }

    // An adapter of another base is refused, and the model before it answers on.
    assert!(load(&engine, Some(folder("peft_llama"))).unwrap_err().contains("is on 3 layers, the model has 2"));
    assert_eq!(ask(&engine, false).unwrap().token_ids, adapted.token_ids);
    assert!(load(&engine, None).unwrap().adapter.is_none());
    assert_eq!(ask(&engine, false).unwrap().token_ids, base.token_ids);
}
