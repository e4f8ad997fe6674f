//! Reading tensors back, on every platform and with an error where the device is gone.

use burn::tensor::{Int, Tensor};

use crate::error::{Error, Result};

/// The values of a float tensor, row major.
///
/// # Errors
/// [`Error::Device`] if the device failed or was lost.
pub async fn read_floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|e| lost(&e))?;
    data.convert::<f32>().try_into_vec().map_err(|e| lost(&e))
}

/// The values of an int tensor, row major.
///
/// # Errors
/// [`Error::Device`] if the device failed or was lost.
pub async fn read_ints<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i32>> {
    let data = tensor.into_data_async().await.map_err(|e| lost(&e))?;
    data.convert::<i32>().try_into_vec().map_err(|e| lost(&e))
}

fn lost(reason: &dyn std::fmt::Debug) -> Error {
    let text = format!("{reason:?}");
    let first = text.lines().next().unwrap_or_default();
    Error::Device(format!("the device stopped working ({first}); start again, or use --device cpu"))
}
