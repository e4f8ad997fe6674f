//! A picture to the pixel values of the vision tower.
//!
//! The steps are those of transformers' `CLIPImageProcessor`: scale, centre crop, rescale, normalise; before them,
//! where asked for, LLaVA's `expand2square`.

use super::area::SeenArea;
use super::config::{AspectRatio, PreprocessorConfig, Resize, Size};
use super::decode::MAX_PIXELS;
use super::resample::resize;
use super::rgb::RgbImage;
use crate::error::{Error, Result};

/// Most pixels of a scaled picture, before it is cropped: 192 MB. Only a very oblong picture comes near.
pub const MAX_RESIZED_PIXELS: usize = 64_000_000;

/// What the vision tower reads.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelValues {
    /// `[3, height, width]`, red first.
    pub data: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
}

/// The steps of a [`PreprocessorConfig`], ready to be taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessor {
    config: PreprocessorConfig,
}

impl Preprocessor {
    pub(super) fn new(config: PreprocessorConfig) -> Self {
        Self { config }
    }

    /// The size every picture ends up with, or `None` where it depends on the picture.
    ///
    /// A vision tower needs its own `image_size` here.
    pub fn output_size(&self) -> Option<Size> {
        let config = &self.config;
        config.crop_size.or(match (config.size?, config.aspect_ratio) {
            (Resize::Exact(size), _) => Some(size),
            (Resize::ShortestEdge(side), AspectRatio::Pad) => Some(Size { height: side, width: side }),
            (Resize::ShortestEdge(_), AspectRatio::Crop) => None,
        })
    }

    /// Takes every step.
    ///
    /// # Errors
    /// As [`Preprocessor::pixels`].
    pub fn preprocess(&self, picture: &RgbImage) -> Result<PixelValues> {
        let PreprocessorConfig { rescale_factor, image_mean, image_std, do_normalize, .. } = &self.config;
        let picture = self.pixels(picture)?;
        // A byte has 256 values: each is converted once a colour. In f32, as transformers does from the rescaling on.
        let tables: [[f32; 256]; 3] = std::array::from_fn(|colour| {
            std::array::from_fn(|byte| {
                let rescaled = rescale_factor.map_or(byte as f32, |factor| (byte as f64 * factor) as f32);
                let (mean, std) = (image_mean[colour] as f32, image_std[colour] as f32);
                if *do_normalize { (rescaled - mean) / std } else { rescaled }
            })
        });
        let data = tables
            .iter()
            .enumerate()
            .flat_map(|(colour, table)| {
                picture.pixels().iter().skip(colour).step_by(3).map(|&byte| table[usize::from(byte)])
            })
            .collect();
        Ok(PixelValues { data, height: picture.height(), width: picture.width() })
    }

    /// The picture padded, scaled and cropped, before its bytes become numbers.
    ///
    /// # Errors
    /// [`Error::Image`] when the padded square is beyond the limits of [`decode`](super::decode()), or the scaled
    /// picture beyond [`MAX_RESIZED_PIXELS`].
    pub fn pixels(&self, picture: &RgbImage) -> Result<RgbImage> {
        let mut picture = std::borrow::Cow::Borrowed(picture);
        if self.config.aspect_ratio == AspectRatio::Pad && picture.width() != picture.height() {
            picture = std::borrow::Cow::Owned(self.pad_to_square(&picture)?);
        }
        if let Some(size) = self.config.size {
            let size = self.scaled_size(&picture, size)?;
            picture = std::borrow::Cow::Owned(resize(&picture, size, self.config.resample));
        }
        if let Some(size) = self.config.crop_size {
            picture = std::borrow::Cow::Owned(center_crop(&picture, size));
        }
        Ok(picture.into_owned())
    }

    /// The part of a picture of this size that is left after padding, scaling and cropping.
    pub fn seen_area(&self, width: usize, height: usize) -> SeenArea {
        let mut area = SeenArea { left: 0.0, top: 0.0, width: width as f64, height: height as f64 };
        if self.config.aspect_ratio == AspectRatio::Pad {
            let side = width.max(height);
            area.left = -(((side - width) / 2) as f64);
            area.top = -(((side - height) / 2) as f64);
            (area.width, area.height) = (side as f64, side as f64);
        }
        let whole = Size { height: area.height as usize, width: area.width as usize };
        let scaled = self.config.size.map_or(whole, |size| scaled(whole, size));
        if let Some(crop) = self.config.crop_size {
            // Pixels of the picture in a pixel of what it was scaled to.
            let (across, down) = (area.width / scaled.width.max(1) as f64, area.height / scaled.height.max(1) as f64);
            area.left += crop_offset(scaled.width, crop.width) as f64 * across;
            area.top += crop_offset(scaled.height, crop.height) as f64 * down;
            (area.width, area.height) = (crop.width as f64 * across, crop.height as f64 * down);
        }
        area
    }

