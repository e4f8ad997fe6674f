//! Resizing as Pillow does it, to the last bit.
//!
//! A separable filter with antialiasing, one axis after the other, rounded to 8 bits in between. The weights are
//! fixed-point numbers with 22 fractional bits. The order of the axes matters: in the other order sharp edges come out
//! up to 29 of 255 different, because the overshoot of the bicubic filter is clipped elsewhere.
//!
//! Source: Pillow, `src/libImaging/Resample.c`; for `Nearest`, `ImagingScaleAffine` in `Geometry.c`. The order is that
//! of Pillow 13; until Pillow 12 it was always horizontally first, so pictures more than twice as tall as wide differ.

use std::f64::consts::PI;

use super::config::Size;
use super::rgb::RgbImage;

/// Fractional bits of a weight: 32, less 8 for the pixel and 2 for the overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The filter; the numbers are Pillow's, as `preprocessor_config.json` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resample {
    /// 0: the pixel whose area covers the centre.
    Nearest,
    /// 1: windowed sinc over six pixels.
    Lanczos,
    /// 2: a triangle over two pixels.
    Bilinear,
    /// 3: cubic convolution with a = -0.5, over four pixels.
    Bicubic,
    /// 4: the mean of the pixels covered.
    Box,
    /// 5: windowed sinc over two pixels.
    Hamming,
}

impl Resample {
    /// The filter of a number in `preprocessor_config.json`.
    pub(super) fn from_number(number: u64) -> Option<Self> {
        [Self::Nearest, Self::Lanczos, Self::Bilinear, Self::Bicubic, Self::Box, Self::Hamming]
            .into_iter()
            .nth(usize::try_from(number).ok()?)
    }

    /// How far the filter reaches, in output pixels (in input pixels when enlarging).
    fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight at distance `x`, before normalisation.
    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let distance = x.abs();
        match self {
            Self::Nearest | Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - distance).max(0.0),
            Self::Hamming if distance < 1.0 => {
                // Pillow writes these two constants in single precision.
                sinc(distance) * (f64::from(0.54_f32) + f64::from(0.46_f32) * (PI * distance).cos())
            }
            Self::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Hamming | Self::Bicubic | Self::Lanczos => 0.0,
        }
    }
}

/// The input pixels that make one output pixel: `weights[i]` is that of pixel `first + i`.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of every output pixel along one axis.
fn taps(input: usize, output: usize, filter: Resample) -> Vec<Tap> {
    let scale = input as f64 / output as f64;
    // Shrinking stretches the filter over all pixels that melt into one; enlarging leaves it as it is.
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..output)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            // The cast cuts off towards zero, as in C; below zero that is zero.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let weights: Vec<f64> =
                (first..end).map(|x| filter.weight((x as f64 - centre + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let weight = if sum == 0.0 { *weight } else { weight / sum } * f64::from(1 << PRECISION_BITS);
                (weight + 0.5_f64.copysign(weight)) as i32
            };
            Tap { first, weights: weights.iter().map(fixed).collect() }
        })
        .collect()
}

