//! Where dropout's masks come from.

use burn::tensor::Tensor;

use crate::ops::dropout;

/// The randomness of one pass through a layer: nothing while inferring, a run of seeds while training. A pass begun with
/// the same seed drops the same elements, so a layer can be run again in the backward pass.
#[derive(Clone, Debug)]
pub struct Noise {
    next_seed: Option<u32>,
}

impl Noise {
    /// No dropout.
    pub fn off() -> Self {
        Self { next_seed: None }
    }

    /// Dropout whose masks follow from `seed`.
    pub fn seeded(seed: u32) -> Self {
        Self { next_seed: Some(seed) }
    }

    /// `x: [T, D]` with `probability` of its elements dropped, each call by another mask.
    pub fn dropout(&mut self, x: Tensor<2>, probability: f32) -> Tensor<2> {
        match &mut self.next_seed {
            Some(seed) if probability > 0.0 => {
                // Odd, so that it runs through all seeds before it repeats one.
                *seed = seed.wrapping_add(0x9E37_79B9);
                dropout(x, *seed, probability)
            }
            _ => x,
        }
    }
}
