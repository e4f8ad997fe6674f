//! The fused decode against the model operation by operation: tokens, routing, and all that stands in the cache.
//!
//! Both sum in f32, in another order: 2e-5 of the largest magnitude for three layers, over tokens that are fed back.

use std::collections::BTreeSet;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use mole_runtime::model::adapter::{AdapterConfig, LoraConfig, MoleConfig, Target, init_adapter};
use mole_runtime::model::{Llava, LlavaConfig, ParameterVisitor, Parameters, Precision};
use mole_runtime::nn::{Gating, KvCache, Routing};
use mole_runtime::ops::{DecodeWorker, Decoder, SampleParams, SampleState, sample};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_tests::{gpu, int_values, max_norm, numbers, values};
use serde_json::json;

const BOUND: f32 = 2e-5;

/// A language model, drawn at random.
struct Shape {
    d_model: usize,
    ffn: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
    context: usize,
    tied: bool,
}

const WIDE: Shape =
    Shape { d_model: 64, ffn: 96, heads: 4, kv_heads: 2, head_dim: 16, vocab: 131, context: 2048, tied: false };
/// Rows that q8 and q4 have no form for, a head that is no power of two, one split.
const ODD: Shape =
    Shape { d_model: 40, ffn: 56, heads: 4, kv_heads: 4, head_dim: 12, vocab: 70, context: 200, tied: true };
/// Rows that f16 has no form for either, here.
const FOURS: Shape =
    Shape { d_model: 36, ffn: 52, heads: 3, kv_heads: 3, head_dim: 12, vocab: 70, context: 200, tied: true };
/// More columns than a workgroup's threads take at once.
const DEEP: Shape =
    Shape { d_model: 544, ffn: 1088, heads: 2, kv_heads: 1, head_dim: 256, vocab: 66, context: 1100, tied: false };

fn load(shape: &Shape, precision: Precision, device: &Device) -> Llava {
    let config = json!({
        "model_type": "llava", "image_token_index": shape.vocab - 1, "vision_feature_layer": -1,
        "tie_word_embeddings": shape.tied,
        "text_config": { "model_type": "llama", "hidden_size": shape.d_model, "intermediate_size": shape.ffn,
            "num_hidden_layers": 3, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_dim, "vocab_size": shape.vocab, "max_position_embeddings": shape.context,
            "tie_word_embeddings": shape.tied },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 32,
            "image_size": 28, "patch_size": 14, "num_attention_heads": 2, "num_hidden_layers": 1 },
    });
    let config = LlavaConfig::from_json(&config, None, None).unwrap();
    let weights = ("model.safetensors".to_string(), config.random_weights(3).into());
    let checkpoint = Checkpoint::open(&ModelFiles::from_memory("random", [weights].into()), None).unwrap();
    pollster::block_on(Llava::load(config, &checkpoint, precision, device, &mut |_| {})).unwrap()
}

/// Gives every adapter parameter values that matter: B begins as zeros.
struct Scramble(u64);

impl ParameterVisitor for Scramble {
    fn visit<const D: usize>(&mut self, _: &str, parameter: &mut Tensor<D>) {
        self.0 += 1;
        let dims = parameter.dims();
        let width = (*dims.last().unwrap() as f32).sqrt();
        let values = numbers(dims.iter().product(), self.0).into_iter().map(|value| value / width).collect();
        *parameter = Tensor::from_data(TensorData::new::<f32, _>(values, dims), (&parameter.device(), DType::F32));
    }
}

fn adapt(model: &mut Llava, targets: &[Target], rank: usize, mole: Option<(usize, Gating)>) {
    let lora =
        LoraConfig { rank, alpha: 1.5 * rank as f64, dropout: 0.0, targets: BTreeSet::from_iter(targets.to_vec()) };
    let mole = mole.map(|(experts, gating)| MoleConfig { experts, rank, alpha: rank as f64, dropout: 0.0, gating });
    init_adapter(&AdapterConfig { base_model: String::new(), lora, mole }, model, 5);
    model.text.visit(Parameters::Adapters, &mut Scramble(100));
}

const ATTENTION: [Target; 4] = [Target::QProj, Target::KProj, Target::VProj, Target::OProj];
const MLP: [Target; 3] = [Target::GateProj, Target::UpProj, Target::DownProj];

