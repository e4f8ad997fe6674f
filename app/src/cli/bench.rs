//! `bench`: what the model costs on a device, and how much of the device that is.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use mole_runtime::bench::{
    BenchModel, BenchReport, Clock, Comparisons, KernelTimes, PhaseReport, Settings, Shape, Weights, is_real_gpu, run,
};
use mole_runtime::device::{ComputeDevice, KernelTime};
use mole_runtime::model::{LlavaConfig, Precision, gigabytes};
use mole_runtime::weights::{Checkpoint, ModelFiles};
use serde_json::Value;

use super::UsageError;
use super::args::{BenchArgs, Shared};
use llava_mole::demo;

/// Layers of a large model that are measured where there is no GPU.
const FEW_LAYERS: usize = 2;

/// Measures and prints.
pub fn measure(shared: &Shared, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if shared.model.is_some() && args.shape.is_some() {
        return Err(UsageError("--model and --shape both say what is measured; keep one".to_string()).into());
    }
    if shared.adapter.is_some() {
        return Err(UsageError("bench makes its own adapters; leave --adapter out".to_string()).into());
    }
    let device = pollster::block_on(ComputeDevice::open(shared.device))?;
    let model = model(shared, args, &device)?;
    let mut settings = Settings::usual(device.report.kind);
    settings.prompt = args.prompt.unwrap_or(settings.prompt);
    settings.context = args.context.or(args.prompt).unwrap_or(settings.context);
    settings.rounds = args.rounds.unwrap_or(settings.rounds);
    if !args.only.is_empty() {
        settings.phases.retain(|phase| args.only.contains(phase));
    }
    if args.compare {
        settings.compare = Comparisons::Measured;
    }
    if args.kernel_times {
        settings.kernel_times = KernelTimes::Measured;
    }
    let report = run(&device, &model, &settings, &mut |note| eprintln!("bench: {note}"))?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        false => print(&report, &mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn model(shared: &Shared, args: &BenchArgs, device: &ComputeDevice) -> anyhow::Result<BenchModel> {
    let (name, whole, checkpoint) = match &shared.model {
        Some(folder) => {
            let files = ModelFiles::open(folder)?;
            let (config, tower) = LlavaConfig::read(&files)?;
            let checkpoint = Checkpoint::open(&files, tower.as_ref())?;
            (folder.display().to_string(), config, Some(checkpoint))
        }
        None => {
            let shape = args.shape.unwrap_or(Shape::Demo);
            (shape.name().to_string(), shape.config(&demo_config()?)?, None)
        }
    };
    let all = whole.text.num_hidden_layers.max(whole.num_vision_layers_used());
    let small = args.shape.is_none_or(|shape| shape == Shape::Demo) && shared.model.is_none();
    let layers = match args.layers {
        Some(0) => return Err(UsageError("--layers is 0; 1 or more is accepted".to_string()).into()),
        Some(layers) => layers,
        None if small || is_real_gpu(device.report.kind) => all,
        None => FEW_LAYERS,
    };
    let config = whole.first_layers(layers, layers);
    if layers < all {
        eprintln!(
            "bench: {} of {} layers, and {} of the vision tower's {}{}",
            config.text.num_hidden_layers,
            whole.text.num_hidden_layers,
            config.num_vision_layers_used(),
            whole.num_vision_layers_used(),
            if args.layers.is_none() { ", for want of a GPU; --layers measures more" } else { "" }
        );
    }
    let precision = shared.weights.unwrap_or(if device.is_gpu() { Precision::F16 } else { Precision::F32 });
    let weights = match checkpoint {
        Some(checkpoint) => Weights::Checkpoint(Box::new((checkpoint, whole))),
        None => Weights::Random,
    };
    Ok(BenchModel { name, config, weights, precision })
}

fn demo_config() -> anyhow::Result<Value> {
    let (_, bytes) = demo::SHAPE.iter().find(|(name, _)| *name == "config.json").context("the demo has a config")?;
    Ok(serde_json::from_slice(bytes)?)
}

fn print(report: &BenchReport, out: &mut impl Write) -> std::io::Result<()> {
    let BenchReport { device, model, ceilings, .. } = report;
    writeln!(out, "device    {} ({}, {})", device.name, device.backend, device.driver)?;
    writeln!(
        out,
        "model     {}{}: {} layers, {} of the vision tower, {:.1} M parameters, weights in {}, kernels {}",
        model.name,
        if model.random { ", random weights" } else { "" },
        model.layers,
        model.vision_layers,
        model.parameters as f64 / 1e6,
        model.weights,
        report.kernels
    )?;
    writeln!(
        out,
        "ceilings  copy {:.1} GB/s ({}), products {:.1} GFLOP/s ({}, edge {})",
        ceilings.copy_gb_s, ceilings.copy_by, ceilings.matmul_gflop_s, ceilings.matmul_by, ceilings.matmul_edge
    )?;
    writeln!(
        out,
        "medians of {} rounds; prompt and training sample {} tokens, decoding behind {}",
        report.rounds, report.prompt, report.context
    )?;
    writeln!(
        out,
        "\n{:<11} {:>11} {:>7} {:>11} {:>9} {:>9} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "phase",
        "ms",
        "spread",
        "tokens/s",
        "moved",
        "GFLOP",
        "ceiling",
        "bound",
        "launches",
        "a layer",
        "CPU us",
        "memory"
    )?;
    for phase in &report.results {
        writeln!(
            out,
            "{:<11} {:>11.3} {:>6.1}% {:>11.1} {:>9} {:>9.3} {:>6.1}% {:>7} {:>9} {:>9.1} {:>9.1} {:>9}",
            phase.name.name(),
            1e3 * phase.time.seconds,
            100.0 * phase.time.spread,
            phase.tokens_per_second,
            gigabytes(phase.cost.bytes),
            phase.cost.flops as f64 / 1e9,
            100.0 * phase.share_of_ceiling,
            format!("{:?}", phase.bound).to_lowercase(),
            phase.dispatches,
            phase.dispatches_per_layer,
            phase.cpu_us_per_dispatch,
            gigabytes(phase.peak_memory_bytes)
        )?;
    }
    let by_wall = report.results.iter().any(|phase| phase.time.clock == Clock::Wall);
    let clock = if by_wall { "the wall clock, around a wait for the device" } else { "the device's timestamps" };
    writeln!(out, "times are by {clock}")?;
    for phase in report.results.iter().filter(|phase| !phase.kernel_times.is_empty()) {
        print_kernels(phase, out)?;
    }
    if !report.compare.is_empty() {
        writeln!(out, "\ntimes compared: burn's own operations over ours, or one over the other")?;
    }
    for ratio in &report.compare {
        writeln!(out, "{:<36} {:>8.3} {:>11.3} ms", ratio.name, ratio.ratio, 1e3 * ratio.seconds)?;
    }
    for refusal in &report.refused {
        writeln!(out, "{} is left out: {}", refusal.name.name(), refusal.reason)?;
    }
    Ok(())
}

/// The kernels of a phase, the longest first, down to a hundredth of all.
fn print_kernels(phase: &PhaseReport, out: &mut impl Write) -> std::io::Result<()> {
    let all: f64 = phase.kernel_times.iter().map(|time| time.seconds).sum();
    writeln!(out, "\n{}, kernel by kernel: {:.3} ms", phase.name.name(), 1e3 * all)?;
    writeln!(out, "{:>7} {:>11} {:>9} {:>11}  kernel", "share", "ms", "launches", "workgroups")?;
    let some = phase.kernel_times.iter().take_while(|time| time.seconds >= 0.01 * all);
    for KernelTime { kernel, workgroups, launches, seconds } in some {
        let workgroups = workgroups.map_or(String::new(), |workgroups| workgroups.to_string());
        // A type's path, shortened to its last words.
        let kernel = kernel.split(['<', ' ']).next().unwrap_or_default().rsplit("::").next().unwrap_or_default();
        writeln!(
            out,
            "{:>6.1}% {:>11.3} {launches:>9} {workgroups:>11}  {kernel}",
            100.0 * seconds / all,
            1e3 * seconds
        )?;
    }
    Ok(())
}
