//! What GPUs there are, and what each offers.

use serde::Serialize;

use super::memory::{adapter_memory, system_memory};

/// The kind of an adapter, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the system's memory.
    Integrated,
    /// A GPU of a virtual machine, or one that does not say what it is.
    Virtual,
    /// A software implementation of a GPU.
    Software,
    /// Not a GPU: burn's CPU backend.
    Cpu,
}

/// What a device is and what it offers.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterReport {
    /// Its name, as the driver says.
    pub name: String,
    /// Its kind.
    pub kind: AdapterKind,
    /// `vulkan`, `metal`, `dx12`, `webgpu`, or `flex` for the CPU.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Memory it offers in bytes: its own, or what is free of the system's where it shares that. Unknown in a page.
    pub memory_bytes: Option<u64>,
    /// The largest tensor that one kernel can bind, in bytes.
    pub max_binding_bytes: u64,
    /// Whether shaders can compute in f16. Not needed: f16 weights are unpacked.
    pub shader_f16: bool,
    /// Whether shaders have subgroup operations. Not needed.
    pub subgroups: bool,
    /// Sizes of the square f16 matrices that its matrix units multiply with f32 sums; of 8 and 16 those it has. Natively
    /// alone.
    pub cooperative_f16: Vec<u32>,
}

impl AdapterReport {
    pub(super) fn cpu() -> Self {
        Self {
            name: "CPU".to_string(),
            kind: AdapterKind::Cpu,
            backend: "flex".to_string(),
            driver: String::new(),
            memory_bytes: system_memory(),
            max_binding_bytes: u64::MAX,
            shader_f16: false,
            subgroups: false,
            cooperative_f16: Vec::new(),
        }
    }

    fn of(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            // A browser does not tell which kind its GPU is.
            wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => AdapterKind::Virtual,
        };
        let memory_bytes = match kind {
            AdapterKind::Discrete | AdapterKind::Virtual => adapter_memory(adapter),
            _ => system_memory(),
        };
        let limits = adapter.limits();
        let features = adapter.features();
        // Browsers keep it to themselves.
        let name = if info.name.is_empty() { "GPU".to_string() } else { info.name };
        Self {
            name,
            kind,
            backend: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
            memory_bytes,
            max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            shader_f16: features.contains(wgpu::Features::SHADER_F16),
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            cooperative_f16: cooperative_f16(adapter),
        }
    }
}

/// Which of 8 and 16 the adapter multiplies as f16 matrices with f32 sums. Empty in a page and on DX12, where wgpu has no
/// cooperative matrices.
fn cooperative_f16(adapter: &wgpu::Adapter) -> Vec<u32> {
    let needed =
        wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    if !adapter.features().contains(needed) {
        return Vec::new();
    }
    let (f16, f32) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let found = adapter.cooperative_matrix_properties();
    let has = |size| {
        found.iter().any(|matrix| {
            [matrix.m_size, matrix.n_size, matrix.k_size] == [size; 3] && matrix.ab_type == f16 && matrix.cr_type == f32
        })
    };
    [8, 16].into_iter().filter(|&size| has(size)).collect()
}

/// An adapter and the instance it came from; the two must stay together.
pub(super) struct Found {
    pub instance: wgpu::Instance,
    pub adapter: wgpu::Adapter,
}

/// The GPUs of this machine, in the order of `gpu:N`.
pub async fn adapters() -> Vec<AdapterReport> {
    enumerate().await.into_iter().map(|(_, report)| report).collect()
}

pub(super) async fn enumerate() -> Vec<(Found, AdapterReport)> {
    // Not GL: it lacks the storage bindings our kernels need.
    let backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found: Vec<(Found, AdapterReport)> = list(&instance, backends)
        .await
        .into_iter()
        .map(|adapter| {
            let report = AdapterReport::of(&adapter);
            (Found { instance: instance.clone(), adapter }, report)
        })
        .collect();
    // Windows shows one GPU through DX12 and Vulkan: the order is stable, the first of a kind is taken.
    found.sort_by(|(_, a), (_, b)| a.kind.cmp(&b.kind).then_with(|| a.name.cmp(&b.name)));
    found
}

#[cfg(not(target_arch = "wasm32"))]
async fn list(instance: &wgpu::Instance, backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(backends).await
}

/// A page is shown one adapter, the one it prefers.
#[cfg(target_arch = "wasm32")]
async fn list(instance: &wgpu::Instance, _: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}
