//! The device a model runs on: a GPU through wgpu, or the CPU through burn's Flex.
//!
//! [`ComputeDevice::open`] makes the one `wgpu::Device` that burn and a window use and registers it with burn; its
//! handles are kept in [`GpuHandles`], so that a window can draw with the same device. Native and in a page.

mod adapters;
mod breathe;
mod memory;
mod meter;
#[cfg(target_arch = "wasm32")]
pub mod page;
mod read;
mod traits;

pub use adapters::{AdapterKind, AdapterReport, adapters};
pub use breathe::breathe;
pub use memory::system_memory;
pub(crate) use meter::launching;
pub use meter::{Elapsed, KernelTime, count_dispatches, replayed, time_kernels};
pub use read::{read_floats, read_ints};
pub(crate) use traits::{DeviceTraits, device_traits, max_binding_bytes};

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use burn::tensor::wgpu::WgpuSetup;

use crate::error::{Error, Result};

/// What the user asked for with `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best GPU, or the CPU where there is none. A software GPU is none: it computes on the same CPU, several times
    /// slower.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The best GPU; an error where there is none.
    Gpu,
    /// The GPU with this number in [`adapters`].
    GpuIndex(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            _ => text
                .strip_prefix("gpu:")
                .and_then(|index| index.parse().ok())
                .map(Self::GpuIndex)
                .ok_or_else(|| format!("{text:?} is not auto, cpu, gpu or gpu:N (see `llava-mole devices`)")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu => f.write_str("gpu"),
            Self::GpuIndex(index) => write!(f, "gpu:{index}"),
        }
    }
}

/// Which of `gpus` (best first, as [`adapters`] lists them) is opened; `None` is the CPU.
///
/// # Errors
/// [`Error::Device`] if a GPU was asked for that is not there.
pub fn pick(choice: DeviceChoice, gpus: &[AdapterReport]) -> Result<Option<usize>> {
    let missing = |what: String| {
        let count = gpus.len();
        Error::Device(format!("{what}: {count} GPU(s) found; see `llava-mole devices`, or use --device cpu"))
    };
    match choice {
        DeviceChoice::Cpu => Ok(None),
        DeviceChoice::Auto => Ok(gpus.first().filter(|best| best.kind != AdapterKind::Software).map(|_| 0)),
        DeviceChoice::Gpu if gpus.is_empty() => {
            Err(missing("there is no GPU with a Vulkan, Metal or DX12 driver".to_string()))
        }
        DeviceChoice::Gpu => Ok(Some(0)),
        DeviceChoice::GpuIndex(index) if index < gpus.len() => Ok(Some(index)),
        DeviceChoice::GpuIndex(index) => Err(missing(format!("there is no gpu:{index}"))),
    }
}

