//! A trace as a picture for a paper: the pictures in grey with their patches tinted, and below them how much of each layer every
//! expert got. White ground, no window around it.
//!
//! There is no text in it: a paper has its own. What would be written is said by order and colour. The squares above the
//! columns of the lower part are the experts' colours, from expert 0 at the left; its rows are the layers, from the first
//! at the top; the bar beside it runs from a share of 0 (bottom) to 1 (top), or with more than four experts to four times
//! an even share.

use std::io::Cursor;

use image::{ImageFormat, Rgb as Pixel, RgbImage as Canvas, imageops};
use mole_runtime::image::{RgbImage, decode};

use super::digest::Digest;
use super::grey::grey;
use super::layers::LayerChoice;
use super::patches::PatchMap;
use super::sums::Part;
use super::trace::Trace;
use crate::palette::{PALE, Rgb, expert_color, mix, scale_color, share_color};

/// Around and between.
const GAP: u32 = 24;
/// The longer side of a picture.
const PICTURE: u32 = 384;
/// Pictures in a row.
const ROW: u32 = 4;
/// A cell of the lower part: an expert in a layer.
const CELL: (u32, u32) = (36, 18);
/// The squares of the experts, and what separates them from the cells.
const SWATCH: (u32, u32) = (18, 8);
/// The bar of shares.
const BAR: u32 = 18;

/// Draws a trace as PNG; the lower part counts the tokens of `part`.
///
/// - `digest`: of the same trace.
/// - `strength`: how much a tint covers, from 0 to 1.
///
/// # Panics
/// Never: a picture in memory can be encoded into memory.
pub fn figure(trace: &Trace, digest: &Digest, layers: LayerChoice, part: Part, strength: f32) -> Vec<u8> {
    let tiles: Vec<Canvas> = digest
        .pictures()
        .iter()
        .zip(&trace.pictures)
        .map(|(map, picture)| match decode(&picture.bytes, &picture.name) {
            Ok(picture) => tinted(&picture, map, trace, digest, layers, strength),
            Err(_) => Canvas::from_pixel(PICTURE, PICTURE, pixel(PALE)),
        })
        .collect();
    let matrix = digest.sums().matrix(part);
    let (experts, layers) = (digest.sums().experts() as u32, matrix.len() as u32);
    let rows = (tiles.len() as u32).div_ceil(ROW);
    let top = GAP + rows * (PICTURE + GAP);
    let across = (tiles.len() as u32).min(ROW) * (PICTURE + GAP);
    let width = (across + GAP).max(GAP + experts * CELL.0 + GAP + BAR + GAP);
    let height = top + SWATCH.0 + SWATCH.1 + layers * CELL.1 + GAP;
    let mut canvas = Canvas::from_pixel(width, height, Pixel([255; 3]));
    for (index, tile) in tiles.iter().enumerate() {
        let (column, row) = (index as u32 % ROW, index as u32 / ROW);
        let (x, y) = (GAP + column * (PICTURE + GAP), GAP + row * (PICTURE + GAP));
        imageops::replace(&mut canvas, tile, i64::from(x), i64::from(y));
    }
    draw_matrix(&mut canvas, (GAP, top), &matrix, experts);
    let mut bytes = Cursor::new(Vec::new());
    canvas.write_to(&mut bytes, ImageFormat::Png).expect("a picture in memory is encoded into memory");
    bytes.into_inner()
}

