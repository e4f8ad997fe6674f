//! What q8 and q4 cost in exactness, against f16: the demo model with its adapter on questions about pictures it has never
//! seen, and a language model of 300 M parameters drawn at random, on random text.
//!
//! `cargo bench --workspace --profile dev --bench precision`. Perplexity is that of the answers (of every token for the
//! random model, where only its ratio tells something); agreement is the share of these tokens for which the likeliest is
//! the same as in f16. On the CPU, some minutes.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use mole_runtime::data::{DataSource, Dataset, Encoder, Rendering, TokenizedSample};
use mole_runtime::device::{ComputeDevice, read_floats};
use mole_runtime::generate::{Prompt, PromptImage, full_logits};
use mole_runtime::image::{Preprocessor, PreprocessorConfig};
use mole_runtime::model::adapter::Adapter;
use mole_runtime::model::{Llava, LlavaConfig, Precision};
use mole_runtime::text::{ChatTemplate, ImageToken, Tokenizer};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use mole_synth::{Domain, Request};
use serde_json::json;

const PRECISIONS: [Precision; 3] = [Precision::F16, Precision::Q8, Precision::Q4];

/// Pictures of each domain.
const SAMPLES: usize = 100;
/// A set that no training drew: those of the demo are below.
const SEED: u64 = 77_000;

/// Of each token that counts: its negative logarithmic likelihood, and what the model would have said.
#[derive(Default)]
struct Answers {
    losses: Vec<f64>,
    likeliest: Vec<usize>,
}

impl Answers {
    /// Takes in one row of logits.
    fn add(&mut self, logits: &[f32], target: usize) {
        let (best, largest) = logits
            .iter()
            .enumerate()
            .fold((0, f32::MIN), |most, (index, &logit)| if logit > most.1 { (index, logit) } else { most });
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        self.losses.push(sum.ln() - f64::from(logits[target] - largest));
        self.likeliest.push(best);
    }

    fn perplexity(&self) -> f64 {
        (self.losses.iter().sum::<f64>() / self.losses.len() as f64).exp()
    }

    fn agreement(&self, other: &Self) -> f64 {
        let same = self.likeliest.iter().zip(&other.likeliest).filter(|(a, b)| a == b).count();
        same as f64 / self.likeliest.len() as f64
    }
}

fn table(what: &str, answers: &[Answers]) {
    println!("{what}, {} tokens", answers[0].losses.len());
    println!("  weights  perplexity  of f16's  same token as f16");
    for (precision, of) in PRECISIONS.iter().zip(answers) {
        let (perplexity, base) = (of.perplexity(), answers[0].perplexity());
        let agreement = 100.0 * of.agreement(&answers[0]);
        println!("  {precision:<7}  {perplexity:10.4}  {:8.4}  {agreement:16.2}%", perplexity / base);
    }
}

struct Demo {
    folder: PathBuf,
    encoder: Encoder,
    preprocessor: Preprocessor,
}

impl Demo {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo");
        let read = |name: &str| std::fs::read(folder.join("model").join(name)).unwrap();
        let tokenizer_config: serde_json::Value = serde_json::from_slice(&read("tokenizer_config.json")).unwrap();
        let tokenizer = Tokenizer::from_json(&read("tokenizer.json"), Some(&tokenizer_config)).unwrap();
        let config = Self::config(&folder);
        let encoder = Encoder {
            rendering: Rendering::Conversation,
            template: ChatTemplate::vicuna_v1(tokenizer.eos_token().unwrap()),
            tokenizer,
            image_token: ImageToken(config.image_token_id),
            patches_per_image: config.image_seq_len(),
            max_length: config.text.max_position_embeddings,
        };
        let pictures =
            PreprocessorConfig::from_json(&read("preprocessor_config.json"), "preprocessor_config.json").unwrap();
        Self { folder, encoder, preprocessor: pictures.init(None) }
    }

    fn config(folder: &Path) -> LlavaConfig {
        LlavaConfig::read(&ModelFiles::open(folder.join("model")).unwrap()).unwrap().0
    }

    fn load(&self, precision: Precision) -> Llava {
        let files = ModelFiles::open(self.folder.join("model")).unwrap();
        let checkpoint = Checkpoint::open(&files, None).unwrap();
        let (config, device) = (Self::config(&self.folder), ComputeDevice::cpu().burn);
        let mut model = pollster::block_on(Llava::load(config, &checkpoint, precision, &device, &mut |_| {})).unwrap();
        let adapter = Adapter::files(&self.folder.join("adapter")).unwrap();
        Adapter::open(&adapter, &model.config).unwrap().attach(&mut model).unwrap();
        model
    }

    fn answer(&self, model: &Llava, data: &Dataset, sample: &TokenizedSample, answers: &mut Answers) {
        let pictures = data.pixels(sample, &self.preprocessor).unwrap();
        let images = pictures.into_iter().enumerate().map(|(key, pixels)| {
            let dims = [1, 3, pixels.height, pixels.width];
            let pixels = Tensor::<4>::from_data(TensorData::new(pixels.data, dims), model.device());
            PromptImage { key: key as u64, features: model.encode_images(pixels).squeeze_dim(0) }
        });
        let prompt = Prompt { ids: sample.ids.clone(), images: images.collect() };
        let logits = pollster::block_on(full_logits(model, &prompt)).unwrap();
        let vocab = model.config.text.vocab_size;
        let mut row = 0;
        for (&id, &supervised) in sample.ids.iter().zip(&sample.supervised) {
            if supervised {
                answers.add(&logits[(row - 1) * vocab..row * vocab], id as usize);
            }
            row += if id == self.encoder.image_token.0 { self.encoder.patches_per_image } else { 1 };
        }
    }
}