    /// Puts the picture in the middle of a square of the mean colour.
    fn pad_to_square(&self, picture: &RgbImage) -> Result<RgbImage> {
        let (width, height) = (picture.width(), picture.height());
        let side = width.max(height);
        if side * side > MAX_PIXELS {
            return Err(Error::Image {
                name: picture.name().to_owned(),
                reason: format!(
                    "is {width} x {height} pixels, too oblong: padded to a square it would be {side} x {side}, and at \
                     most {} megapixels are allowed: cut out the part that matters",
                    MAX_PIXELS / 1_000_000
                ),
            });
        }
        let colour = self.config.image_mean.map(|mean| (mean * 255.0) as u8);
        let mut pixels = colour.repeat(side * side);
        let (left, top) = ((side - width) / 2, (side - height) / 2);
        for (row, target) in picture.pixels().chunks_exact(width * 3).zip(pixels.chunks_exact_mut(side * 3).skip(top)) {
            target[left * 3..][..width * 3].copy_from_slice(row);
        }
        Ok(picture.derived(side, side, pixels))
    }

    /// The size of the picture after scaling.
    fn scaled_size(&self, picture: &RgbImage, size: Resize) -> Result<Size> {
        let (width, height) = (picture.width(), picture.height());
        let scaled = scaled(Size { height, width }, size);
        // In u64: a page has 32-bit sizes.
        if scaled.height as u64 * scaled.width as u64 > MAX_RESIZED_PIXELS as u64 {
            return Err(Error::Image {
                name: picture.name().to_owned(),
                reason: format!(
                    "is {width} x {height} pixels, too oblong: it would be scaled to {} x {}, and at most {} megapixels \
                     are allowed: pad it to a square, or cut out the part that matters",
                    scaled.width,
                    scaled.height,
                    MAX_RESIZED_PIXELS / 1_000_000
                ),
            });
        }
        Ok(scaled)
    }
}

/// What a picture of size `have` is scaled to; the longer side is cut off, not rounded.
fn scaled(have: Size, size: Resize) -> Size {
    let Size { height, width } = have;
    match size {
        Resize::Exact(size) => size,
        Resize::ShortestEdge(side) if width <= height => Size { height: side * height / width, width: side },
        Resize::ShortestEdge(side) => Size { height: side, width: side * width / height },
    }
}

/// Where the middle `want` of `have` begins. Rounded down, also below zero: where the margin is odd, this decides which
/// side gets the extra row.
fn crop_offset(have: usize, want: usize) -> isize {
    (have as isize - want as isize).div_euclid(2)
}