/// Whether tensors on `device` are in the CPU's memory.
pub fn is_cpu(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// The wgpu handles behind a GPU device, to share with a window.
pub type GpuHandles = WgpuSetup;

/// An open device.
#[derive(Clone, Debug)]
pub struct ComputeDevice {
    /// What tensors are made on.
    pub burn: Device,
    /// What it is and what it offers.
    pub report: AdapterReport,
    /// The handles, where it is a GPU.
    pub gpu: Option<GpuHandles>,
}

/// What the device that `choice` names is and offers. Opens nothing.
///
/// # Errors
/// As [`ComputeDevice::open`].
pub async fn report(choice: DeviceChoice) -> Result<AdapterReport> {
    if choice == DeviceChoice::Cpu {
        return Ok(AdapterReport::cpu());
    }
    let mut reports = adapters().await;
    Ok(pick(choice, &reports)?.map_or_else(AdapterReport::cpu, |index| reports.swap_remove(index)))
}

impl ComputeDevice {
    /// Opens the device that `choice` names.
    ///
    /// # Errors
    /// [`Error::Device`] if a GPU was asked for and there is none, or the driver refuses.
    pub async fn open(choice: DeviceChoice) -> Result<Self> {
        if choice == DeviceChoice::Cpu {
            return Ok(Self::cpu());
        }
        let found = adapters::enumerate().await;
        let reports: Vec<AdapterReport> = found.iter().map(|(_, report)| report.clone()).collect();
        let Some(index) = pick(choice, &reports)? else { return Ok(Self::cpu()) };
        let (adapter, report) = found.into_iter().nth(index).expect("picked among them");
        Self::open_gpu(adapter, report).await
    }

    /// The CPU.
    pub fn cpu() -> Self {
        Self { burn: Device::flex(), report: AdapterReport::cpu(), gpu: None }
    }

    /// Gives what was freed back to the system, and asks anew how much there is: for a device that gets another model.
    pub fn reclaim(&mut self) {
        self.burn.memory_cleanup();
        if matches!(self.report.kind, AdapterKind::Cpu | AdapterKind::Integrated | AdapterKind::Software) {
            self.report.memory_bytes = system_memory();
        }
    }

    /// Whether tensors live on a GPU (a software one too).
    pub fn is_gpu(&self) -> bool {
        self.gpu.is_some()
    }

    async fn open_gpu(adapter: adapters::Found, report: AdapterReport) -> Result<Self> {
        let refused = |reason: String| {
            Error::Device(format!("{} was refused by its driver: {reason}; try --device cpu", report.name))
        };
        let cooperative = match report.cooperative_f16.is_empty() {
            true => wgpu::Features::empty(),
            false => wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("llava-mole"),
            // All that is stable, for burn's own kernels ask by what the adapter has; of ours only those for matrix units
            // need any of it. Mappable primary buffers slow discrete GPUs down.
            required_features: adapter
                .adapter
                .features()
                .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
                .difference(wgpu::Features::all_experimental_mask())
                .union(cooperative),
            experimental_features: match cooperative.is_empty() {
                true => wgpu::ExperimentalFeatures::disabled(),
                // SAFETY: of the experimental features only cooperative matrices are requested, natively, where the
                // adapter names sizes for them. Kernels use them in workgroups of whole subgroups, in uniform control
                // flow, and load and store them within arrays whose bounds the kernel states.
                false => unsafe { wgpu::ExperimentalFeatures::enabled() },
            },
            // The defaults bind at most 128 MiB.
            required_limits: adapter.adapter.limits(),
            // Tensors come in large pages already; a second pool below would only waste memory.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = adapter.adapter.request_device(&descriptor).await.map_err(|e| refused(e.to_string()))?;
        let backend = adapter.adapter.get_info().backend;
        let setup = WgpuSetup { instance: adapter.instance, adapter: adapter.adapter, device, queue, backend };
        let burn = Device::wgpu_options().setup(setup.clone()).init().map_err(|e| refused(e.to_string()))?;
        traits::remember(&burn, &report);
        Ok(Self { burn, report, gpu: Some(setup) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_reads_what_it_prints() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Gpu, DeviceChoice::GpuIndex(3)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for wrong in ["", "GPU", "gpu:", "gpu:-1", "gpu:1x", "cuda"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gpu_is_preferred_to_the_cpu_and_the_cpu_to_a_software_gpu() {
        let gpu = |kind| AdapterReport { kind, ..AdapterReport::cpu() };
        let hardware = [gpu(AdapterKind::Integrated), gpu(AdapterKind::Software)];
        assert_eq!(pick(DeviceChoice::Auto, &hardware).unwrap(), Some(0));
        assert_eq!(pick(DeviceChoice::Auto, &hardware[1..]).unwrap(), None);
        assert_eq!(pick(DeviceChoice::Gpu, &hardware[1..]).unwrap(), Some(0));
        assert_eq!(pick(DeviceChoice::Auto, &[]).unwrap(), None);
        assert_eq!(pick(DeviceChoice::Cpu, &hardware).unwrap(), None);
        assert_eq!(pick(DeviceChoice::GpuIndex(1), &hardware).unwrap(), Some(1));
        assert!(pick(DeviceChoice::Gpu, &[]).unwrap_err().to_string().contains("no GPU"));
        assert!(pick(DeviceChoice::GpuIndex(2), &hardware).unwrap_err().to_string().contains("no gpu:2: 2 GPU(s)"));
    }

    #[test]
    fn kinds_are_ordered_as_they_are_preferred() {
        use AdapterKind::{Cpu, Discrete, Integrated, Software, Virtual};
        let mut kinds = [Software, Cpu, Integrated, Virtual, Discrete];
        kinds.sort();
        assert_eq!(kinds, [Discrete, Integrated, Virtual, Software, Cpu]);
    }
}
