//! A GPU device that is lost: an error that says so, not a panic, and another device can be opened.

use burn::tensor::{Tensor, TensorData};
use mole_runtime::Error;
use mole_runtime::device::{ComputeDevice, DeviceChoice, read_floats};
use mole_tests::required;

/// `[1, 2, 3] + 1`, computed on the device.
async fn compute(device: &ComputeDevice) -> Result<Vec<f32>, Error> {
    let x: Tensor<1> = Tensor::from_data(TensorData::from([1.0f32, 2.0, 3.0]), &device.burn);
    read_floats(x + 1.0).await
}

#[test]
fn a_lost_device_is_an_error_and_the_next_one_computes() {
    let open = || pollster::block_on(ComputeDevice::open(DeviceChoice::Gpu));
    let device = match open() {
        Ok(device) => device,
        Err(error) if required() => panic!("MOLE_REQUIRE_GPU is set, but {error}"),
        Err(error) => return eprintln!("SKIPPED, no GPU: {error}"),
    };
    assert_eq!(pollster::block_on(compute(&device)).unwrap(), [2.0, 3.0, 4.0]);
    device.gpu.as_ref().expect("a GPU").device.destroy();
    let lost = pollster::block_on(compute(&device)).unwrap_err();
    assert!(matches!(lost, Error::Device(_)), "{lost}");
    assert!(lost.to_string().contains("--device cpu"), "says what to do: {lost}");
    let next = open().expect("the GPU itself is still there");
    assert_eq!(pollster::block_on(compute(&next)).unwrap(), [2.0, 3.0, 4.0]);
}