/// The experts' squares, a cell for each of them in every layer, the bar.
fn draw_matrix(canvas: &mut Canvas, (left, top): (u32, u32), matrix: &[Vec<f64>], experts: u32) {
    for expert in 0..experts {
        let x = left + expert * CELL.0 + (CELL.0 - SWATCH.0) / 2;
        fill(canvas, (x, top), (SWATCH.0, SWATCH.0), expert_color(expert as usize));
    }
    let top = top + SWATCH.0 + SWATCH.1;
    for (layer, shares) in (0..).zip(matrix) {
        for expert in 0..experts {
            let share = shares.get(expert as usize);
            let color = share.map_or(PALE, |share| share_color(*share as f32, experts as usize));
            fill(canvas, (left + expert * CELL.0, top + layer * CELL.1), CELL, color);
        }
    }
    let (x, height) = (left + experts * CELL.0 + GAP, matrix.len() as u32 * CELL.1);
    for y in 0..height {
        let share = 1.0 - (y as f32 + 0.5) / height as f32;
        fill(canvas, (x, top + y), (BAR, 1), scale_color(share));
    }
}

fn fill(canvas: &mut Canvas, (left, top): (u32, u32), (width, height): (u32, u32), color: Rgb) {
    for (x, y) in (left..left + width).flat_map(|x| (top..top + height).map(move |y| (x, y))) {
        canvas.put_pixel(x, y, pixel(color));
    }
}

/// A picture in grey and what its patches cover beyond it, scaled, each patch tinted.
fn tinted(
    picture: &RgbImage,
    map: &PatchMap,
    trace: &Trace,
    digest: &Digest,
    layers: LayerChoice,
    strength: f32,
) -> Canvas {
    let (width, height) = (picture.width() as f64, picture.height() as f64);
    let area = trace.patches.area(picture.width(), picture.height());
    let frame = area.with_picture(picture.width(), picture.height());
    let scale = f64::from(PICTURE) / frame.width.max(frame.height);
    let pixels = |length: f64| ((length * scale).round() as u32).clamp(1, PICTURE);
    let source = Canvas::from_raw(picture.width() as u32, picture.height() as u32, grey(picture.pixels()))
        .expect("three bytes a pixel");
    let scaled = imageops::resize(&source, pixels(width), pixels(height), imageops::FilterType::Triangle);
    let mut tile = Canvas::from_pixel(pixels(frame.width), pixels(frame.height), pixel(PALE));
    let offset = |at: f64| (-at * scale).round() as i64;
    imageops::replace(&mut tile, &scaled, offset(frame.left), offset(frame.top));
    for (x, y, pixel) in tile.enumerate_pixels_mut() {
        // The middle of the pixel, in the picture's own.
        let at = |at: u32, start: f64| start + (f64::from(at) + 0.5) / scale;
        let cell = |at: f64, start: f64, length: f64| (at - start) / length * map.per_side() as f64;
        let column = cell(at(x, frame.left), area.left, area.width);
        let row = cell(at(y, frame.top), area.top, area.height);
        let token = (row >= 0.0 && column >= 0.0).then(|| map.token(row as usize, column as usize)).flatten();
        if let Some(favourite) = token.and_then(|token| digest.favourite(trace, token, layers)) {
            let [r, g, b] = pixel.0;
            let tint = strength.clamp(0.0, 1.0) * favourite.agreement;
            let Rgb(r, g, b) = mix(Rgb(r, g, b), expert_color(favourite.expert), tint);
            pixel.0 = [r, g, b];
        }
    }
    tile
}