/// The middle of the picture; black where it is smaller than `size`.
fn center_crop(picture: &RgbImage, size: Size) -> RgbImage {
    let stride = picture.width() * 3;
    let (top, left) = (crop_offset(picture.height(), size.height), crop_offset(picture.width(), size.width));
    let mut pixels = vec![0; size.height * size.width * 3];
    let skipped = left.max(0) as usize * 3;
    let margin = (-left).max(0) as usize * 3;
    let copied = stride.min(size.width * 3);
    for (y, target) in pixels.chunks_exact_mut(size.width * 3).enumerate() {
        let source = usize::try_from(y as isize + top).ok().filter(|&row| row < picture.height());
        if let Some(row) = source {
            target[margin..][..copied].copy_from_slice(&picture.pixels()[row * stride + skipped..][..copied]);
        }
    }
    picture.derived(size.width, size.height, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> RgbImage {
        let value = |x: usize, y: usize, colour: usize| (x * x * 37 + y * 59 + colour * 83 + x * y * 29) as u8;
        let pixels = (0..height * width * 3).map(|at| value(at / 3 % width, at / 3 / width, at % 3)).collect();
        RgbImage::from_pixels("test.png", width, height, pixels).unwrap()
    }

    fn preprocessor(json: &str, aspect_ratio: AspectRatio) -> Preprocessor {
        PreprocessorConfig::from_json(json.as_bytes(), "preprocessor_config.json").unwrap().init(Some(aspect_ratio))
    }

    /// The red bytes of a picture that is only cropped.
    fn cropped(height: usize, width: usize) -> Vec<u8> {
        let json = format!(r#"{{"do_resize": false, "crop_size": {{"height": {height}, "width": {width}}}}}"#);
        let pixels = preprocessor(&json, AspectRatio::Crop).pixels(&picture(7, 5)).unwrap();
        assert_eq!((pixels.height(), pixels.width()), (height, width));
        pixels.pixels().iter().step_by(3).copied().collect()
    }

    const SMALL: &str = r#"{"size": {"shortest_edge": 4}, "crop_size": 4}"#;

    #[test]
    fn crop_and_pad_are_those_of_transformers() {
        // Transformers 5.23, `LlavaImageProcessorPil`, with `do_pad` false and true.
        let crop = [
            16, 104, 186, 88, 179, 118, 114, 143, 215, 135, 190, 150, 113, 167, 118, 98, 142, 89, 177, 98, 97, 177, 95,
            115, 138, 79, 95, 168, 108, 147, 82, 130, 84, 68, 105, 100, 192, 91, 123, 122, 184, 56, 100, 183, 88, 79,
            84, 135,
        ];
        let pad = [
            72, 110, 140, 114, 148, 123, 113, 145, 156, 114, 148, 121, 89, 149, 128, 108, 139, 110, 183, 103, 134, 53,
            146, 147, 153, 91, 112, 137, 138, 107, 71, 117, 87, 119, 71, 163, 151, 120, 104, 120, 159, 72, 101, 121,
            118, 165, 77, 111,
        ];
        for (aspect_ratio, expected) in [(AspectRatio::Crop, crop), (AspectRatio::Pad, pad)] {
            let preprocessor = preprocessor(SMALL, aspect_ratio);
            assert_eq!(preprocessor.pixels(&picture(7, 5)).unwrap().pixels(), expected, "{aspect_ratio:?}");
        }
    }

    #[test]
    fn values_are_normalised_a_colour_at_a_time() {
        let values = preprocessor(SMALL, AspectRatio::Crop).preprocess(&picture(7, 5)).unwrap();
        assert_eq!((values.data.len(), values.height, values.width), (48, 4, 4));
        // Transformers 5.23: the first and last value of each colour.
        let expected = [(0, -1.55869), (15, -0.63899), (16, -0.19129), (31, -0.49144), (32, 1.16471), (47, 0.43949)];
        for (at, expected) in expected {
            assert!((values.data[at] - expected).abs() < 1e-5, "{at}: {} {expected}", values.data[at]);
        }
        let plain = r#"{"size": 4, "crop_size": 4, "do_normalize": false, "do_rescale": false}"#;
        let values = preprocessor(plain, AspectRatio::Crop).preprocess(&picture(7, 5)).unwrap();
        assert_eq!(values.data[..4], [16.0, 88.0, 114.0, 135.0]);
    }

    #[test]
    fn a_crop_beyond_the_picture_is_black() {
        // Transformers 5.23; where the margin is odd, the larger half comes first.
        let tall = [
            0, 0, 0, 0, 0, 0, 0, 0, 37, 148, 77, 80, 125, 9, 223, 255, 213, 126, 113, 174, 45, 243, 3, 93, 133, 104,
            149, 12, 0, 0, 0, 0,
        ];
        let wide = [
            0, 0, 0, 37, 148, 77, 80, 157, 52, 0, 0, 0, 59, 125, 9, 223, 255, 105, 29, 0, 0, 0, 118, 213, 126, 113,
            174, 53, 6, 0, 0, 0, 177, 45, 243, 3, 93, 1, 239, 0,
        ];
        assert_eq!(cropped(8, 4), tall);
        assert_eq!(cropped(4, 10), wide);
    }

    #[test]
    fn the_scaled_size_is_cut_off_not_rounded() {
        let scaled = |width, height| {
            let json = r#"{"size": 336, "do_center_crop": false}"#;
            let pixels = preprocessor(json, AspectRatio::Crop).pixels(&picture(width, height)).unwrap();
            (pixels.width(), pixels.height())
        };
        assert_eq!(scaled(500, 337), (498, 336));
        assert_eq!(scaled(337, 500), (336, 498));
        assert_eq!(scaled(336, 336), (336, 336));
    }

    #[test]
    fn the_output_size_is_known_beforehand_where_it_can_be() {
        let size =
            |json, aspect_ratio| preprocessor(json, aspect_ratio).output_size().map(|size| (size.height, size.width));
        assert_eq!(size(SMALL, AspectRatio::Crop), Some((4, 4)));
        let uncropped = r#"{"size": 336, "do_center_crop": false}"#;
        assert_eq!(size(uncropped, AspectRatio::Crop), None);
        assert_eq!(size(uncropped, AspectRatio::Pad), Some((336, 336)));
        assert_eq!(size(r#"{"size": [3, 5], "do_center_crop": false}"#, AspectRatio::Crop), Some((3, 5)));
        assert_eq!(size(r#"{"size": 3, "do_resize": false, "do_center_crop": false}"#, AspectRatio::Pad), None);
    }

    #[test]
    fn a_very_oblong_picture_is_refused_before_memory_is_taken() {
        let line = picture(1, 10_000);
        let clip = r#"{"size": 336, "crop_size": 336}"#;
        let error = preprocessor(clip, AspectRatio::Crop).preprocess(&line).unwrap_err().to_string();
        assert!(error.starts_with("test.png: is 1 x 10000 pixels, too oblong"), "{error}");
        assert!(error.contains("336 x 3360000") && error.contains("pad it to a square"), "{error}");
        let padded = preprocessor(clip, AspectRatio::Pad).preprocess(&line).unwrap();
        assert_eq!((padded.height, padded.width), (336, 336));
        let error = preprocessor(clip, AspectRatio::Pad).preprocess(&picture(10_001, 1)).unwrap_err().to_string();
        assert!(error.contains("10001 x 10001") && error.contains("cut out"), "{error}");
    }
}
