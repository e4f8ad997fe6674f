//! Pictures of every kind: read as documented, or refused in one line that names the file and a way out.

use std::path::{Path, PathBuf};

use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{Checkpoint, Tensors, model, picture};
use crate::program::{ask, on_cpu};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The pixel values that the model gets of a picture.
fn seen(path: &Path, flags: &[&str]) -> Vec<f32> {
    let folder = folder();
    let out = folder.path().join("out.safetensors");
    let dump = on_cpu("dump", model("mha")).images([path]).args(["--prompt", "<image>", "--out"]).arg(&out);
    dump.args(flags).succeed();
    Tensors::read(&out).floats("pixel_values")
}

/// The largest difference of two pictures, in steps of 255.
fn steps(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // The smallest of CLIP's standard deviations: no colour is judged too mildly.
    a.iter().zip(b).map(|(a, b)| (a - b).abs() * 0.2758 * 255.0).fold(0.0, f32::max)
}

/// A picture with these bytes is refused with these words, beside its name.
fn refused(name: &str, bytes: impl AsRef<[u8]>, words: &[&str]) {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("writes");
    ask(model("mha"), "hi").images([&path]).refuse(&[&[name], words].concat());
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(picture(name)).expect("committed")
}

fn saved(folder: &TempDir, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
    let path = folder.path().join(name);
    image.into().save(&path).expect("writes");
    path
}

#[test]
fn corrupt_or_cut_off() {
    let png = bytes_of("landscape.png");
    refused("cut.png", &png[..png.len() / 2], &["cut off", "download it again"]);
    let mut corrupt = png.clone();
    corrupt[60..80].fill(0xa5);
    refused("corrupt.png", corrupt, &["damaged", "download it again"]);
    let jpeg = bytes_of("portrait.jpg");
    refused("cut.jpg", &jpeg[..jpeg.len() / 2], &["cut off"]);
    refused("head.jpg", &jpeg[..4], &["cut off"]);
}

#[test]
fn empty_file() {
    refused("empty.png", "", &["0 bytes"]);
}

#[test]
fn other_formats_are_named() {
    refused("x.gif", "GIF89a\x01\0\x01\0", &["is a GIF", "PNG, JPEG and WebP are read", "save it as"]);
    refused("x.png", "<!doctype html><html>404</html>", &["a web page"]);
    refused("x.jpg", "version https://git-lfs.github.com/spec/v1\n", &["git lfs pull"]);
    refused("x.heic", "\0\0\0\x18ftypheic\0\0\0\0", &["HEIC"]);
    refused("x.webp", "some text", &["not a PNG, JPEG or WebP"]);
}

#[test]
fn wrong_extension() {
    let folder = folder();
    for name in ["picture.jpg", "picture.txt", "picture"] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes_of("landscape.png")).expect("writes");
        assert_eq!(seen(&path, &[]), seen(&picture("landscape.png"), &[]), "{name}");
    }
}

/// The size of a PNG changed in its header, the header's checksum with it.
fn with_size(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = png[12..29]
        .iter()
        .fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1))));
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

#[test]
fn bomb() {
    for (width, height) in [(65_000, 65_000), (1, 65_000), (16_384, 16_384)] {
        let bytes = with_size(bytes_of("landscape.png"), width, height);
        refused("bomb.png", bytes, &[&format!("{width} x {height}"), "at most", "scale it down"]);
    }
    // A row is more than may be decoded at once: found before the size is.
    refused("bomb.png", with_size(bytes_of("landscape.png"), u32::MAX >> 1, 1), &["too much memory"]);
}

#[test]
fn no_pixels() {
    for (width, height) in [(0, 0), (0, 10), (10, 0)] {
        refused("none.png", with_size(bytes_of("landscape.png"), width, height), &["none.png"]);
    }
}

/// Scaled so that its shorter edge fits a tower of 336 pixels, a strip of 1 x 10000 would have a thousand megapixels.
#[test]
fn strip_of_one_pixel_by_ten_thousand() {
    let folder = folder();
    for (width, height) in [(1, 10_000), (10_000, 1)] {
        let strip = saved(&folder, "strip.png", RgbImage::from_pixel(width, height, Rgb([200, 10, 10])));
        let copy = Checkpoint::of("mha");
        copy.json("preprocessor_config.json", |config| config["size"] = json!({ "shortest_edge": 336 }));
        let words = [format!("{width} x {height}"), "too oblong".to_owned(), "pad it to a square".to_owned()];
        ask(&copy, "hi")
            .images([&strip])
            .refuse(&[&["strip.png"][..], &words.each_ref().map(|word| word.as_str())].concat());
        // The way out.
        ask(&copy, "hi").images([&strip]).args(["--image-aspect-ratio", "pad"]).tokens(2).succeed();
        // A tower of 24 pixels takes it as it is: all of the one colour.
        let pixels = seen(&strip, &[]);
        assert!(pixels[..24 * 24].iter().all(|&value| (value - pixels[0]).abs() < 0.02));
    }
    let strip = saved(&folder, "strip.png", RgbImage::new(1, 11_000));
    let padded = ask(model("mha"), "hi").images([&strip]).args(["--image-aspect-ratio", "pad"]);
    padded.refuse(&["strip.png", "too oblong", "11000 x 11000", "cut out"]);
}

