//! What an optimizer does to every parameter, in one launch each.

use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{adamw as adamw_wgsl, square_sums as sums_wgsl};

use super::Kernels;
use super::launch::{contiguous, dims, launch, output, per_element};

/// Elements of a part of a sum of squares, and the most parts of one tensor: as many workgroups as fill a GPU.
const PART: u32 = 4096;
const MAX_PARTS: u32 = 64;

/// The coefficients of one step of AdamW (arXiv 1711.05101) for one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// What the gradient is multiplied by, where it is clipped.
    pub scale: f32,
    /// How much of the mean of the gradient is kept, and of that of its square.
    pub betas: [f32; 2],
    /// Steps of this parameter, this one among them.
    pub time: usize,
    /// Beside the root of the square's mean.
    pub epsilon: f32,
    /// The learning rate.
    pub rate: f32,
    /// How much of the parameter stays: 1 less the rate times the weight decay.
    pub kept: f32,
}

/// The parameter behind the step and its moments, flat: `[parameter, first, second]`.
///
/// `None` on the CPU, and with [`Kernels::Plain`]: burn's own optimizer does it there.
pub fn adamw(
    parameter: &Tensor<1>,
    gradient: &Tensor<1>,
    moments: Option<[&Tensor<1>; 2]>,
    step: AdamWStep,
) -> Option<[Tensor<1>; 3]> {
    let [parameter, gradient] = [gpu(parameter)?, gpu(gradient)?].map(contiguous);
    let [first, second] = match moments {
        Some([first, second]) => [gpu(first)?, gpu(second)?].map(contiguous),
        None => [(); 2].map(|()| zeros(&gradient)),
    };
    let [len] = dims(&parameter);
    let AdamWStep { scale, betas: [beta_1, beta_2], time, epsilon, rate, kept } = step;
    let correction = |beta: f32| (1.0 - f64::from(beta).powi(time as i32)) as f32;
    let (correction_1, correction_2) = (correction(beta_1), correction(beta_2));
    let params =
        adamw_wgsl::Params { len, scale, beta_1, beta_2, correction_1, correction_2, epsilon, rate, kept }.words();
    let [new, new_first, new_second] = [(); 3].map(|()| output(&parameter, [len as usize], DType::F32));
    let buffers = [&parameter, &gradient, &first, &second, &new, &new_first, &new_second];
    launch(&adamw_wgsl::PLAIN, &buffers, params, per_element(len as usize));
    Some([new, new_first, new_second].map(Tensor::from_primitive::<CubeBackend>))
}

/// Numbers whose sum is that of the squares of all elements of `tensors`; `None` as [`adamw`].
pub fn square_sums<'a>(tensors: impl ExactSizeIterator<Item = &'a Tensor<1>>) -> Option<Tensor<1>> {
    let tensors = tensors.map(|tensor| gpu(tensor).map(contiguous)).collect::<Option<Vec<_>>>()?;
    let parts = |x: &CubeTensor| dims::<1>(x)[0].div_ceil(PART).min(MAX_PARTS);
    let sums = output(tensors.first()?, [tensors.iter().map(parts).sum::<u32>() as usize], DType::F32);
    let mut first = 0;
    for x in &tensors {
        let ([len], parts) = (dims(x), parts(x));
        launch(&sums_wgsl::PLAIN, &[x, &sums], sums_wgsl::Params { len, parts, first }.words(), parts);
        first += parts;
    }
    Some(Tensor::from_primitive::<CubeBackend>(sums))
}

fn gpu(tensor: &Tensor<1>) -> Option<CubeTensor> {
    match Kernels::chosen() {
        Kernels::Fast => tensor.clone().try_into_primitive::<CubeBackend>().ok(),
        Kernels::Plain => None,
    }
}

fn zeros(like: &CubeTensor) -> CubeTensor {
    let [len] = dims(like);
    let zeros = Tensor::<1>::zeros([len as usize], &Tensor::<1>::from_primitive::<CubeBackend>(like.clone()).device());
    zeros.try_into_primitive::<CubeBackend>().expect("the device is that of a GPU's tensor")
}
