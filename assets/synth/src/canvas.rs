//! A sheet to draw on: filled and stroked paths, and words.
//!
//! Everything is placed in units of the sheet, which is [`SIDE`] units wide and high whatever its pixels.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use image::RgbImage;
use tiny_skia::{FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

/// Width and height of a sheet, in its units and in pixels.
pub(crate) const SIDE: f32 = 336.0;

static FONT: &[u8] = include_bytes!("../fonts/DejaVuSans-Bold-ascii.ttf");

/// An opaque colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// The colour between this and another: 0 is this, 1 the other.
    pub fn mix(self, other: Self, part: f32) -> Self {
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round().clamp(0.0, 255.0) as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }
}

/// A sheet.
pub(crate) struct Canvas {
    pixmap: Pixmap,
    font: FontRef<'static>,
}

impl Canvas {
    /// An empty sheet of one colour.
    pub fn new(background: Rgb) -> Self {
        let mut pixmap = Pixmap::new(SIDE as u32, SIDE as u32).expect("the side is not zero");
        pixmap.fill(tiny_skia::Color::from_rgba8(background.0, background.1, background.2, 255));
        Self { pixmap, font: FontRef::try_from_slice(FONT).expect("the font in the crate is whole") }
    }

    /// Fills a path.
    pub fn fill(&mut self, path: &Path, color: Rgb) {
        self.pixmap.fill_path(path, &paint(color, 255), FillRule::EvenOdd, Transform::identity(), None);
    }

    /// Fills a path so that what is below shows through: 0 is nothing, 255 opaque.
    pub fn tint(&mut self, path: &Path, color: Rgb, alpha: u8) {
        self.pixmap.fill_path(path, &paint(color, alpha), FillRule::EvenOdd, Transform::identity(), None);
    }

    /// Draws along a path.
    pub fn stroke(&mut self, path: &Path, color: Rgb, width: f32) {
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint(color, 255), &stroke, Transform::identity(), None);
    }

    /// Draws a straight line.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), color: Rgb, width: f32) {
        let mut path = PathBuilder::new();
        path.move_to(from.0, from.1);
        path.line_to(to.0, to.1);
        if let Some(path) = path.finish() {
            self.stroke(&path, color, width);
        }
    }

    /// Writes a letter whose lines are `height` apart; its advance is centred on the point, which is on the line that
    /// letters stand on. One that is wider than `widest` is narrowed to that.
    pub fn letter(&mut self, letter: char, at: (f32, f32), height: f32, widest: f32, color: Rgb) {
        let mut scale = self.scale(height);
        let glyph = self.font.glyph_id(letter);
        let Some(outline) = self.font.outline(glyph) else { return };
        let width = outline.bounds.width() * self.font.as_scaled(scale).h_scale_factor();
        scale.x *= (widest / width).min(1.0);
        let left = at.0 - self.font.as_scaled(scale).h_advance(glyph) / 2.0;
        let placed = glyph.with_scale_and_position(scale, ab_glyph::point(left, at.1));
        let Some(outline) = self.font.outline_glyph(placed) else { return };
        let corner = outline.px_bounds().min;
        let pixmap = &mut self.pixmap;
        outline.draw(|x, y, coverage| {
            blend(pixmap, corner.x as i32 + x as i32, corner.y as i32 + y as i32, color, coverage);
        });
    }

    /// What makes one em of the font `height` pixels high.
    fn scale(&self, height: f32) -> PxScale {
        let units = self.font.units_per_em().expect("the font in the crate has a size");
        PxScale::from(height * self.font.height_unscaled() / units)
    }

    /// Changes every pixel: `change(x, y, color)`.
    pub fn each_pixel(&mut self, mut change: impl FnMut(u32, u32, Rgb) -> Rgb) {
        let width = self.pixmap.width();
        for (index, pixel) in self.pixmap.data_mut().chunks_exact_mut(4).enumerate() {
            let (x, y) = (index as u32 % width, index as u32 / width);
            let Rgb(r, g, b) = change(x, y, Rgb(pixel[0], pixel[1], pixel[2]));
            pixel[..3].copy_from_slice(&[r, g, b]);
        }
    }

    /// The picture.
    pub fn finish(self) -> RgbImage {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        let pixels = self.pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        RgbImage::from_raw(width, height, pixels).expect("three bytes a pixel")
    }
}