#[test]
fn sixteen_bits_keep_their_grey() {
    // The same scene as gray.png, drawn at another size: compared by its mean.
    let mean = |values: Vec<f32>| values.iter().sum::<f32>() / values.len() as f32;
    let (deep, plain) = (seen(&picture("gray16.png"), &[]), seen(&picture("gray.png"), &[]));
    assert!((mean(deep.clone()) - mean(plain)).abs() < 0.3);
    // Exactly, where the low byte is known.
    let folder = folder();
    let grey = image::GrayImage::from_fn(24, 24, |x, y| image::Luma([(x * 10 + y) as u8]));
    let wide = image::ImageBuffer::from_fn(24, 24, |x, y| image::Luma([u16::from(grey.get_pixel(x, y)[0]) * 257]));
    let deep = saved(&folder, "deep.png", DynamicImage::ImageLuma16(wide));
    assert_eq!(seen(&deep, &[]), seen(&saved(&folder, "plain.png", grey), &[]));
}

/// The scene of cmyk.jpg is that of landscape.png at another size; a negative would be far off.
#[test]
fn cmyk_is_no_negative() {
    let cmyk = seen(&picture("cmyk.jpg"), &["--image-aspect-ratio", "crop"]);
    let plain = seen(&picture("landscape.png"), &["--image-aspect-ratio", "crop"]);
    let mean_difference = cmyk.iter().zip(&plain).map(|(a, b)| (a - b).abs()).sum::<f32>() / cmyk.len() as f32;
    let negative = cmyk.iter().zip(&plain).map(|(a, b)| (a + b).abs()).sum::<f32>() / cmyk.len() as f32;
    assert!(mean_difference < 0.5 && mean_difference < negative / 2.0, "{mean_difference}, {negative}");
}

#[test]
fn alpha_is_laid_on_white() {
    let folder = folder();
    let clear = RgbaImage::from_fn(24, 24, |x, y| Rgba([(x * 9) as u8, (y * 9) as u8, 77, 0]));
    let white = RgbImage::from_pixel(24, 24, Rgb([255; 3]));
    let white = seen(&saved(&folder, "white.png", white), &[]);
    assert_eq!(seen(&saved(&folder, "clear.png", clear), &[]), white);
    let half = seen(&saved(&folder, "half.png", RgbaImage::from_pixel(24, 24, Rgba([0, 0, 0, 128]))), &[]);
    let grey = seen(&saved(&folder, "grey.png", RgbImage::from_pixel(24, 24, Rgb([127; 3]))), &[]);
    assert!(steps(&half, &grey) <= 1.01);
}

#[test]
fn exif_rotated_pictures_stand_upright() {
    let folder = folder();
    let path = picture("exif6.jpg");
    let lying = image::open(&path).expect("a JPEG");
    let upright = saved(&folder, "upright.png", lying.rotate90());
    let lying = saved(&folder, "lying.png", lying);
    for ratio in ["crop", "pad"] {
        let flags = ["--image-aspect-ratio", ratio];
        assert_eq!(seen(&path, &flags), seen(&upright, &flags));
        assert_ne!(seen(&path, &flags), seen(&lying, &flags));
    }
}

#[test]
fn webp_is_read() {
    let folder = folder();
    let scene = image::open(picture("landscape.png")).expect("a PNG");
    assert_eq!(seen(&saved(&folder, "scene.webp", scene), &[]), seen(&picture("landscape.png"), &[]));
}

#[test]
fn missing_file_and_folder() {
    let folder = folder();
    let missing = folder.path().join("missing.png");
    ask(model("mha"), "hi").images([&missing]).refuse(&["missing.png", "cannot read the picture"]);
    let named = folder.path().join("folder.png");
    std::fs::create_dir(&named).expect("makes");
    ask(model("mha"), "hi").images([&named]).refuse(&["folder.png", "is not a file", "PNG, JPEG or WebP"]);
    // Said before the model is loaded.
    ask(folder.path().join("no-model"), "hi").images([&missing]).refuse(&["missing.png"]);
}

#[test]
fn one_bad_picture_of_two_is_named() {
    let folder = folder();
    let bad = folder.path().join("second.png");
    std::fs::write(&bad, "").expect("writes");
    ask(model("two_images"), "hi").images([&picture("gray.png"), &bad]).refuse(&["second.png", "0 bytes"]);
}
