//! The arguments of every command.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use mole_runtime::bench::{Phase, Shape};
use mole_runtime::device::DeviceChoice;
use mole_runtime::eval::Metric;
use mole_runtime::image::AspectRatio;
use mole_runtime::model::Precision;
use mole_runtime::ops::{Kernels, SampleParams};
use mole_synth::Domain;

/// Talk about pictures with a LLaVA model of your own, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "llava-mole", version, about)]
pub struct Cli {
    /// Without a command: the chat window; without a display, `chat`.
    #[command(subcommand)]
    pub command: Option<Subcommand>,
    #[command(flatten)]
    pub shared: Shared,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Answer one question about pictures
    Ask(AskArgs),
    /// Talk in the terminal
    Chat(ChatArgs),
    /// Write pixels, features and logits of one prompt to a safetensors file
    Dump(DumpArgs),
    /// Show the architecture, tensors, parameters and memory of a checkpoint, and of an adapter to it
    Inspect(InspectArgs),
    /// Finetune: LoRA, a mixture of LoRA experts, the projector, or every weight
    Train(TrainArgs),
    /// Answer the questions of a dataset and score the answers
    Eval(EvalArgs),
    /// Draw pictures of a domain with questions and answers, to train and to test on
    Synth(SynthArgs),
    /// Make the demo model anew, or see whether experts keep domains from fighting
    Experiment(ExperimentArgs),
    /// Write a checkpoint anew with its weights in f16, q8 or q4
    Convert(ConvertArgs),
    /// List the devices and say which one is used
    Devices(DevicesArgs),
    /// Measure pictures, prompts, replies and training on a device, and say how much of the device that is
    #[command(long_about = BENCH)]
    Bench(BenchArgs),
}

/// What `bench --help` says.
const BENCH: &str = "Measure pictures, prompts, replies and training on a device, and say how much of the device that is

First the device's copy bandwidth and its best rate for products are measured; then each phase: its time, the bytes and \
operations that it needs at least, and the share of the ceiling, which is the least time that these could take over the time \
it takes. Times are medians by the device's timestamps, or where it has none by the wall clock around a wait for it. Launches \
are all kernels, burn's too; `a layer` is what one more layer adds; `CPU us` is the host's time to encode one. Memory is what \
the allocator took of the device, on the CPU what the process took.

Training is one step over one sample, LoRA of rank 32 on attention, and on the MLP LoRA (train_lora) or three experts of the \
same rank (train_mole). Weights are random, made on the device, unless --model names a checkpoint.";

/// Flags of every command that runs a model.
#[derive(Debug, Args)]
pub struct Shared {
    /// The checkpoint's folder
    #[arg(long, global = true, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// An adapter's folder: LoRA or experts, as `train` or PEFT wrote it
    #[arg(long, global = true, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// auto, cpu, gpu, or gpu:N as `devices` numbers them
    #[arg(long, global = true, default_value = "auto")]
    pub device: DeviceChoice,
    /// How weights are kept: f32, f16, q8 or q4 [default: as the checkpoint is stored; f32 on the CPU where it fits]
    #[arg(long, global = true)]
    pub weights: Option<Precision>,
    /// fast, or plain: the simplest kernels alone, the same on every GPU
    #[arg(long, global = true, default_value = "fast")]
    pub kernels: Kernels,
    /// The window's language, en or zh [default: as chosen before, or as the system's]
    #[arg(long, global = true, value_name = "LANG")]
    pub lang: Option<llava_mole::language::Language>,
    /// How a picture that is not square is treated [default: as the checkpoint says]
    #[arg(long, global = true)]
    pub image_aspect_ratio: Option<AspectRatioArg>,
}

/// How a picture that is not square is treated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AspectRatioArg {
    /// Pad it to a square with the mean colour, so that nothing is lost
    Pad,
    /// Resize the shorter edge and cut the centre out
    Crop,
}

impl From<AspectRatioArg> for AspectRatio {
    fn from(arg: AspectRatioArg) -> Self {
        match arg {
            AspectRatioArg::Pad => Self::Pad,
            AspectRatioArg::Crop => Self::Crop,
        }
    }
}

/// How tokens are drawn.
#[derive(Debug, Clone, Args)]
pub struct Sampling {
    /// At most this many tokens
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub max_new_tokens: usize,
    /// 0 always takes the likeliest token; larger is more varied
    #[arg(long, default_value_t = 0.0, value_name = "T", value_parser = temperature)]
    pub temperature: f32,
    /// Draw from the k likeliest tokens only; 0 is off
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub top_k: u32,
    /// Draw from the fewest tokens whose probabilities sum to P; 1 is off
    #[arg(long, default_value_t = 1.0, value_name = "P", value_parser = probability)]
    pub top_p: f32,
    /// Makes tokens that occurred less likely; 1 is off
    #[arg(long, default_value_t = 1.0, value_name = "R", value_parser = penalty)]
    pub repetition_penalty: f32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
}

impl Sampling {
    /// As the runtime takes it.
    pub fn params(&self) -> SampleParams {
        SampleParams {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
        }
    }
}

impl Default for Sampling {
    fn default() -> Self {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            sampling: Sampling,
        }
        Only::parse_from(["llava-mole"]).sampling
    }
}

/// Below 0.01 the division by it overflows before the choice is any different from greedy.
fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(0.0) => Ok(0.0),
        _ => within(text, 0.01, 100.0).map_err(|reason| format!("{reason}, nor 0")),
    }
}

fn probability(text: &str) -> Result<f32, String> {
    within(text, 0.0, 1.0)
}

fn penalty(text: &str) -> Result<f32, String> {
    within(text, 0.01, 100.0)
}

