//! Line charts: a few points joined by a line, each with its value beside it and its label below.

use super::chart::{Chart, Mark, SHORT, SLOT, SLOTS};
use super::page::{CELLS, Page, edge};
use crate::canvas::{SIDE, circle, polygon, rectangle};
use crate::draw::Draw;
use crate::map::CELL;

/// Of a point.
const RADIUS: f32 = 7.0;
/// Half of the widest line, and what is free between it and a value.
const CLEAR: f32 = 4.0;
/// How thick the axis is.
const AXIS: f32 = 3.0;

/// Draws a line chart.
pub(super) fn line(draw: &mut Draw, page: &mut Page) -> Chart {
    let chart = Chart::new(draw, Mark::Point, SLOTS..=SLOTS, SHORT);
    let body = page.title(draw, chart.title);
    // A value has a row above the highest point, and one below the lowest that is not the axis'.
    let axis = CELLS - 1;
    let upper = edge(body + 1) + CLEAR + draw.real(1.0, CELL);
    let lower = edge(axis - 2) - CLEAR - draw.real(1.0, CELL);
    let points = points(&chart, (upper, lower));
    stroke(draw, page, &points);
    page.rule((0.0, edge(axis) - AXIS), SIDE, AXIS);
    for (slot, entry) in chart.entries.iter().enumerate() {
        page.write(&entry.value.to_string(), SLOT * slot + 2, beside(&points, slot));
        page.write(entry.label.printed, SLOT * slot, axis);
    }
    chart
}

/// Where the points lie, each above the middle of its label: the largest value at the upper end, the smallest at the
/// lower.
fn points(chart: &Chart, (upper, lower): (f32, f32)) -> Vec<(f32, f32)> {
    let largest = chart.largest() as f32;
    let smallest = chart.entries.iter().map(|entry| entry.value as f32).fold(largest, f32::min);
    let unit = (lower - upper) / (largest - smallest);
    let place =
        |(slot, value): (usize, f32)| (edge(SLOT * slot) + edge(SHORT) / 2.0, lower - unit * (value - smallest));
    chart.entries.iter().map(|entry| entry.value as f32).enumerate().map(place).collect()
}

/// The row of a value, which stands to the right of its point: above the line that leaves the point there, or below it
/// where it rises.
fn beside(points: &[(f32, f32)], at: usize) -> usize {
    let y = points[at].1;
    if points.get(at + 1).is_some_and(|next| next.1 < y) {
        ((y + CLEAR) / CELL).ceil() as usize
    } else {
        ((y - CLEAR) / CELL) as usize - 1
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
            let chart = Chart::new(&mut draw, Mark::Point, 3..=3, 3);
            let points = points(&chart, (60.0, 240.0));
            let rise = |a: usize, b: usize| points[a].1 - points[b].1;
            let difference = |a: usize, b: usize| chart.entries[b].value as f32 - chart.entries[a].value as f32;
            let unit = rise(0, 1) / difference(0, 1);
            assert!(unit > 0.0);
            for at in 1..points.len() {
                assert!((rise(0, at) - unit * difference(0, at)).abs() < 0.01, "{points:?} for {:?}", chart.entries);
            }
        }
    }

    #[test]
    fn a_point_is_above_its_label_and_its_value_beside_it() {
        for index in 0..200 {
            let mut draw = Draw::new(Domain::Document, 6, index);
            let mut page = Page::new(&mut draw);
            let chart = line(&mut draw, &mut page);
            let ground = page.ground;
            let (texts, picture) = page.take_apart();
            for (slot, entry) in chart.entries.iter().enumerate() {
                let label = texts.iter().find(|text| text.content == entry.label.printed).expect("a label");
                assert_eq!((label.column, label.row), (4 * slot, 11));
                // Through the middle of the label, between title and axis, there is the point and nothing else.
                let x = 112 * slot as u32 + 42;
                let drawn = (28..305).filter(|y| picture.get_pixel(x, *y).0 != [ground.0, ground.1, ground.2]);
                let drawn: Vec<u32> = drawn.collect();
                let (first, last) = (drawn[0], drawn[drawn.len() - 1]);
                assert!((11..=17).contains(&(last - first + 1)), "a point from {first} to {last} on page {index}");
                let value = entry.value.to_string();
                let near = texts.iter().any(|text| {
                    let apart = (28 * text.row as i32 + 14 - (first + last) as i32 / 2).abs();
                    text.content == value && text.column == 4 * slot + 2 && apart < 47
                });
                assert!(near, "{value} is not beside its point on page {index}: {texts:?}");
            }
        }
    }
}
