//! The gradients of a window, by parameter.

use std::collections::BTreeMap;

use burn::tensor::{Gradients as Tape, Tensor};

use crate::device::read_floats;
use crate::error::Result;
use crate::model::ParameterVisitor;
use crate::ops::square_sums;

/// Gradients summed over a window's micro-batches, flat, by the parameter's name. A parameter that no sample reached has
/// none.
#[derive(Debug, Default)]
pub struct GradientStore(BTreeMap<String, Tensor<1>>);

impl GradientStore {
    /// Every parameter's gradient.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.0.iter().map(|(name, gradient)| (name.as_str(), gradient))
    }

    /// One parameter's gradient.
    pub fn get(&self, name: &str) -> Option<&Tensor<1>> {
        self.0.get(name)
    }

    fn add(&mut self, name: &str, gradient: Tensor<1>) {
        let sum = match self.0.remove(name) {
            Some(before) => before + gradient,
            None => gradient,
        };
        self.0.insert(name.to_string(), sum);
    }

    /// Adds another's gradients.
    pub(super) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(name, gradient)| self.add(&name, gradient));
    }

    /// The norm of all gradients together. Not finite where any of them is not.
    ///
    /// # Errors
    /// A device that fails.
    pub async fn norm(&self) -> Result<f64> {
        if self.0.is_empty() {
            return Ok(0.0);
        }
        let squares = square_sums(self.0.values()).unwrap_or_else(|| {
            Tensor::cat(self.0.values().map(|gradient| (gradient.clone() * gradient.clone()).sum()).collect(), 0)
        });
        let squares = read_floats(squares).await?;
        Ok(squares.into_iter().map(f64::from).sum::<f64>().sqrt())
    }
}

/// Makes every parameter of a part a leaf of a new tape.
pub(super) struct Lift;

impl ParameterVisitor for Lift {
    fn visit<const D: usize>(&mut self, _: &str, parameter: &mut Tensor<D>) {
        *parameter = parameter.clone().autodiff().require_grad();
    }
}

/// Adds the gradients of a part that was lifted to the store.
pub(super) struct Collect<'a> {
    pub(super) tape: &'a mut Tape,
    pub(super) into: &'a mut GradientStore,
}

impl ParameterVisitor for Collect<'_> {
    fn visit<const D: usize>(&mut self, name: &str, parameter: &mut Tensor<D>) {
        if let Some(gradient) = parameter.grad_remove(self.tape) {
            let len = gradient.dims().iter().product::<usize>();
            self.into.add(name, gradient.reshape([len]));
        }
    }
}