fn demo() {
    let demo = Demo::open();
    let folder = tempfile::tempdir().unwrap();
    for domain in Domain::ALL {
        let out = folder.path().join(domain.name());
        let request =
            Request { domain, samples: SAMPLES, seed: SEED, turns: 3, question_types: Vec::new(), most_items: None };
        mole_synth::write(&request, &out, &mut |_| {}).unwrap();
        let source = DataSource { name: domain.name().into(), path: out.join("data.jsonl"), images: None, weight: 1.0 };
        let data = Dataset::open(DataSource { images: Some(out.join("images")), ..source }).unwrap();
        let samples: Vec<_> =
            (0..data.len()).map(|index| demo.encoder.encode(&data.sample(index).unwrap()).unwrap()).collect();
        let answers = PRECISIONS.map(|precision| {
            let (model, mut answers) = (demo.load(precision), Answers::default());
            samples.iter().for_each(|sample| demo.answer(&model, &data, sample, &mut answers));
            answers
        });
        table(&format!("demo, {}", domain.name()), &answers);
    }
}

/// 24 layers, 1024 wide: 0.3 billion parameters.
fn random() {
    const TOKENS: usize = 256;
    let config = json!({ "model_type": "llava", "image_token_index": 1, "vision_feature_layer": -1,
        "text_config": { "model_type": "llama", "hidden_size": 1024, "intermediate_size": 2752, "num_hidden_layers": 24,
            "num_attention_heads": 16, "vocab_size": 2048, "max_position_embeddings": TOKENS },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 32,
            "image_size": 28, "patch_size": 14, "num_attention_heads": 2, "num_hidden_layers": 1 } });
    let config = LlavaConfig::from_json(&config, None, None).unwrap();
    let weights = ("model.safetensors".to_string(), config.random_weights(3).into());
    let checkpoint = Checkpoint::open(&ModelFiles::from_memory("random", [weights].into()), None).unwrap();
    let (device, vocab) = (ComputeDevice::cpu().burn, config.text.vocab_size);
    let ids: Vec<i64> = (0..TOKENS).map(|t| (t * 7919 % (vocab - 5) + 5) as i64).collect();
    let answers = PRECISIONS.map(|precision| {
        let config = config.clone();
        let model = pollster::block_on(Llava::load(config, &checkpoint, precision, &device, &mut |_| {})).unwrap();
        let mut cache = model.kv_cache(TOKENS);
        let hidden = model.text.forward(model.embed_text(&ids).unwrap(), &mut cache, &model.position(0), None);
        let logits = pollster::block_on(read_floats(model.text.logits(hidden))).unwrap();
        let mut answers = Answers::default();
        ids.windows(2).zip(logits.chunks_exact(vocab)).for_each(|(pair, row)| answers.add(row, pair[1] as usize));
        answers
    });
    table(&format!("random, {:.2} billion parameters", config.parameters() as f64 / 1e9), &answers);
}

fn main() {
    demo();
    random();
}
