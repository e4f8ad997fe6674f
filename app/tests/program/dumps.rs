//! `dump`: pixels, features and logits from the picture file on, against transformers.
//!
//! The pictures of the cases are PNG, so their pixels are Pillow's to the bit and pixel values agree to rounding.
//! Features and logits differ by 2e-6 of the largest, the rounding of sums in another order: 2e-5 is allowed on the
//! CPU, 2e-4 on a GPU, whose `exp` differs.

use std::path::Path;

use crate::devices::gpu_is_there;
use crate::fixture::{Case, Tensors, case, cases, picture};
use crate::program::{Program, on_cpu, program};

/// `dump` of a case, complete but for the device.
fn dump(case: &Case, program: Program, out: &Path) -> Tensors {
    let finished = program.images(&case.pictures).arg("--prompt").arg(&case.prompt).arg("--out").arg(out).succeed();
    assert_eq!(finished.stdout, "", "the result goes to the file");
    Tensors::read(out)
}

/// The largest difference over the largest magnitude expected; not a number is infinite.
fn max_norm(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |max, value| max.max(value.abs()));
    actual.iter().zip(expected).fold(0.0f32, |max, (a, e)| match (a - e).abs() {
        error if error.is_nan() => f32::INFINITY,
        error => max.max(error),
    }) / scale
}

fn compare(case: &Case, dumped: &Tensors, bound: f32) {
    let (name, expected) = (&case.name, &case.expected);
    assert_eq!(dumped.0.keys().collect::<Vec<_>>(), ["image_features", "input_ids", "logits", "pixel_values"]);
    assert_eq!(dumped.ints("input_ids"), expected.ints("input_ids"), "{name}");
    for tensor in ["pixel_values", "image_features", "logits"] {
        assert_eq!(dumped.shape(tensor), expected.shape(tensor), "{name}: {tensor}");
    }
    let error = |tensor: &str| max_norm(&dumped.floats(tensor), &expected.floats(tensor));
    assert!(error("pixel_values") <= 1e-6, "{name}: pixel_values {:e}", error("pixel_values"));
    for tensor in ["image_features", "logits"] {
        assert!(error(tensor) <= bound, "{name}: {tensor} {:e}, allowed {bound:e}", error(tensor));
    }
}

#[test]
fn every_case_on_the_cpu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in cases() {
        let out = folder.path().join(format!("{}.safetensors", case.name));
        compare(&case, &dump(&case, on_cpu("dump", &case.model), &out), 2e-5);
    }
}

#[test]
fn two_cases_on_the_gpu() {
    if !gpu_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Grouped queries stored in f16; two pictures stored in bf16.
    for case in ["gqa", "two_images"].map(case) {
        let out = folder.path().join(format!("{}.safetensors", case.name));
        let on_gpu = program(["dump", "--device", "gpu", "--weights", "f32", "--model"]).arg(&case.model);
        compare(&case, &dump(&case, on_gpu, &out), 2e-4);
    }
}

#[test]
fn f16_weights_stay_near() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = case("mha");
    let out = folder.path().join("f16.safetensors");
    let dumped = dump(&case, on_cpu("dump", &case.model).args(["--weights", "f16"]), &out);
    let error = max_norm(&dumped.floats("logits"), &case.expected.floats("logits"));
    // Rounded to 11 bits: near, but not the f32 weights.
    assert!((1e-5..2e-2).contains(&error), "{error:e}");
}

/// The flag counts more than the checkpoint: padded, a landscape has rows of the mean colour, which is about 0, above
/// and below.
#[test]
fn the_aspect_ratio_is_as_the_flag_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = Case { pictures: vec![picture("landscape.png")], ..case("mha") };
    let rows = |ratio: &[&str]| {
        let out = folder.path().join("ratio.safetensors");
        let dumped = dump(&case, on_cpu("dump", &case.model).args(ratio), &out).floats("pixel_values");
        // First, middle and last row of the first colour, 24 x 24.
        [0, 12, 23].map(|row| dumped[row * 24..][..24].iter().fold(0.0f32, |max, value| max.max(value.abs())))
    };
    let [top, middle, bottom] = rows(&["--image-aspect-ratio", "pad"]);
    assert!(top < 0.02 && middle > 0.2 && bottom < 0.02, "{top}, {middle}, {bottom}");
    assert_eq!(rows(&["--image-aspect-ratio", "crop"]), rows(&[]));
    assert!(rows(&[]).iter().all(|&row| row > 0.2));
}
