//! `devices`: what there is to run on, and which of it is used.

use std::io::Write;
use std::process::ExitCode;

use mole_runtime::device::{AdapterReport, ComputeDevice, DeviceChoice, adapters, pick};
use mole_runtime::model::gigabytes;
use serde_json::json;

use super::args::{DevicesArgs, Shared};

/// Lists and explains.
pub fn run(shared: &Shared, args: &DevicesArgs) -> anyhow::Result<ExitCode> {
    let gpus = pollster::block_on(adapters());
    let cpu = ComputeDevice::cpu().report;
    let (used, reason) = used(shared.device, &gpus)?;
    let names = gpus.iter().enumerate().map(|(index, gpu)| (format!("gpu:{index}"), gpu));
    let rows: Vec<(String, &AdapterReport)> = names.chain([("cpu".to_string(), &cpu)]).collect();

    let mut out = std::io::stdout().lock();
    if args.json {
        let devices: Vec<_> = rows
            .iter()
            .map(|(id, report)| {
                let mut value = json!(report);
                value["id"] = json!(id);
                value["used"] = json!(*id == used);
                value
            })
            .collect();
        writeln!(out, "{}", json!({ "devices": devices, "used": used, "reason": reason }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (id, report) in &rows {
        let mark = if *id == used { "*" } else { " " };
        let memory =
            report.memory_bytes.map_or("memory unknown".to_string(), |bytes| format!("{} memory", gigabytes(bytes)));
        writeln!(out, "{mark} {id:<6} {} [{}, {memory}]", report.name, describe(report))?;
    }
    writeln!(out, "* {used}: {reason}")?;
    Ok(ExitCode::SUCCESS)
}

fn describe(report: &AdapterReport) -> String {
    let kind = format!("{:?}", report.kind).to_lowercase();
    let mut parts = vec![kind, report.backend.clone()];
    if !report.driver.is_empty() {
        parts.push(report.driver.clone());
    }
    if report.shader_f16 {
        parts.push("f16".to_string());
    }
    if report.subgroups {
        parts.push("subgroups".to_string());
    }
    for size in &report.cooperative_f16 {
        parts.push(format!("f16 matrices {size}x{size}"));
    }
    parts.dedup();
    parts.join(", ")
}

/// The id of the device that would be opened, and why.
fn used(choice: DeviceChoice, gpus: &[AdapterReport]) -> anyhow::Result<(String, String)> {
    let picked = pick(choice, gpus)?;
    let reason = match (choice, gpus) {
        (DeviceChoice::Cpu | DeviceChoice::GpuIndex(_), _) => format!("--device {choice} asks for it"),
        (DeviceChoice::Auto, []) => "no GPU with a Vulkan, Metal or DX12 driver was found".to_string(),
        (DeviceChoice::Auto, [best, ..]) if picked.is_none() => {
            format!("{} computes on this CPU too, but slower; --device gpu takes it all the same", best.name)
        }
        (_, [_]) => "the only GPU found".to_string(),
        _ => "the best GPU found: discrete before integrated before virtual before software".to_string(),
    };
    Ok((picked.map_or("cpu".to_string(), |index| format!("gpu:{index}")), reason))
}
