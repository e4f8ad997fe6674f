//! A picture to draw on, in pixels and fractions of them.
//!
//! Plotters draws at whole units, which makes a smooth curve a staircase. The picture is therefore drawn at [`UNITS`]
//! times its size, and its header says the true one: the viewer scales it down.

use std::path::Path;

use anyhow::Context;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use llava_mole::palette::Rgb;

/// Drawing units a pixel.
const UNITS: f64 = 8.0;

/// Plotters' SVG backend writes a font size divided by this.
const FONT_SCALE: f64 = 1.24;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The picture while it is drawn; positions and sizes are pixels from the upper left corner.
pub struct Canvas<'a> {
    area: Area<'a>,
}

/// Which point of a text its position names. Vertically it is always the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The text starts there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
    /// The text is centred there and runs upwards.
    Upwards,
}

impl Canvas<'_> {
    /// Draws a picture on white and writes it.
    pub fn save(
        out: &Path,
        (width, height): (f64, f64),
        draw: impl FnOnce(&Canvas<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let units = (unit(width) as u32, unit(height) as u32);
        let mut svg = String::new();
        {
            let canvas = Canvas { area: SVGBackend::with_string(&mut svg, units).into_drawing_area() };
            canvas.area.fill(&WHITE)?;
            draw(&canvas)?;
            canvas.area.present()?;
        }
        let drawn = format!(r#"width="{}" height="{}""#, units.0, units.1);
        let shown = format!(r#"width="{width}" height="{height}""#);
        std::fs::write(out, svg.replacen(&drawn, &shown, 1)).with_context(|| out.display().to_string())
    }

    /// A line through points.
    pub fn line(&self, points: &[(f64, f64)], color: Rgb, width: f64) -> anyhow::Result<()> {
        let points: Vec<_> = points.iter().map(place).collect();
        self.area.draw(&PathElement::new(points, plotters_color(color).stroke_width(unit(width) as u32)))?;
        Ok(())
    }

    /// A filled rectangle.
    pub fn rect(&self, (x, y): (f64, f64), (width, height): (f64, f64), color: Rgb) -> anyhow::Result<()> {
        let corners = [place(&(x, y)), place(&(x + width, y + height))];
        self.area.draw(&Rectangle::new(corners, plotters_color(color).filled()))?;
        Ok(())
    }

    /// A filled disc with a white rim, which keeps it apart from a line below it.
    pub fn dot(&self, center: (f64, f64), radius: f64, color: Rgb) -> anyhow::Result<()> {
        self.area.draw(&Circle::new(place(&center), unit(radius + 1.0) as u32, WHITE.filled()))?;
        self.area.draw(&Circle::new(place(&center), unit(radius) as u32, plotters_color(color).filled()))?;
        Ok(())
    }

    /// One line of text.
    pub fn text(&self, text: &str, at: (f64, f64), anchor: Anchor, size: f64, color: Rgb) -> anyhow::Result<()> {
        let (horizontal, transform) = match anchor {
            Anchor::Start => (HPos::Left, FontTransform::None),
            Anchor::Middle => (HPos::Center, FontTransform::None),
            Anchor::End => (HPos::Right, FontTransform::None),
            Anchor::Upwards => (HPos::Center, FontTransform::Rotate270),
        };
        let color = plotters_color(color);
        let font = ("sans-serif", size * UNITS * FONT_SCALE).into_font().transform(transform);
        let style = TextStyle::from(font).color(&color).pos(Pos::new(horizontal, VPos::Center));
        self.area.draw(&Text::new(printable(text), place(&at), style))?;
        Ok(())
    }
}

/// A name that has room for so many characters.
pub fn shortened(name: &str, chars: usize) -> String {
    match name.char_indices().nth(chars) {
        None => name.to_owned(),
        Some(_) => name.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// XML 1.0 has no place for control characters, not even escaped.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn unit(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

fn place((x, y): &(f64, f64)) -> (i32, i32) {
    (unit(*x), unit(*y))
}

fn plotters_color(Rgb(r, g, b): Rgb) -> RGBColor {
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_shown_at_its_true_size() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("x.svg");
        Canvas::save(&out, (100.0, 50.0), |canvas| {
            canvas.text("<a & \u{1}b>", (50.0, 25.0), Anchor::Upwards, 10.0, Rgb(1, 2, 3))?;
            canvas.line(&[(0.0, 0.0), (12.5, 0.125)], Rgb(0, 0, 0), 1.5)
        })
        .unwrap();
        let svg = std::fs::read_to_string(&out).unwrap();
        assert!(svg.starts_with(r#"<svg width="100" height="50" viewBox="0 0 800 400""#), "{svg}");
        assert!(svg.contains("&lt;a &amp;  b&gt;") && svg.contains("100,1 "), "{svg}");
        assert!(svg.contains(r#"font-size="80""#) && svg.trim_end().ends_with("</svg>"), "{svg}");
    }

    #[test]
    fn names_are_shortened_by_characters() {
        assert_eq!(shortened("chart", 5), "chart");
        assert_eq!(shortened("charts", 5), "char…");
        assert_eq!(shortened("图表图表", 3), "图表…");
    }
}
