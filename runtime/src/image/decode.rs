//! The bytes of a PNG, JPEG or WebP file to an [`RgbImage`], as Pillow and transformers 5 see it.
//!
//! | in the file | becomes |
//! |---|---|
//! | greyscale, palette, 1 to 4 bits | the same colours at 8 bits |
//! | 16 bits | the high byte; greyscale without alpha, which Pillow would clip to white, is scaled and rounded |
//! | alpha, or a transparent palette colour | laid on white (transformers 4 dropped it, which showed hidden colours) |
//! | CMYK and YCCK JPEG | taken as inverted, as Adobe writes and Pillow reads them |
//! | animation | its first picture |
//! | EXIF orientation | applied, so that a photograph stands upright |
//! | ICC profile, gamma | ignored |
//!
//! A JPEG comes out up to 5 of 255 different from Pillow's, as the standard leaves rounding to the decoder; where its
//! colours are stored at half size, the outermost row and column may differ more. The other formats are exact.
//!
//! The size is read and checked before a pixel is decoded. A decoded picture takes 3 bytes a pixel; while it is
//! decoded, the largest picture takes up to 1.1 GB (16 bits with alpha), a plain JPEG of that size 0.3 GB.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::rgb::{RgbImage, check_size};
use super::{format, jpeg};
use crate::error::{Error, Result};

/// Longest side of a picture that is read, in pixels.
pub const MAX_SIDE: usize = 16_384;

/// Most pixels of a picture that is read: more than any phone takes, and 300 MB in memory.
pub const MAX_PIXELS: usize = 100_000_000;

/// What a decoder may allocate: [`MAX_PIXELS`] at 8 bytes, and as much again as any text or profile chunk is worth.
const MAX_ALLOCATION: u64 = 1 << 30;

/// Reads a picture of any name; the format is told by the content.
///
/// - `name`: what an error calls the picture, e.g. its file name.
///
/// # Errors
/// [`Error::Image`] for another format, an empty, cut-off or corrupt file, and a picture beyond [`MAX_SIDE`] or
/// [`MAX_PIXELS`].
pub fn decode(bytes: &[u8], name: &str) -> Result<RgbImage> {
    let refuse = |reason: String| Error::Image { name: name.to_owned(), reason };
    let format = format::detect(bytes).map_err(refuse)?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(refuse("is cut off before its end: copy or download it again".to_owned()));
    }
    let broken = |error: ImageError| refuse(describe(&error));

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(name, width.into(), height.into())?;
    // Damaged metadata does not make the picture unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;

    let mut upright = DynamicImage::ImageRgb8(to_rgb(decoded));
    upright.apply_orientation(orientation);
    let rgb = upright.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    RgbImage::from_pixels(name, width, height, rgb.into_raw())
}

/// Brings 16 bits to 8, lays what is transparent on white, and makes three equal channels of grey.
fn to_rgb(picture: DynamicImage) -> image::RgbImage {
    let (width, height) = (picture.width(), picture.height());
    let high = |value: &u16| (value >> 8) as u8;
    let rounded = |value: u16| ((u32::from(value) + 128) / 257) as u8;
    let pixels: Vec<u8> = match &picture {
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageLuma8(_) => return picture.into_rgb8(),
        DynamicImage::ImageLumaA8(grey) => grey.pixels().flat_map(|pixel| [on_white(pixel[0], pixel[1]); 3]).collect(),
        DynamicImage::ImageRgba8(rgba) => rgba.pixels().flat_map(|pixel| rgb_on_white(pixel.0)).collect(),
        DynamicImage::ImageLuma16(grey) => grey.as_raw().iter().flat_map(|&value| [rounded(value); 3]).collect(),
        DynamicImage::ImageLumaA16(grey) => {
            grey.pixels().flat_map(|pixel| [on_white(high(&pixel[0]), high(&pixel[1])); 3]).collect()
        }
        DynamicImage::ImageRgb16(rgb) => rgb.as_raw().iter().map(high).collect(),
        DynamicImage::ImageRgba16(rgba) => {
            rgba.pixels().flat_map(|pixel| rgb_on_white(pixel.0.map(|value| high(&value)))).collect()
        }
        _ => unreachable!("PNG, JPEG and WebP hold 8 or 16 bits"),
    };
    image::RgbImage::from_raw(width, height, pixels).expect("three bytes were written for each pixel")
}

