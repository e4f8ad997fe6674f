//! Line charts: a few points joined by a line, each with its value beside it and its label below.

use super::chart::{Chart, Mark};
use super::page::Page;
use crate::canvas::{Anchor, SIDE, circle, polygon, rectangle};
use crate::draw::Draw;

/// Of a point.
const RADIUS: f32 = 7.0;
/// Beside the first and the last label's room.
const MARGIN: f32 = 8.0;
/// What is free between labels.
const GAP: f32 = 10.0;

/// Draws a line chart.
pub(super) fn line(draw: &mut Draw, page: &mut Page) -> Chart {
    let count = draw.between(3, 4);
    let pitch = (SIDE - 2.0 * MARGIN) / count as f32;
    let chart = Chart::new(draw, page, Mark::Point, count..=count, pitch - GAP);
    let body = page.title(draw, chart.title);
    let height = page.fit(chart.labels(), pitch - GAP, draw.real(29.0, 33.0));
    let axis = SIDE - 1.5 * height;
    let room = RADIUS + 12.0 + 0.8 * height;
    let points = points(&chart, pitch, (body + room + draw.real(0.0, 10.0), axis - room));
    stroke(draw, page, &points);
    let rule = page.rule();
    page.canvas.line((6.0, axis), (SIDE - 6.0, axis), rule, 3.0);
    for (at, entry) in chart.entries.iter().enumerate() {
        let value = entry.value.to_string();
        let place = beside(&points, at, page.widest([value.as_str()], height) / 2.0, height);
        page.write(&value, place, height, Anchor::Middle);
        page.write(entry.label.printed, (points[at].0, axis + 0.6 * height), height, Anchor::Middle);
    }
    chart
}

/// Where the points lie: the largest value at the upper end, the smallest at the lower.
fn points(chart: &Chart, pitch: f32, (upper, lower): (f32, f32)) -> Vec<(f32, f32)> {
    let largest = chart.largest() as f32;
    let smallest = chart.entries.iter().map(|entry| entry.value as f32).fold(largest, f32::min);
    let unit = (lower - upper) / (largest - smallest);
    let place = |(at, value): (usize, f32)| (MARGIN + (at as f32 + 0.5) * pitch, lower - unit * (value - smallest));
    chart.entries.iter().map(|entry| entry.value as f32).enumerate().map(place).collect()
}

/// Where a value stands so that the line does not cross it: above its point and away from what rises beside it; below
/// where the line rises to both sides.
fn beside(points: &[(f32, f32)], at: usize, half_width: f32, height: f32) -> (f32, f32) {
    let (x, y) = points[at];
    let rises_left = at > 0 && points[at - 1].1 < y;
    let rises_right = at + 1 < points.len() && points[at + 1].1 < y;
    let away = RADIUS + 5.0 + 0.4 * height;
    // The number ends a little before the middle of the point: a steep line passes it.
    let aside = half_width + 1.0;
    match (rises_left, rises_right) {
        (true, true) => (x, y + away),
        (true, false) => (x + aside, y - away),
        (false, true) => (x - aside, y - away),
        (false, false) => (x, y - away),
    }
}

/// Draws the line and its points.
fn stroke(draw: &mut Draw, page: &mut Page, points: &[(f32, f32)]) {
    let (color, width) = (page.colors[0], draw.real(4.0, 6.0));
    for pair in points.windows(2) {
        page.canvas.line(pair[0], pair[1], color, width);
    }
    let shape = draw.below(3);
    let fill = if draw.chance(0.5) { color } else { page.ink };
    for &(x, y) in points {
        let path = match shape {
            0 => circle((x, y), RADIUS),
            1 => polygon(&[(x - RADIUS, y), (x, y - RADIUS), (x + RADIUS, y), (x, y + RADIUS)]),
            _ => rectangle((x - 6.0, y - 6.0), 12.0, 12.0),
        };
        page.canvas.fill(&path, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn heights_are_linear_in_values() {
        for index in 0..100 {
            let mut draw = Draw::new(Domain::Document, 6, index);
            let page = Page::new(&mut draw);
            let chart = Chart::new(&mut draw, &page, Mark::Point, 3..=4, 90.0);
            let points = points(&chart, 80.0, (60.0, 240.0));
            let rise = |a: usize, b: usize| points[a].1 - points[b].1;
            let difference = |a: usize, b: usize| chart.entries[b].value as f32 - chart.entries[a].value as f32;
            let unit = rise(0, 1) / difference(0, 1);
            assert!(unit > 0.0);
            for at in 1..points.len() {
                assert!((rise(0, at) - unit * difference(0, at)).abs() < 0.01, "{points:?} for {:?}", chart.entries);
            }
        }
    }
}