fn within(text: &str, least: f32, most: f32) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "is not a number".to_string())?;
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(format!("is not between {least} and {most}")),
    }
}

/// `ask`.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// A picture (PNG, JPEG or WebP); may be repeated
    #[arg(long = "image", value_name = "FILE")]
    pub images: Vec<PathBuf>,
    /// The question; `-` reads it from standard input
    pub prompt: String,
    #[command(flatten)]
    pub sampling: Sampling,
    /// Print one JSON object when done, instead of the words as they come
    #[arg(long)]
    pub json: bool,
    /// Take the prompt as it is: no chat template, one `<image>` a picture
    #[arg(long)]
    pub raw: bool,
    /// Write which expert each token and picture patch went to, layer by layer, as JSON
    #[arg(long, value_name = "FILE")]
    pub routing: Option<PathBuf>,
}

/// `chat`.
#[derive(Debug, Default, Args)]
pub struct ChatArgs {
    /// A picture for the first message; may be repeated
    #[arg(long = "image", value_name = "FILE")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub sampling: Sampling,
}

/// `dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// A picture; may be repeated
    #[arg(long = "image", value_name = "FILE")]
    pub images: Vec<PathBuf>,
    /// The prompt as it is, with one `<image>` a picture
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The checkpoint's folder
    pub path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// The folder to write, for --model of other commands
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
}

/// `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Random weights of this shape: 7b or 13b (LLaVA-1.5), 1b, or demo [default: demo]
    #[arg(long)]
    pub shape: Option<Shape>,
    /// Only the first layers of the language model and of the vision tower [default: all on a GPU and of the demo model, else 2]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Tokens of the prompt, and of a training sample [default: 512]
    #[arg(long, value_name = "N")]
    pub prompt: Option<usize>,
    /// Tokens in the cache before those that are decoded [default: as --prompt]
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// Rounds of each measurement, after a warm-up [default: 7 on a GPU, else 3]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Only these, with commas between: clip, prefill, decode, train_lora, train_mole
    #[arg(long, value_delimiter = ',', value_name = "PHASE")]
    pub only: Vec<Phase>,
    /// Also measure, in turn: burn's own operations, experts against LoRA, plain kernels against fast ones
    #[arg(long)]
    pub compare: bool,
    /// Also list each phase's kernels by their time on the device, one after the other
    #[arg(long)]
    pub kernel_times: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The run's configuration (TOML); relative paths in it are taken from its folder
    pub config: PathBuf,
    /// Go on from the newest checkpoint in the run's folder
    #[arg(long)]
    pub resume: bool,
    /// With --resume: go on although configuration, data or version have changed
    #[arg(long, requires = "resume")]
    pub force: bool,
    /// Leave out up to this many bad samples
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub skip_bad: usize,
}

/// `synth`.
#[derive(Debug, Args)]
pub struct SynthArgs {
    /// general (scenes of shapes), document (charts, tables, forms) or medical (tissue-like fields)
    #[arg(long, value_parser = domain)]
    pub domain: Domain,
    /// How many pictures
    #[arg(long, value_name = "N")]
    pub samples: usize,
    /// Which set: sets of different seeds share no picture
    #[arg(long, value_name = "S")]
    pub seed: u64,
    /// The folder for data.jsonl and images/
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Questions about each picture, as turns of one conversation
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub turns: usize,
    /// Types of question, with commas between [default: all but the long ones]
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only pictures with at most so many objects, entries or nuclei
    #[arg(long, value_name = "N")]
    pub items: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `experiment`.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// Which one
    pub name: ExperimentName,
    /// The folder for everything that is made; what is there already is not made again
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// conflict: pictures a domain to train on
    #[arg(long, default_value_t = 1600, value_name = "N")]
    pub samples: usize,
    /// conflict: questions a domain that each run is asked
    #[arg(long, default_value_t = 300, value_name = "N")]
    pub questions: usize,
    /// conflict: runs of each configuration
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub seeds: u64,
}

/// The experiments there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExperimentName {
    /// The demo model from nothing: data, tokenizer, base, experts, scores
    Demo,
    /// LoRA for each domain, one LoRA for all, experts for all; by rank, number of experts and gating
    Conflict,
}

fn domain(text: &str) -> Result<Domain, String> {
    Domain::ALL
        .into_iter()
        .find(|domain| domain.name() == text)
        .ok_or_else(|| format!("is none of {}", Domain::ALL.map(Domain::name).join(", ")))
}

/// `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Questions with answers, LLaVA JSON or JSONL; may be repeated
    #[arg(long = "data", value_name = "FILE", required = true)]
    pub data: Vec<PathBuf>,
    /// Where the pictures are, once for all or once for each --data [default: beside each file]
    #[arg(long = "images", value_name = "DIR")]
    pub images: Vec<PathBuf>,
    /// vqa, exact, relaxed, anls, closed, open, or auto: closed for yes/no questions, vqa for others
    #[arg(long, default_value = "auto", value_parser = metric)]
    pub metric: MetricArg,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Write one line a question: id, question, answer, prediction, dataset
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// At most this many tokens an answer
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub max_new_tokens: usize,
    /// At most this many questions of each dataset; 0 is all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit: usize,
}

/// Which metric scores an answer.
#[derive(Clone, Copy, Debug)]
pub enum MetricArg {
    /// By the question's answer.
    Auto,
    /// This one for all.
    Fixed(Metric),
}

fn metric(text: &str) -> Result<MetricArg, String> {
    match text {
        "auto" => Ok(MetricArg::Auto),
        _ => text.parse().map(MetricArg::Fixed),
    }
}
