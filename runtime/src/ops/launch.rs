//! Launches a kernel of `mole-shaders` on cubecl's wgpu server.
//!
//! Bindings follow the kernel's own order: storage buffers 0..n, then the parameters as a uniform (cubecl's "info"
//! binding, which it caches by value, so that a repeated launch uploads nothing).

use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::template::{KernelSource, SourceKernel, SourceTemplate};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::KernelId;
use cubecl::server::{KernelArguments, MetadataBindingInfo};
use cubecl::{CubeCount, CubeDim, ExecutionMode};
use mole_shaders::Kernel;

use crate::device::{AdapterKind, device_traits, launching};

/// A kernel as cubecl wants it. The id covers the source, since the kernel's name is unique.
#[derive(Debug)]
struct Wgsl(&'static Kernel);

impl KernelSource for Wgsl {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.0.source)
    }

    fn id(&self) -> KernelId {
        // Unchecked: every loop of ours is bounded, and a counter added to each keeps a driver from unrolling it.
        let id = KernelId::new::<Self>().info((self.0.name, self.0.source.len())).cube_dim(self.dim().0);
        id.mode(ExecutionMode::Unchecked)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

impl Wgsl {
    fn dim(&self) -> CubeDim {
        let [x, y, z] = self.0.workgroup_size;
        CubeDim::new_3d(x, y, z)
    }
}

/// Launches `workgroups` workgroups of `kernel` over `buffers`, in the order of its bindings.
///
/// # Panics
/// If the buffers are not as many as the kernel binds, or hold another element type: a slip of ours, and on a GPU
/// without bounds checks not a harmless one.
pub(super) fn launch(kernel: &'static Kernel, buffers: &[&CubeTensor], params: Vec<u32>, workgroups: u32) {
    assert_eq!(buffers.len(), kernel.bindings.len(), "{}: wrong number of buffers", kernel.name);
    for (buffer, binding) in buffers.iter().zip(kernel.bindings) {
        let fits = match buffer.dtype {
            DType::F32 => binding.element == "f32",
            DType::I32 => binding.element == "i32",
            // Words of two f16 each may be bound as those.
            DType::U32 => binding.element == "u32" || binding.element == "f16",
            _ => false,
        };
        assert!(fits, "{}: {} is {:?}, not {}", kernel.name, binding.name, buffer.dtype, binding.element);
    }
    let wgsl = Wgsl(kernel);
    let dim = wgsl.dim();
    let [x, y, z] = mole_shaders::grid(workgroups);
    let words = params.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 32).collect();
    let arguments = KernelArguments::new()
        .with_buffers(buffers.iter().map(|tensor| tensor.handle.clone().binding()).collect())
        .with_info(MetadataBindingInfo::custom(words));
    launching(kernel.name, workgroups, || {
        let kernel = Box::new(SourceKernel::new(wgsl, dim));
        buffers[0].client.launch(kernel, CubeCount::Static(x, y, z), arguments);
    });
}

/// Whether the GPU of `tensor` is software: threads that meet in a workgroup cost more there than they save, and a few
/// threads fill it.
pub(super) fn is_software(tensor: &CubeTensor) -> bool {
    let kind = device_traits(&tensor.device).kind;
    matches!(kind, AdapterKind::Software | AdapterKind::Cpu) && !BY_WORKGROUPS.load(Ordering::Relaxed)
}

static BY_WORKGROUPS: AtomicBool = AtomicBool::new(false);

/// From now on this process computes as on a GPU in hardware, by workgroups, where there is a choice. For tests: every
/// kernel must be right on every device.
pub fn always_by_workgroups() {
    BY_WORKGROUPS.store(true, Ordering::Relaxed);
}

/// A contiguous copy of `tensor`, or itself.
pub(super) fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

static POISON: AtomicBool = AtomicBool::new(false);

/// From now on every kernel's output is filled with NaN (or -1) before the launch, so that an element that no thread
/// writes shows. For tests.
pub fn poison_outputs() {
    POISON.store(true, Ordering::Relaxed);
}

/// An uninitialised tensor beside `like`; the kernel must write every element.
pub(super) fn output(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let shape = shape.into();
    // A zero-sized buffer cannot be bound.
    let bytes = (shape.num_elements() * dtype.size()).max(4);
    let buffer = match POISON.load(Ordering::Relaxed) {
        // All ones is a NaN in f32 and -1 in i32.
        true => like.client.create_from_slice(&vec![0xFF; bytes]),
        false => like.client.empty(bytes),
    };
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape, buffer, dtype)
}

/// The tensor's dims as u32, for parameters.
pub(super) fn dims<const R: usize>(tensor: &CubeTensor) -> [u32; R] {
    tensor.shape().dims::<R>().map(|dim| u32::try_from(dim).expect("a dimension fits u32"))
}

/// Workgroups of 64 threads that cover `elements`.
pub(super) fn per_element(elements: usize) -> u32 {
    u32::try_from(elements.div_ceil(64)).expect("a launch fits u32")
}

/// Runs a kernel over flat tensors as they are: its inputs in order, then one f32 output of `len` elements.
///
/// For tests and benches that must launch a kernel no operation offers.
///
/// # Panics
/// If a tensor is not on a GPU, or not what the kernel binds.
pub fn run_kernel(
    kernel: &'static Kernel,
    inputs: &[Tensor<1>],
    len: usize,
    params: Vec<u32>,
    workgroups: u32,
) -> Tensor<1> {
    let inputs: Vec<CubeTensor> = inputs
        .iter()
        .map(|input| contiguous(input.clone().try_into_primitive::<CubeBackend>().expect("a tensor on a GPU")))
        .collect();
    let y = output(&inputs[0], [len], DType::F32);
    let mut buffers: Vec<&CubeTensor> = inputs.iter().collect();
    buffers.push(&y);
    launch(kernel, &buffers, params, workgroups);
    Tensor::from_primitive::<CubeBackend>(y)
}
