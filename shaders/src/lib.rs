//! The WGSL kernels of llava-mole: text, bindings and workgroup sizes, known at compile time.
//!
//! `kernels/*.wgsl` are composed with `shared/*.wgsl` and validated by the build script; this crate only holds the
//! result, one module a kernel file and one [`Kernel`] a variant. It knows no GPU API, so that any of them can launch
//! what is here. Idea of the split: vello_shaders.

/// One compiled-in kernel: the final WGSL of one variant and what is needed to launch it.
#[derive(Debug)]
pub struct Kernel {
    /// File name and the variant's switches, e.g. `linear_w_f16_bias`; unique.
    pub name: &'static str,
    /// The final WGSL. Its entry point is `main`.
    pub source: &'static str,
    /// Threads of a workgroup in x, y, z.
    pub workgroup_size: [u32; 3],
    /// Storage bindings 0..n of group 0. A uniform with the parameters follows as binding n where the module has `Params`.
    pub bindings: &'static [Binding],
    /// What it needs beyond what every WebGPU has.
    pub needs: Option<Feature>,
}

/// What a kernel may need beyond what every WebGPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// f16 and subgroups in shaders, and cooperative matrices: `enable wgpu_cooperative_matrix`, in native wgpu alone.
    CooperativeMatrix,
}

/// One storage binding of a kernel.
#[derive(Debug)]
pub struct Binding {
    /// Name in the WGSL.
    pub name: &'static str,
    /// Element type: `f32`, `f16`, `i32` or `u32`.
    pub element: &'static str,
}

/// The most workgroups WebGPU allows in one dimension.
const MAX_WORKGROUPS: u32 = 65535;

/// Lays `count` workgroups out over x and y; `workgroup_index` of `shared/grid.wgsl` is the other side.
///
/// The grid may hold a few workgroups more than `count`: kernels return early beyond their own bound.
///
/// # Panics
/// If `count` is beyond 65535 x 65535, which no tensor that fits a device reaches.
pub fn grid(count: u32) -> [u32; 3] {
    let y = count.div_ceil(MAX_WORKGROUPS).max(1);
    assert!(y <= MAX_WORKGROUPS, "{count} workgroups do not fit a launch");
    [count.div_ceil(y).max(1), y, 1]
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_covers_the_count_and_stays_within_the_limit() {
        for count in [0, 1, 65534, 65535, 65536, 65537, 131_071, 10_000_019] {
            let [x, y, z] = grid(count);
            assert!(x <= MAX_WORKGROUPS && y <= MAX_WORKGROUPS && z == 1);
            assert!(x * y >= count, "{count}: {x} x {y}");
            assert!(x * y < count + y.max(2), "{count}: {x} x {y} wastes workgroups");
        }
    }

    #[test]
    fn names_are_unique_and_parameters_are_words() {
        let mut names: Vec<_> = ALL.iter().map(|kernel| kernel.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        let words = rms_norm::Params { tokens: 3, d_model: 5, eps: 1.0 }.words();
        assert_eq!(words, [3, 5, 1.0f32.to_bits()]);
        assert_eq!(rms_norm::PLAIN.workgroup_size, [128, 1, 1]);
        assert_eq!(rms_norm::PLAIN.bindings[1].name, "weight");
    }
}
