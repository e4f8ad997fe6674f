//! How much memory a device offers. WebGPU does not say, so the systems below it are asked where they answer.

/// Memory that is free on this machine, in bytes. `None` in a page.
///
/// `MOLE_MEMORY_LIMIT` (bytes) lowers it, for machines that are shared.
pub fn system_memory() -> Option<u64> {
    lowered(free_memory())
}

#[cfg(not(target_arch = "wasm32"))]
fn free_memory() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // A container may be allowed less than the machine has.
    let free = system.available_memory();
    Some(system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory)))
}

#[cfg(target_arch = "wasm32")]
fn free_memory() -> Option<u64> {
    None
}

/// Memory of a GPU that has its own, in bytes, where its driver tells; lowered by `MOLE_MEMORY_LIMIT`.
pub(super) fn adapter_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    lowered(vulkan_memory(adapter))
}

fn lowered(memory: Option<u64>) -> Option<u64> {
    let limit = std::env::var("MOLE_MEMORY_LIMIT").ok().and_then(|text| text.parse::<u64>().ok());
    match (memory, limit) {
        (Some(memory), Some(limit)) => Some(memory.min(limit)),
        (memory, limit) => memory.or(limit),
    }
}

#[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
fn vulkan_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are only read, while `adapter` keeps them alive, and not destroyed.
    let hal = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = hal.shared_instance().raw_instance();
    // SAFETY: the physical device belongs to this instance; the call only reads.
    let properties = unsafe { instance.get_physical_device_memory_properties(hal.raw_physical_device()) };
    let heaps = &properties.memory_heaps[..properties.memory_heap_count as usize];
    // Bit 0 is VK_MEMORY_HEAP_DEVICE_LOCAL_BIT. The largest: a second one is a window onto it for the CPU.
    heaps.iter().filter(|heap| heap.flags.as_raw() & 1 == 1).map(|heap| heap.size).max()
}

#[cfg(any(target_arch = "wasm32", target_vendor = "apple"))]
fn vulkan_memory(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// The most memory this process held since [`forget_process_peak`], in bytes; where the system does not say, what it holds
/// now. 0 in a page.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn process_peak() -> u64 {
    // proc(5): VmHWM, in kB.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    peak.map_or_else(process_memory, |kilobytes| kilobytes << 10)
}

#[cfg(not(target_arch = "wasm32"))]
fn process_memory() -> u64 {
    let Ok(id) = sysinfo::get_current_pid() else { return 0 };
    let mut system = sysinfo::System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[id]), true);
    system.process(id).map_or(0, sysinfo::Process::memory)
}

/// Where the system can, it begins anew to look for this process's peak.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn forget_process_peak() {
    // proc(5): 5 resets VmHWM. Where there is no such file the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(target_arch = "wasm32")]
pub(super) fn process_peak() -> u64 {
    0
}

#[cfg(target_arch = "wasm32")]
pub(super) fn forget_process_peak() {}
