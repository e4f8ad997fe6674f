//! What kernels are chosen by, of every device this process opened.
//!
//! An operation sees a tensor, and the tensor its device; what the adapter reported is kept here, so that it need not
//! travel through every signature.

use std::sync::RwLock;

use burn::tensor::{Device, Tensor};
use burn_cubecl::{CubeBackend, CubeDevice};

use super::{AdapterKind, AdapterReport};

/// What of a device decides between kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceTraits {
    /// Its kind.
    pub kind: AdapterKind,
    /// The size of the square f16 matrices that its matrix units multiply with f32 sums; the largest of ours.
    pub cooperative_f16: Option<u32>,
    /// The largest tensor that one kernel can bind, in bytes.
    pub max_binding_bytes: u64,
}

static OPEN: RwLock<Vec<(CubeDevice, DeviceTraits)>> = RwLock::new(Vec::new());

/// Remembers what `report` says of `device`. It must be a GPU.
pub(super) fn remember(device: &Device, report: &AdapterReport) {
    let traits = DeviceTraits {
        kind: report.kind,
        cooperative_f16: report.cooperative_f16.iter().copied().max(),
        max_binding_bytes: report.max_binding_bytes,
    };
    let tensor = Tensor::<1>::empty([1], device).try_into_primitive::<CubeBackend>().expect("a device on a GPU");
    OPEN.write().expect("no writer panics").push((tensor.device, traits));
}

/// What WebGPU promises of every GPU.
const UNKNOWN: DeviceTraits =
    DeviceTraits { kind: AdapterKind::Virtual, cooperative_f16: None, max_binding_bytes: 128 << 20 };

/// The largest tensor on `device` that one kernel can bind, in bytes; in the CPU's memory anything.
pub(crate) fn max_binding_bytes(device: &Device) -> u64 {
    let tensor = Tensor::<1>::empty([1], device).try_into_primitive::<CubeBackend>();
    tensor.map_or(u64::MAX, |tensor| device_traits(&tensor.device).max_binding_bytes)
}

/// What `device` is; one that was not opened here is taken for a GPU of unknown kind.
pub(crate) fn device_traits(device: &CubeDevice) -> DeviceTraits {
    let open = OPEN.read().expect("no writer panics");
    // The last one: a driver may give a device of earlier times its name again.
    let known = open.iter().rev().find(|(known, _)| known == device);
    known.map_or(UNKNOWN, |(_, traits)| *traits)
}
