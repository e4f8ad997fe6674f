//! Prompts longer than one piece of the prefill, pictures across its edges, and a cache that has to grow: against one
//! forward pass over everything. A LLaVA-1.5 prompt with one picture is such a prompt.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use mole_runtime::device::ComputeDevice;
use mole_runtime::generate::{GenerateParams, Progress, Prompt, PromptImage, Session, full_logits, generate};
use mole_runtime::model::{Llava, LlavaConfig, PREFILL_CHUNK, Precision};
use mole_runtime::ops::SampleParams;
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_tests::{fixtures, floats, gpu, max_norm, values};

/// The fixture with room for long prompts: rotary positions need no weights.
fn model(device: &Device) -> Llava {
    let files = ModelFiles::open(fixtures().join("gqa").join("model")).unwrap();
    let (mut config, tower) = LlavaConfig::read(&files).unwrap();
    config.text.max_position_embeddings = 4096;
    let checkpoint = Checkpoint::open(&files, tower.as_ref()).unwrap();
    pollster::block_on(Llava::load(config, &checkpoint, Precision::F32, device, &mut |_| {})).unwrap()
}

/// `tokens` text tokens with pictures before the positions `at`, counted in text tokens.
fn prompt(model: &Llava, tokens: usize, at: &[usize]) -> Prompt {
    let (patches, width) = (model.config.image_seq_len(), model.config.text.hidden_size);
    let mut ids = Vec::new();
    for token in 0..tokens {
        if at.contains(&token) {
            ids.push(model.config.image_token_id);
        }
        ids.push((token * 37 % 300 + 5) as i64);
    }
    let features = |number: usize| floats([patches, width], number as u64 + 1, model.device());
    let images = (0..at.len()).map(|number| PromptImage { key: number as u64, features: features(number) }).collect();
    Prompt { ids, images }
}

/// Logits of the last position by one pass over all embeddings.
fn oracle(model: &Llava, prompt: &Prompt) -> Vec<f32> {
    let mut parts: Vec<Tensor<3>> = Vec::new();
    let mut images = prompt.images.iter();
    for id in &prompt.ids {
        parts.push(match *id == model.config.image_token_id {
            true => images.next().unwrap().features.clone().unsqueeze(),
            false => model.embed_text(&[*id]).unwrap(),
        });
    }
    let x = Tensor::cat(parts, 1);
    let [_, length, _] = x.dims();
    let hidden = model.text.forward(x, &mut model.kv_cache(length), &model.position(0), None);
    values(model.text.logits(hidden.narrow(1, length - 1, 1)))
}

fn reply(model: &Llava, session: &mut Session, prompt: &Prompt) -> (Vec<u32>, Vec<usize>) {
    let lookahead = 1;
    let sample = SampleParams::default();
    let params = GenerateParams { max_new_tokens: 8, sample, seed: 0, eos_token_ids: Vec::new(), lookahead };
    let mut pieces = Vec::new();
    let reply = pollster::block_on(generate(model, session, prompt, &params, |progress| {
        if let Progress::Prefilled(tokens) = progress {
            pieces.push(tokens);
        }
        ControlFlow::Continue(())
    }));
    (reply.unwrap().token_ids, pieces)
}

fn check(device: &Device) {
    let model = model(device);
    // 25 patches a picture: one across the first edge, one that begins at the second.
    for (tokens, at) in
        [(PREFILL_CHUNK + 1, vec![]), (900, vec![500]), (2 * PREFILL_CHUNK, vec![PREFILL_CHUNK - 12, 999])]
    {
        let prompt = prompt(&model, tokens, &at);
        let expected = oracle(&model, &prompt);
        let logits = pollster::block_on(full_logits(&model, &prompt)).unwrap();
        let last = &logits[logits.len() - expected.len()..];
        let error = max_norm(last, &expected);
        assert!(error < 2e-5, "{tokens} tokens, pictures at {at:?}: {error:e}");

        let (ids, pieces) = reply(&model, &mut Session::new(), &prompt);
        let best = (0..expected.len()).max_by(|&a, &b| expected[a].total_cmp(&expected[b])).unwrap();
        assert_eq!(ids[0], best as u32, "{tokens} tokens, pictures at {at:?}");
        assert_eq!(pieces[0], PREFILL_CHUNK);

        // A short prompt first: its cache is too small for the long one, and what they share is not all.
        let mut grown = Session::new();
        let short = Prompt { ids: prompt.ids[..40].to_vec(), images: Vec::new() };
        reply(&model, &mut grown, &short);
        assert_eq!(reply(&model, &mut grown, &prompt).0, ids, "after the cache grew");
        // Once more, from the cache; then with another end.
        assert_eq!(reply(&model, &mut grown, &prompt).0, ids, "from the cache");
        let mut other = prompt.clone();
        *other.ids.last_mut().unwrap() = 7;
        assert_eq!(reply(&model, &mut grown, &other).0, reply(&model, &mut Session::new(), &other).0);
    }
}

#[test]
fn long_prompts_on_the_cpu() {
    check(&ComputeDevice::cpu().burn);
}

#[test]
fn long_prompts_on_the_gpu() {
    if let Some(gpu) = gpu() {
        check(&gpu);
    }
}