/// Everything a run leaves behind.
struct Outcome {
    tokens: Vec<i32>,
    /// Each step's, `[layers, experts]` and `[layers]`.
    routing: Vec<(Vec<f32>, Vec<i32>)>,
    /// Keys and values of each layer.
    cache: Vec<[Vec<f32>; 2]>,
}

/// A cache with a prompt, and the first token behind it.
fn begin(model: &Llava, prompt: usize, params: SampleParams) -> (KvCache, Tensor<1, Int>, SampleState) {
    let text = &model.config.text;
    let mut cache = model.kv_cache(text.max_position_embeddings);
    let ids: Vec<i64> = (0..prompt).map(|t| (t * 37 % (text.vocab_size - 1)) as i64).collect();
    let hidden = model.text.forward(model.embed_text(&ids).unwrap(), &mut cache, &model.position(0), None);
    let state = SampleState::new(text.vocab_size, &ids, 9, model.device());
    let logits = model.text.logits(hidden.narrow(1, prompt - 1, 1)).flatten(0, 2);
    let (token, state) = sample(logits, state, params);
    (cache, token, state)
}

fn end(model: &Llava, cache: &mut KvCache, filled: usize) -> Vec<[Vec<f32>; 2]> {
    (0..model.text.layers.len())
        .map(|layer| cache.layer(layer).tensors().map(|tensor| values(tensor.narrow(1, 0, filled))))
        .collect()
}

fn fused(worker: DecodeWorker, model: &Llava, prompt: usize, steps: usize, params: SampleParams) -> Outcome {
    let (mut cache, token, state) = begin(model, prompt, params);
    let stack = model.text.decode_stack(&mut cache).expect("a shape of the fused decode");
    let mut decoder = Decoder::by(worker, &stack, prompt, state, params).expect("a GPU");
    let (mut tokens, mut routing) = (int_values(token.clone()), Vec::new());
    for step in 0..steps {
        let decoded = match step {
            0 => pollster::block_on(decoder.first(&token).unwrap()),
            _ => pollster::block_on(decoder.step().unwrap()),
        };
        let decoded = decoded.unwrap();
        tokens.push(decoded.token);
        routing.extend(decoded.routing);
    }
    assert!(decoder.is_captured(), "steps are replayed");
    drop((decoder, stack));
    let cache = end(model, &mut cache, prompt + steps);
    Outcome { tokens, routing, cache }
}

fn plain(model: &Llava, prompt: usize, steps: usize, params: SampleParams) -> Outcome {
    let (mut cache, mut token, mut state) = begin(model, prompt, params);
    let (mut tokens, mut routing) = (int_values(token.clone()), Vec::new());
    for step in 0..steps {
        let mut went: Vec<Routing> = Vec::new();
        let position = model.position(prompt + step);
        let hidden = model.text.forward(model.text.embed(token), &mut cache, &position, Some(&mut went));
        (token, state) = sample(model.text.logits(hidden).flatten(0, 2), state, params);
        tokens.extend(int_values(token.clone()));
        if !went.is_empty() {
            let probs = went.iter().flat_map(|routing| values(routing.probs.clone())).collect();
            routing.push((probs, went.into_iter().flat_map(|routing| int_values(routing.index)).collect()));
        }
    }
    let cache = end(model, &mut cache, prompt + steps);
    Outcome { tokens, routing, cache }
}

fn compare(what: &str, model: &Llava, prompt: usize, steps: usize, params: SampleParams) {
    let expected = plain(model, prompt, steps, params);
    for worker in [DecodeWorker::Workgroup, DecodeWorker::Thread] {
        same(&format!("{what}, by {worker:?}"), &fused(worker, model, prompt, steps, params), &expected);
    }
}

fn same(what: &str, actual: &Outcome, expected: &Outcome) {
    assert_eq!(actual.tokens, expected.tokens, "{what}");
    assert!(actual.tokens.windows(2).any(|pair| pair[0] != pair[1]), "{what}: a reply of one token tells little");
    assert_eq!(actual.routing.len(), expected.routing.len(), "{what}");
    for ((probs, index), (expected_probs, expected_index)) in actual.routing.iter().zip(&expected.routing) {
        assert_eq!(index, expected_index, "{what}");
        assert!(max_norm(probs, expected_probs) <= BOUND, "{what}");
    }
    for (layer, (actual, expected)) in actual.cache.iter().zip(&expected.cache).enumerate() {
        for (part, (actual, expected)) in actual.iter().zip(expected).enumerate() {
            let error = max_norm(actual, expected);
            assert!(error <= BOUND, "{what}: layer {layer}, {} differ by {error:e}", ["keys", "values"][part]);
        }
    }
}