fn pixel(Rgb(r, g, b): Rgb) -> Pixel<u8> {
    Pixel([r, g, b])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mole_runtime::engine::Picture;

    use super::super::testing::{patch, trace, word};
    use super::*;

    /// A grey picture of this size.
    fn grey(width: u32, height: u32) -> Picture {
        let mut bytes = Cursor::new(Vec::new());
        Canvas::from_pixel(width, height, Pixel([128; 3])).write_to(&mut bytes, ImageFormat::Png).expect("encodes");
        Picture { name: "grey.png".to_string(), bytes: Arc::from(bytes.into_inner()) }
    }

    fn draw(trace: &Trace, strength: f32) -> Canvas {
        let mut digest = Digest::new(trace);
        digest.take(trace, usize::MAX);
        let bytes = figure(trace, &digest, LayerChoice::One(0), Part::All, strength);
        image::load_from_memory_with_format(&bytes, ImageFormat::Png).expect("a PNG").to_rgb8()
    }

    /// Four patches of a picture of this size; the last is still to come.
    fn one_picture(width: u32, height: u32) -> Trace {
        let tokens =
            vec![patch(0, 0, 0, &[0], 2), patch(0, 0, 1, &[1], 2), patch(0, 1, 0, &[1], 2), word("a", &[0], 2)];
        Trace { pictures: vec![grey(width, height)], ..trace(2, 1, tokens) }
    }

    fn at(canvas: &Canvas, x: u32, y: u32) -> Rgb {
        let [r, g, b] = canvas.get_pixel(x, y).0;
        Rgb(r, g, b)
    }

    #[test]
    fn patches_have_their_experts_colour_where_they_lie() {
        let canvas = draw(&one_picture(64, 64), 1.0);
        let (near, far) = (GAP + 10, GAP + PICTURE - 10);
        assert_eq!(at(&canvas, near, near), expert_color(0));
        assert_eq!(at(&canvas, far, near), expert_color(1));
        assert_eq!(at(&canvas, near, far), expert_color(1));
        assert_eq!(at(&canvas, far, far), Rgb(128, 128, 128), "its token did not come yet");
        assert_eq!(at(&canvas, 2, 2), Rgb(255, 255, 255));
        assert_eq!(at(&draw(&one_picture(64, 64), 0.0), near, near), Rgb(128, 128, 128));
    }

    #[test]
    fn what_a_cropped_picture_loses_is_not_tinted() {
        // The default grid crops: of 200 x 100 the middle 100 x 100 is seen.
        let canvas = draw(&one_picture(200, 100), 1.0);
        let quarter = PICTURE / 4;
        assert_eq!(at(&canvas, GAP + quarter - 6, GAP + 5), Rgb(128, 128, 128));
        assert_eq!(at(&canvas, GAP + quarter + 6, GAP + 5), expert_color(0));
        assert_eq!(at(&canvas, GAP + 3 * quarter - 6, GAP + 5), expert_color(1));
        assert_eq!(at(&canvas, GAP + 3 * quarter + 6, GAP + 5), Rgb(128, 128, 128));
        assert_eq!(at(&canvas, GAP + 5, GAP + PICTURE / 2 + 5), Rgb(255, 255, 255), "below the picture");
    }

    #[test]
    fn the_lower_part_has_a_cell_for_every_expert_and_layer() {
        let canvas = draw(&one_picture(64, 64), 1.0);
        let top = GAP + PICTURE + GAP;
        assert_eq!(at(&canvas, GAP + CELL.0 / 2, top + 5), expert_color(0));
        assert_eq!(at(&canvas, GAP + CELL.0 + CELL.0 / 2, top + 5), expert_color(1));
        let cells = top + SWATCH.0 + SWATCH.1;
        // Two of the four tokens went to each.
        assert_eq!(at(&canvas, GAP + 3, cells + 3), scale_color(0.5));
        assert_eq!(at(&canvas, GAP + CELL.0 + 3, cells + 3), scale_color(0.5));
    }

    #[test]
    fn odd_traces_are_drawn() {
        let empty = draw(&trace(0, 0, Vec::new()), 0.5);
        assert!(empty.width() > 0 && empty.height() > 0);
        let mut broken = one_picture(8, 8);
        broken.pictures[0].bytes = Arc::from(*b"no picture");
        assert_eq!(at(&draw(&broken, 0.5), GAP + 5, GAP + 5), PALE);
        let five = Trace {
            pictures: vec![grey(8, 8); 5],
            ..trace(1, 1, (0..5).map(|image| patch(image, 0, 0, &[0], 1)).collect())
        };
        let canvas = draw(&five, 1.0);
        assert_eq!(at(&canvas, GAP + 5, GAP + PICTURE + GAP + 5), expert_color(0), "the fifth begins a row");
    }
}