fn paint(color: Rgb, alpha: u8) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(color.0, color.1, color.2, alpha);
    paint.anti_alias = true;
    paint
}

/// The sheet is opaque throughout, so its premultiplied pixels are plain colours.
fn blend(pixmap: &mut Pixmap, x: i32, y: i32, color: Rgb, coverage: f32) {
    let (width, height) = (pixmap.width() as i32, pixmap.height() as i32);
    if !(0..width).contains(&x) || !(0..height).contains(&y) {
        return;
    }
    let at = 4 * (y * width + x) as usize;
    let pixel = &mut pixmap.data_mut()[at..at + 3];
    let below = Rgb(pixel[0], pixel[1], pixel[2]);
    let Rgb(r, g, b) = below.mix(color, coverage.clamp(0.0, 1.0));
    pixel.copy_from_slice(&[r, g, b]);
}

/// A circle.
pub(crate) fn circle(center: (f32, f32), radius: f32) -> Path {
    PathBuilder::from_circle(center.0, center.1, radius).expect("a circle of finite size")
}

/// A rectangle by its left upper corner.
pub(crate) fn rectangle(corner: (f32, f32), width: f32, height: f32) -> Path {
    let rect = tiny_skia::Rect::from_xywh(corner.0, corner.1, width, height).expect("a rectangle of finite size");
    PathBuilder::from_rect(rect)
}

/// A closed polygon.
pub(crate) fn polygon(points: &[(f32, f32)]) -> Path {
    let mut path = PathBuilder::new();
    path.move_to(points[0].0, points[0].1);
    points[1..].iter().for_each(|point| path.line_to(point.0, point.1));
    path.close();
    path.finish().expect("a polygon of finite size")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Rgb = Rgb(255, 255, 255);
    const BLACK: Rgb = Rgb(0, 0, 0);

    /// Columns and rows that hold something dark: left, right, top, bottom.
    fn ink(canvas: Canvas) -> [u32; 4] {
        let picture = canvas.finish();
        let dark: Vec<_> = picture.enumerate_pixels().filter(|(.., p)| p.0[0] < 128).map(|(x, y, _)| (x, y)).collect();
        let (columns, rows) = (dark.iter().map(|p| p.0), dark.iter().map(|p| p.1));
        [columns.clone().min(), columns.max(), rows.clone().min(), rows.max()].map(Option::unwrap)
    }

    #[test]
    fn letters_are_centred_on_their_point_and_no_wider_than_allowed() {
        for (letter, widest) in [('H', 40.0), ('H', 12.0), ('W', 24.0)] {
            let mut canvas = Canvas::new(WHITE);
            canvas.letter(letter, (100.0, 150.0), 30.0, widest, BLACK);
            let [left, right, top, bottom] = ink(canvas).map(|at| at as f32);
            assert!(((left + right + 1.0) / 2.0 - 100.0).abs() <= 1.0, "{letter}: {left} to {right}");
            assert!(right + 1.0 - left <= widest, "{letter}: {left} to {right}");
            assert!(widest > 30.0 || right + 1.0 - left > widest - 3.0, "{letter}: {left} to {right}");
            assert!((bottom + 1.0 - 150.0).abs() <= 1.0, "{letter} stands on {bottom}");
            assert!((bottom + 1.0 - top - 0.73 * 30.0).abs() < 1.5, "{letter}: {top} to {bottom}");
        }
    }

    #[test]
    fn letters_that_leave_the_sheet_are_cut() {
        let mut canvas = Canvas::new(WHITE);
        canvas.letter('M', (SIDE - 5.0, 20.0), 40.0, 40.0, BLACK);
        let [left, right, top, _] = ink(canvas);
        assert!(left > 310 && right == 335 && top == 0);
    }

    #[test]
    fn paths_are_filled_where_they_lie() {
        let mut canvas = Canvas::new(WHITE);
        canvas.fill(&rectangle((10.0, 20.0), 30.0, 40.0), BLACK);
        assert_eq!(ink(canvas), [10, 39, 20, 59]);
    }
}
