//! Which matrix product runs: by the class of the device and the product's shape, a row each below, with what was
//! measured. A class that could not be measured says so.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::PackedFormat;
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
    /// f16 factors on matrix units, f32 sums: the `_cooperative` kernels, with matrices of 8 x 8.
    Cooperative8,
    /// The same with matrices of 16 x 16.
    Cooperative16,
}

/// What of a product decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// Whether what lies in memory as neighbours comes in fours, as all kernels but the plain ones read it.
    pub in_fours: bool,
    /// Whether what is contracted is whole steps of matrix units' kernels.
    pub in_steps: bool,
    /// What is multiplied.
    pub factors: Factors,
}

/// What a product multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factors {
    /// A frozen weight in f16, q8 or q4: matrix units round the other factor no more than it was.
    Packed,
    /// A weight in f32: whoever keeps it so wants f32's exactness.
    Exact,
    /// A gradient and an activation, for a weight that is trained. No kernel for matrix units.
    Trained,
}

impl Factors {
    /// Of a weight kept in `format`.
    pub fn of(format: Option<PackedFormat>) -> Self {
        if format.is_some() { Self::Packed } else { Self::Exact }
    }
}

impl Product {
    const ALL: [Self; 5] = [Self::Plain, Self::Block, Self::Wide, Self::Cooperative8, Self::Cooperative16];

    /// From now on this process multiplies this way wherever the kernel takes the shape; `None` chooses again. For tests
    /// and measurements: every kernel must be right on every device that can run it.
    pub fn always(product: Option<Self>) {
        let number = product.and_then(|product| Self::ALL.iter().position(|&one| one == product));
        ALWAYS.store(number.map_or(0, |number| number + 1), Ordering::Relaxed);
    }
}

/// The number of the product that [`Product::always`] named, from 1.
static ALWAYS: AtomicUsize = AtomicUsize::new(0);

/// The product for `traits` on a device.
pub(super) fn product(device: DeviceTraits, traits: Traits) -> Product {
    if Kernels::chosen() == Kernels::Plain || !traits.in_fours {
        return Product::Plain;
    }
    let always = ALWAYS.load(Ordering::Relaxed).checked_sub(1).map(|number| Product::ALL[number]);
    match always {
        Some(product @ (Product::Cooperative8 | Product::Cooperative16))
            if matrices(device, traits) != Some(product) =>
        {
            fastest(device, traits)
        }
        Some(product) => product,
        None => fastest(device, traits),
    }
}

/// The product on matrix units, where the device has such and there is a kernel.
fn matrices(device: DeviceTraits, traits: Traits) -> Option<Product> {
    let size = device.cooperative_f16.filter(|_| traits.in_steps && traits.factors != Factors::Trained)?;
    Some(if size == 16 { Product::Cooperative16 } else { Product::Cooperative8 })
}

/// The table. Measured with `cargo bench --workspace --bench products`.
fn fastest(device: DeviceTraits, traits: Traits) -> Product {
    match device.kind {
        // llvmpipe (Mesa 22.3, two busy cores), 512 rows, 2048 -> 1408, y from f32, in one run: burn's matmul 1054 ms, plain
        // 1557, wide 1085, block 450; from f16, q8 and q4 block 351, 433, 415 and plain 1571, 1624, 1660. With dW or dx as
        // well: plain 3484 and 3597, wide 2287 and 2053, block 888 and 731. Its matrix units are emulated (Mesa 26.2, 256
        // rows, 1024 -> 512, from f16, in one run): cooperative 1075 ms, plain 229, wide 92, burn's 88 (f32), block 25.
        AdapterKind::Software | AdapterKind::Cpu => Product::Block,
        // H200 (Vulkan), 512 rows, 4096 -> 11008 from f16: cooperative with matrices of 16 x 16 287 us. A vision tower and a
        // prefill of 7B's shape by wide tiles took 33 ms and (by an earlier cooperative kernel) 294 ms, by cooperative ones 15
        // and 64. Other GPUs were not measured: registers and workgroup memory of the wide tile fit all that WebGPU runs on.
        AdapterKind::Integrated | AdapterKind::Discrete | AdapterKind::Virtual => match traits.factors {
            Factors::Packed => matrices(device, traits).unwrap_or(Product::Wide),
            Factors::Exact | Factors::Trained => Product::Wide,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Traits = Traits { in_fours: true, in_steps: true, factors: Factors::Packed };

    fn device(kind: AdapterKind, cooperative_f16: Option<u32>) -> DeviceTraits {
        DeviceTraits { kind, cooperative_f16, max_binding_bytes: u64::MAX }
    }

    #[test]
    fn matrix_units_are_used_where_there_are_some_and_a_kernel() {
        use AdapterKind::{Discrete, Integrated, Virtual};
        for kind in [Discrete, Integrated, Virtual] {
            assert_eq!(fastest(device(kind, None), ANY), Product::Wide);
            assert_eq!(fastest(device(kind, Some(8)), ANY), Product::Cooperative8);
            assert_eq!(fastest(device(kind, Some(16)), ANY), Product::Cooperative16);
            for factors in [Factors::Exact, Factors::Trained] {
                assert_eq!(fastest(device(kind, Some(16)), Traits { factors, ..ANY }), Product::Wide);
            }
        }
        assert_eq!(fastest(device(AdapterKind::Software, Some(8)), ANY), Product::Block);
    }

    #[test]
    fn a_width_that_is_no_multiple_of_four_is_multiplied_plainly() {
        let odd = Traits { in_fours: false, ..ANY };
        assert_eq!(product(device(AdapterKind::Discrete, Some(16)), odd), Product::Plain);
    }
}
