//! Bar charts: upright with labels below, or lying with labels at the left. The value stands at the end of each bar.

use super::chart::{Chart, Mark};
use super::page::Page;
use crate::canvas::{Anchor, Rgb, SIDE, rectangle};
use crate::draw::Draw;

/// What is free between the labels of upright bars.
const GAP: f32 = 10.0;

/// A bar: its left upper corner, its width and its height.
type Bar = ((f32, f32), f32, f32);

/// Where upright bars stand.
struct Upright {
    /// The upper end of the highest bar.
    top: f32,
    /// The axis.
    base: f32,
    /// Left end of the first bar's slot.
    left: f32,
    /// Width of a slot.
    pitch: f32,
    /// How much of its slot a bar takes.
    part: f32,
}

impl Upright {
    fn bars(&self, chart: &Chart) -> Vec<Bar> {
        let unit = (self.base - self.top) / chart.largest() as f32;
        let place = |(at, value): (usize, u32)| {
            let (width, height) = (self.part * self.pitch, unit * value as f32);
            let left = self.left + (at as f32 + 0.5) * self.pitch - width / 2.0;
            ((left, self.base - height), width, height)
        };
        chart.entries.iter().map(|entry| entry.value).enumerate().map(place).collect()
    }
}

/// Draws upright bars.
pub(super) fn upright(draw: &mut Draw, page: &mut Page) -> Chart {
    let count = draw.between(3, 4);
    let pitch = (SIDE - 8.0) / count as f32;
    let chart = Chart::new(draw, page, Mark::Bar, count..=count, pitch - GAP);
    let body = page.title(draw, chart.title);
    let height = page.fit(chart.labels(), pitch - GAP, draw.real(29.0, 33.0));
    let base = SIDE - 1.5 * height + draw.real(-2.0, 2.0);
    let top = body + height + draw.real(0.0, 16.0);
    let bars = Upright { top, base, left: 4.0, pitch, part: draw.real(0.45, 0.75) }.bars(&chart);
    fill(draw, page, &bars);
    let rule = page.rule();
    page.canvas.line((6.0, base), (SIDE - 6.0, base), rule, 3.0);
    for (entry, ((left, top), width, _)) in chart.entries.iter().zip(bars) {
        let middle = left + width / 2.0;
        page.write(&entry.value.to_string(), (middle, top - 0.58 * height), height, Anchor::Middle);
        page.write(entry.label.printed, (middle, base + 0.6 * height), height, Anchor::Middle);
    }
    chart
}

/// Where lying bars begin and end.
struct Lying {
    /// The axis.
    base: f32,
    /// The right end of the longest bar.
    right: f32,
    /// Upper end of the first bar's slot.
    top: f32,
    /// Height of a slot.
    pitch: f32,
    /// How much of its slot a bar takes.
    part: f32,
}

impl Lying {
    fn bars(&self, chart: &Chart) -> Vec<Bar> {
        let unit = (self.right - self.base) / chart.largest() as f32;
        let place = |(at, value): (usize, u32)| {
            let (width, height) = (unit * value as f32, self.part * self.pitch);
            ((self.base, self.top + (at as f32 + 0.5) * self.pitch - height / 2.0), width, height)
        };
        chart.entries.iter().map(|entry| entry.value).enumerate().map(place).collect()
    }
}

/// Draws lying bars.
pub(super) fn lying(draw: &mut Draw, page: &mut Page) -> Chart {
    let chart = Chart::new(draw, page, Mark::Bar, 3..=5, 112.0);
    let body = page.title(draw, chart.title);
    let height = page.fit(chart.labels(), 120.0, draw.real(30.0, 35.0));
    let base = page.widest(chart.labels(), height) + 18.0;
    let right = SIDE - page.widest(["00"], height) - draw.real(14.0, 30.0);
    let pitch = (SIDE - 8.0 - body) / chart.entries.len() as f32;
    let bars = Lying { base, right, top: body, pitch, part: draw.real(0.45, 0.75) }.bars(&chart);
    fill(draw, page, &bars);
    let rule = page.rule();
    page.canvas.line((base, body + 2.0), (base, SIDE - 10.0), rule, 3.0);
    for (entry, ((_, top), width, thickness)) in chart.entries.iter().zip(bars) {
        let middle = top + thickness / 2.0;
        page.write(entry.label.printed, (base - 8.0, middle), height, Anchor::Right);
        page.write(&entry.value.to_string(), (base + width + 8.0, middle), height, Anchor::Left);
    }
    chart
}

/// Fills bars in one colour or each in its own, some with an outline.
fn fill(draw: &mut Draw, page: &mut Page, bars: &[Bar]) {
    let many = draw.chance(0.5);
    let outline = draw.chance(0.4).then_some(page.ink);
    for (at, (corner, width, height)) in bars.iter().enumerate() {
        let color: Rgb = page.colors[if many { at } else { 0 }];
        let path = rectangle(*corner, *width, *height);
        page.canvas.fill(&path, color);
        if let Some(ink) = outline {
            page.canvas.stroke(&path, ink, 2.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;
    use crate::document::page::SMALLEST;

    /// How long the bar of each entry is in pixels, along a line through its middle.
    fn measured(picture: &image::RgbImage, ground: Rgb, line: impl Fn(u32) -> (u32, u32)) -> f32 {
        let is_bar = |at: &u32| {
            let (x, y) = line(*at);
            let [r, g, b] = picture.get_pixel(x, y).0;
            // A title's band has the page's width: it is no bar.
            Rgb(r, g, b) != ground
        };
        (0..SIDE as u32).filter(is_bar).count() as f32
    }

    #[test]
    fn lengths_are_proportional_to_values() {
        for index in 0..100 {
            let mut draw = Draw::new(Domain::Document, 5, index);
            let mut page = Page::new(&mut draw);
            let chart = Chart::new(&mut draw, &page, Mark::Bar, 3..=4, 90.0);
            let upright = Upright { top: 40.0, base: 290.0, left: 10.0, pitch: 78.0, part: 0.6 };
            let lying = Lying { base: 90.0, right: 280.0, top: 20.0, pitch: 70.0, part: 0.5 };
            let stands = index % 2 == 0;
            let bars = if stands { upright.bars(&chart) } else { lying.bars(&chart) };
            for ((_, width, height), entry) in bars.iter().zip(&chart.entries) {
                let (length, longest) = if stands { (height, 250.0) } else { (width, 190.0) };
                let expected = longest * entry.value as f32 / chart.largest() as f32;
                assert!((length - expected).abs() < 0.01, "{length} for {}, expected {expected}", entry.value);
            }
            fill(&mut draw, &mut page, &bars);
            let ground = page.ground;
            let (_, picture) = page.take_apart();
            for (corner, width, height) in bars {
                let (x, y) = ((corner.0 + width / 2.0) as u32, (corner.1 + height / 2.0) as u32);
                let length = measured(&picture, ground, |at| if stands { (x, at) } else { (at, y) });
                let expected = if stands { height } else { width };
                // An outline of two units and two half-covered pixels.
                assert!((length - expected).abs() <= 4.0, "{length} pixels, expected {expected}");
            }
        }
    }

    #[test]
    fn the_smallest_label_height_fits_four_upright_bars() {
        let mut draw = Draw::new(Domain::Document, 5, 0);
        let page = Page::new(&mut draw);
        let chart = Chart::new(&mut draw, &page, Mark::Bar, 4..=4, 72.0);
        assert!(page.fit(chart.labels(), 72.0, 40.0) >= SMALLEST);
    }
}