/// Half of the last bit, so that the shift of [`to_byte`] rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// `pixels: [height, width, 3]` to `[height, output, 3]`.
fn horizontally(pixels: &[u8], width: usize, output: usize, filter: Resample) -> Vec<u8> {
    let taps = taps(width, output, filter);
    let mut result = Vec::with_capacity(pixels.len() / width * output);
    for row in pixels.chunks_exact(width * 3) {
        for tap in &taps {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in row[tap.first * 3..].chunks_exact(3).zip(&tap.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            result.extend(sums.map(to_byte));
        }
    }
    result
}

/// `pixels: [height, width, 3]` to `[output, width, 3]`.
fn vertically(pixels: &[u8], width: usize, output: usize, filter: Resample) -> Vec<u8> {
    let stride = width * 3;
    let mut result = Vec::with_capacity(output * stride);
    let mut sums = vec![HALF; stride];
    for tap in taps(pixels.len() / stride, output, filter) {
        sums.fill(HALF);
        for (row, &weight) in pixels[tap.first * stride..].chunks_exact(stride).zip(&tap.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        result.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    result
}

/// For each output pixel of one axis the input pixel below its centre.
fn nearest(input: usize, output: usize) -> Vec<usize> {
    let scale = input as f64 / output as f64;
    // Summed up step by step, with the rounding that brings.
    let mut at = scale * 0.5;
    (0..output)
        .map(|_| {
            let index = (at as usize).min(input - 1);
            at += scale;
            index
        })
        .collect()
}

/// Whether the height shrinks so much more than the width that Pillow begins with it.
fn vertical_first(picture: &RgbImage, size: Size) -> bool {
    let lost = |from: usize, to: usize| from as isize - to as isize;
    let (height, width) = (lost(picture.height(), size.height), lost(picture.width(), size.width));
    height > 0 && height > 2 * width
}

/// The picture at another size.
///
/// The caller has checked that `size` is not empty and fits in memory.
pub(super) fn resize(picture: &RgbImage, size: Size, filter: Resample) -> RgbImage {
    let (width, height) = (picture.width(), picture.height());
    if filter == Resample::Nearest {
        let columns = nearest(width, size.width);
        let pixels = nearest(height, size.height)
            .into_iter()
            .flat_map(|y| columns.iter().map(move |x| (y * width + x) * 3))
            .flat_map(|at| [picture.pixels()[at], picture.pixels()[at + 1], picture.pixels()[at + 2]])
            .collect();
        return picture.derived(size.width, size.height, pixels);
    }
    // An axis that keeps its length is not filtered, whatever the filter.
    let pixels = match (size.width != width, size.height != height) {
        (false, false) => picture.pixels().to_vec(),
        (true, false) => horizontally(picture.pixels(), width, size.width, filter),
        (false, true) => vertically(picture.pixels(), width, size.height, filter),
        (true, true) if vertical_first(picture, size) => {
            let pixels = vertically(picture.pixels(), width, size.height, filter);
            horizontally(&pixels, width, size.width, filter)
        }
        (true, true) => {
            let pixels = horizontally(picture.pixels(), width, size.width, filter);
            vertically(&pixels, size.width, size.height, filter)
        }
    };
    picture.derived(size.width, size.height, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resizes `[height, width]` pixels that `value(x, y, colour)` makes.
    fn resized(from: Size, to: Size, filter: Resample, value: impl Fn(usize, usize, usize) -> usize) -> Vec<u8> {
        let pixels = (0..from.height * from.width * 3)
            .map(|at| value(at / 3 % from.width, at / 3 / from.width, at % 3) as u8)
            .collect();
        let picture = RgbImage::from_pixels("test", from.width, from.height, pixels).unwrap();
        resize(&picture, to, filter).pixels().to_vec()
    }

    #[test]
    fn every_filter_shrinks_as_pillow_does() {
        // Pillow 13: `Image.resize((3, 2), filter)`.
        let expected: [(u64, [u8; 18]); 6] = [
            (0, [125, 208, 35, 223, 50, 133, 105, 188, 15, 45, 128, 211, 3, 86, 169, 1, 84, 167]),
            (1, [77, 142, 130, 145, 128, 133, 90, 144, 148, 161, 117, 104, 101, 140, 85, 116, 70, 140]),
            (2, [89, 141, 128, 133, 129, 135, 97, 140, 141, 147, 116, 109, 106, 135, 97, 116, 82, 138]),
            (3, [82, 142, 129, 140, 128, 136, 93, 144, 145, 155, 116, 106, 103, 139, 89, 117, 75, 140]),
            (4, [92, 133, 130, 134, 132, 129, 67, 150, 148, 148, 103, 122, 101, 141, 96, 166, 57, 140]),
            (5, [82, 143, 133, 141, 122, 147, 92, 153, 132, 145, 110, 116, 99, 141, 95, 123, 76, 142]),
        ];
        for (number, expected) in expected {
            let filter = Resample::from_number(number).unwrap();
            let value = |x, y, colour| (x * x * 37 + y * 59 + colour * 83 + x * y * 29) % 256;
            let found = resized(Size { height: 5, width: 7 }, Size { height: 2, width: 3 }, filter, value);
            assert_eq!(found, expected, "{filter:?}");
        }
        assert_eq!(Resample::from_number(6), None);
    }

    #[test]
    fn overshoot_is_clipped_between_the_passes() {
        // Pillow 13: `Image.resize(size, 3)` of a black and white picture.
        // In the other order 10 and 20 of the 32 values differ.
        let value = |x: usize, y: usize, _| if (x * 5 + y * 3 + x * y).is_multiple_of(3) { 255 } else { 0 };
        let red = |height, width| -> Vec<u8> {
            let from = Size { height: 6, width: 6 };
            resized(from, Size { height, width }, Resample::Bicubic, value).into_iter().step_by(3).collect()
        };
        let vertically_first = [
            255, 158, 82, 114, 249, 160, 89, 100, 255, 148, 64, 100, 249, 151, 72, 84, 255, 148, 64, 100, 249, 151, 72,
            84, 255, 158, 82, 114, 249, 160, 89, 100,
        ];
        let horizontally_first = [
            160, 0, 153, 0, 228, 181, 226, 178, 230, 189, 229, 186, 160, 0, 153, 0, 160, 0, 153, 0, 230, 189, 229, 186,
            228, 181, 226, 178, 160, 0, 153, 0,
        ];
        assert_eq!(red(4, 8), vertically_first);
        assert_eq!(red(8, 4), horizontally_first);
    }

    #[test]
    fn a_single_pixel_fills_any_size() {
        for number in 0..6 {
            let filter = Resample::from_number(number).unwrap();
            let found = resized(Size { height: 1, width: 1 }, Size { height: 3, width: 5 }, filter, |_, _, c| c * 100);
            assert_eq!(found, [0, 100, 200].repeat(15), "{filter:?}");
        }
    }
}