/// These small random models say one thing over and over: a draw makes them wander.
const DRAWN: SampleParams = SampleParams { temperature: 3.0, top_k: 60, top_p: 0.99, repetition_penalty: 1.1 };
const GREEDY: SampleParams = SampleParams { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.3 };

#[test]
fn every_precision_without_adapters() {
    let Some(device) = gpu() else { return };
    for precision in Precision::ALL {
        for (name, shape, prompt) in [("wide", &WIDE, 70), ("odd", &ODD, 7), ("deep", &DEEP, 1)] {
            compare(&format!("{name} in {precision}"), &load(shape, precision, &device), prompt, 6, DRAWN);
        }
    }
    compare("in fours", &load(&FOURS, Precision::F32, &device), 7, 6, DRAWN);
    let model = load(&FOURS, Precision::F16, &device);
    let stack = model.text.decode_stack(&mut model.kv_cache(64)).unwrap();
    assert!(!stack.fits(), "f16 is read in eights");
}

#[test]
fn adapters_of_every_kind() {
    let Some(device) = gpu() else { return };
    let all: Vec<Target> = ATTENTION.into_iter().chain(MLP).collect();
    type Case<'a> = (&'a str, &'a [Target], usize, Option<(usize, Gating)>);
    let cases: [Case<'_>; 6] = [
        ("LoRA on queries and values", &[Target::QProj, Target::VProj], 3, None),
        ("LoRA on all", &all, 8, None),
        ("LoRA on down alone", &[Target::DownProj], 1, None),
        ("three experts, hard", &ATTENTION, 8, Some((3, Gating::Hard))),
        ("seventeen experts, gated", &[Target::KProj], 5, Some((17, Gating::Gated))),
        ("one expert", &[], 2, Some((1, Gating::Hard))),
    ];
    for (name, targets, rank, mole) in cases {
        for (shape, prompt) in [(&WIDE, 30), (&ODD, 5)] {
            let mut model = load(shape, Precision::F32, &device);
            adapt(&mut model, targets, rank, mole);
            compare(&format!("{name}, d_model {}", shape.d_model), &model, prompt, 6, DRAWN);
        }
    }
}

#[test]
fn experts_on_packed_weights_over_many_splits() {
    let Some(device) = gpu() else { return };
    let mut model = load(&WIDE, Precision::Q4, &device);
    adapt(&mut model, &ATTENTION, 8, Some((3, Gating::Gated)));
    for prompt in [250, 600] {
        compare(&format!("behind {prompt} tokens"), &model, prompt, 8, GREEDY);
        compare(&format!("drawn behind {prompt} tokens"), &model, prompt, 8, DRAWN);
    }
}

#[test]
fn a_step_beyond_the_context_writes_nothing() {
    let Some(device) = gpu() else { return };
    let model = load(&ODD, Precision::F32, &device);
    let (mut cache, token, state) = begin(&model, ODD.context, GREEDY);
    let before = end(&model, &mut cache, ODD.context);
    let stack = model.text.decode_stack(&mut cache).unwrap();
    let mut decoder = Decoder::new(&stack, ODD.context, state, GREEDY).unwrap();
    pollster::block_on(decoder.first(&token).unwrap()).unwrap();
    pollster::block_on(decoder.step().unwrap()).unwrap();
    drop((decoder, stack));
    assert_eq!(before, end(&model, &mut cache, ODD.context));
}

#[test]
fn the_cpu_joins_no_weights_for_a_decoder_it_has_not() {
    let model = load(&ODD, Precision::F32, &Device::flex());
    assert!(model.text.decode_stack(&mut model.kv_cache(64)).is_none());
}

#[test]
fn every_token_to_all_experts_is_the_plain_paths() {
    let Some(device) = gpu() else { return };
    let mut model = load(&ODD, Precision::F32, &device);
    adapt(&mut model, &[], 2, Some((3, Gating::Dense)));
    assert!(model.text.decode_stack(&mut model.kv_cache(64)).is_none());
}