fn rgb_on_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    [red, green, blue].map(|value| on_white(value, alpha))
}

/// A value over white, rounded as Pillow's `alpha_composite` does.
fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    // Of 255 * 255, with seven more bits.
    let sum = (value * alpha + 255 * (255 - alpha) + 128) << 7;
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

/// What a decoder complains about, in one line with a way out.
fn describe(error: &ImageError) -> String {
    match error {
        ImageError::Limits(_) => "needs too much memory to decode: save it again, without extra metadata".to_owned(),
        ImageError::Unsupported(what) => format!("uses a feature that is not read ({what}): save it again as PNG"),
        ImageError::IoError(what) if what.kind() == std::io::ErrorKind::UnexpectedEof => {
            "is cut off before its end: copy or download it again".to_owned()
        }
        other => format!("is damaged ({other}): copy or download it again"),
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn png(width: u32, height: u32, colour: ExtendedColorType, pixels: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        PngEncoder::new(&mut file).write_image(pixels, width, height, colour).unwrap();
        file
    }

    /// The size of a PNG changed in its header, the header's checksum with it.
    fn with_size(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = png[12..29].iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        png
    }

    fn refusal(file: &[u8]) -> String {
        let error = decode(file, "a.png").unwrap_err().to_string();
        assert!(error.starts_with("a.png: ") && !error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn every_kind_of_png_becomes_rgb() {
        let colours =
            |width, colour, pixels: &[u8]| decode(&png(width, 1, colour, pixels), "x").unwrap().pixels().to_vec();
        assert_eq!(colours(2, ExtendedColorType::L8, &[7, 200]), [7, 7, 7, 200, 200, 200]);
        assert_eq!(colours(2, ExtendedColorType::La8, &[7, 0, 7, 255]), [255, 255, 255, 7, 7, 7]);
        // Pillow: `alpha_composite` on white.
        let rgba = [1, 2, 3, 0, 4, 5, 6, 255, 0, 100, 200, 128, 10, 20, 30, 1];
        assert_eq!(colours(4, ExtendedColorType::Rgba8, &rgba), [255, 255, 255, 4, 5, 6, 127, 177, 227, 254, 254, 254]);
        // Cut off, 0x12ff is 0x12; rounded, 0x13.
        let wide = [0x12ff_u16, 0xff00, 0x00ff, 0xffff].map(u16::to_ne_bytes).concat();
        assert_eq!(colours(1, ExtendedColorType::Rgb16, &wide[..6]), [0x12, 0xff, 0]);
        assert_eq!(colours(1, ExtendedColorType::Rgba16, &wide), [0x12, 0xff, 0]);
        assert_eq!(colours(1, ExtendedColorType::L16, &wide[..2]), [0x13; 3]);
        assert_eq!(colours(1, ExtendedColorType::La16, &[&wide[..2], &wide[6..]].concat()), [0x12; 3]);
    }

    #[test]
    fn a_transparent_palette_colour_is_white() {
        // Written by Pillow: three pixels of a 2-bit palette, the second colour transparent.
        let file = bytes(
            "89504e470d0a1a0a0000000d4948445200000003000000010203000000668efc2700000009504c54450a141e28323c46505a16ac84\
             740000000274524e53ff00e5b7304a0000000a49444154789c63900000001a00192d88f4360000000049454e44ae426082",
        );
        assert_eq!(decode(&file, "x").unwrap().pixels(), [10, 20, 30, 255, 255, 255, 70, 80, 90]);
    }

    #[test]
    fn cmyk_is_taken_as_inverted() {
        // Written by Pillow from (255, 128, 0, 64), which it reads back as (0, 95, 191).
        let mut file = bytes("ffd8ffee000e41646f626500640000000000ffdb004300");
        file.extend([1; 64]);
        file.extend(bytes(
            "ffc000140800080008044311004d11005911004b1100ffc40017000003010000000000000000000000000004090a0bffc400141001\
             00000000000000000000000000000000ffda000e0443004d0059004b00003f00cffc3afe0fe1ffd9",
        ));
        let picture = decode(&file, "x").unwrap();
        assert_eq!((picture.width(), picture.height()), (8, 8));
        for pixel in picture.pixels().chunks_exact(3) {
            assert!(pixel.iter().zip([0_u8, 95, 191]).all(|(&a, b)| a.abs_diff(b) <= 1), "{pixel:?}");
        }
    }

    #[test]
    fn exif_orientation_is_applied() {
        // Where the pixels 1 2 3 / 4 5 6 of the file end up, as Pillow's `exif_transpose` has it.
        let expected: [(usize, [u8; 6]); 8] = [
            (3, [1, 2, 3, 4, 5, 6]),
            (3, [3, 2, 1, 6, 5, 4]),
            (3, [6, 5, 4, 3, 2, 1]),
            (3, [4, 5, 6, 1, 2, 3]),
            (2, [1, 4, 2, 5, 3, 6]),
            (2, [4, 1, 5, 2, 6, 3]),
            (2, [6, 3, 5, 2, 4, 1]),
            (2, [3, 6, 2, 5, 1, 4]),
        ];
        let pixels: Vec<u8> = (1..=6).flat_map(|value| [value; 3]).collect();
        for (orientation, (width, values)) in (1_u8..).zip(expected) {
            let exif = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation, 0, 0][..]].concat();
            let mut lossless = [Vec::new(), Vec::new()];
            let [png, webp] = &mut lossless;
            let mut encoder = PngEncoder::new(png);
            encoder.set_exif_metadata(exif.clone()).unwrap();
            encoder.write_image(&pixels, 3, 2, ExtendedColorType::Rgb8).unwrap();
            let mut encoder = WebPEncoder::new_lossless(webp);
            encoder.set_exif_metadata(exif).unwrap();
            encoder.write_image(&pixels, 3, 2, ExtendedColorType::Rgb8).unwrap();
            for file in lossless {
                let picture = decode(&file, "x").unwrap();
                let found: Vec<u8> = picture.pixels().iter().step_by(3).copied().collect();
                assert_eq!((picture.width(), &found[..]), (width, &values[..]), "orientation {orientation}");
            }
        }
    }

    #[test]
    fn an_animation_shows_its_first_picture_whatever_its_name() {
        // Written by Pillow: two pixels of (200, 10, 20), then of (0, 0, 255).
        let file = bytes(
            "524946468600000057454250565038580a00000002000000010000000000414e494d06000000000000000000414e4d462a00000000\
             0000000000010000000000640000025650384c110000002f010000000750852297a2ff8188e87f0000414e4d462800000000000000\
             0000010000000000640000005650384c0f0000002f010000000710d1fffe0722a2ff0100",
        );
        assert_eq!(decode(&file, "photo.jpg").unwrap().pixels(), [200, 10, 20, 200, 10, 20]);
    }

    #[test]
    fn bombs_and_empty_pictures_are_refused_by_their_header() {
        let file = png(1, 1, ExtendedColorType::L8, &[0]);
        assert!(refusal(&with_size(file.clone(), 65_000, 65_000)).contains("is 65000 x 65000 pixels; at most 16384"));
        assert!(refusal(&with_size(file.clone(), 16_000, 16_000)).contains("100 megapixels"));
        for (width, height) in [(0, 0), (0, 5), (5, 0)] {
            let error = refusal(&with_size(file.clone(), width, height));
            assert!(error.contains("no picture") || error.contains("damaged"), "{error}");
        }
        assert_eq!(decode(&with_size(file, 1, 1), "x").unwrap().pixels(), [0; 3]);
    }

    #[test]
    fn cut_off_and_damaged_files_are_refused() {
        // Noise, so that the data reach to the end of the file.
        let pixels: Vec<u8> = (0..40 * 40 * 3_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let [mut jpeg, mut webp] = [Vec::new(), Vec::new()];
        JpegEncoder::new(&mut jpeg).write_image(&pixels, 40, 40, ExtendedColorType::Rgb8).unwrap();
        WebPEncoder::new_lossless(&mut webp).write_image(&pixels, 40, 40, ExtendedColorType::Rgb8).unwrap();
        let mut png = png(40, 40, ExtendedColorType::Rgb8, &pixels);
        for file in [&jpeg, &webp, &png] {
            assert!(decode(file, "x").is_ok());
            for length in (0..file.len() - 40).step_by(61) {
                refusal(&file[..length]);
            }
        }
        let middle = png.len() / 2;
        png[middle] ^= 1;
        assert!(refusal(&png).contains("is damaged"));
        assert!(refusal(&jpeg[..jpeg.len() - 2]).contains("cut off"));
    }
}
