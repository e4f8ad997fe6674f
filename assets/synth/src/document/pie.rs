//! Pie charts: slices from the top on clockwise, with a legend at the right or below that says what each is.

use std::f32::consts::TAU;

use super::chart::{Chart, Mark};
use super::page::Page;
use crate::canvas::{Anchor, SIDE, circle, polygon, rectangle};
use crate::draw::Draw;

/// Width and height of a legend's patch of colour.
const PATCH: f32 = 22.0;
/// From the patch to its text.
const GAP: f32 = 6.0;

/// Draws a pie chart.
pub(super) fn pie(draw: &mut Draw, page: &mut Page) -> Chart {
    let chart = Chart::new(draw, page, Mark::Slice, 3..=4, 84.0);
    let body = page.title(draw, chart.title);
    let legend: Vec<String> = chart.entries.iter().map(|of| format!("{} {}", of.label.printed, of.value)).collect();
    if draw.chance(0.5) {
        legend_right(draw, page, &chart, &legend, body);
    } else {
        legend_below(draw, page, &chart, &legend, body);
    }
    chart
}

fn legend_right(draw: &mut Draw, page: &mut Page, chart: &Chart, legend: &[String], body: f32) {
    let height = page.fit(legend.iter().map(String::as_str), 142.0, draw.real(30.0, 33.0));
    let left = SIDE - 6.0 - page.widest(legend.iter().map(String::as_str), height) - PATCH - GAP;
    let radius = (left / 2.0 - 8.0).min(95.0);
    let middle = (body + SIDE) / 2.0;
    slices(page, chart, (left / 2.0, middle), radius);
    let pitch = height + draw.real(10.0, 22.0);
    for (at, text) in legend.iter().enumerate() {
        let y = middle + (at as f32 - (legend.len() - 1) as f32 / 2.0) * pitch;
        item(page, at, text, (left, y), height);
    }
}

fn legend_below(draw: &mut Draw, page: &mut Page, chart: &Chart, legend: &[String], body: f32) {
    let room = SIDE / 2.0 - PATCH - GAP - 6.0;
    let height = page.fit(legend.iter().map(String::as_str), room, draw.real(29.0, 32.0));
    let pitch = height + draw.real(6.0, 10.0);
    let last = SIDE - 0.75 * height;
    let radius = ((last - pitch - 0.6 * height - body) / 2.0 - 2.0).min(110.0);
    slices(page, chart, (SIDE / 2.0, body + radius + 2.0), radius);
    for (at, text) in legend.iter().enumerate() {
        let y = if at < 2 { last - pitch } else { last };
        item(page, at, text, (4.0 + (at % 2) as f32 * SIDE / 2.0, y), height);
    }
}

/// One line of the legend: patch and text.
fn item(page: &mut Page, at: usize, text: &str, (left, y): (f32, f32), height: f32) {
    let color = page.colors[at];
    page.canvas.fill(&rectangle((left, y - PATCH / 2.0), PATCH, PATCH), color);
    page.write(text, (left + PATCH + GAP, y), height, Anchor::Left);
}

/// Where a slice begins and ends, in turns from the top.
fn turns(chart: &Chart) -> Vec<(f32, f32)> {
    let whole: u32 = chart.entries.iter().map(|entry| entry.value).sum();
    let mut before = 0;
    let turn = |value: u32| {
        let begin = before;
        before += value;
        (begin as f32 / whole as f32, before as f32 / whole as f32)
    };
    chart.entries.iter().map(|entry| entry.value).map(turn).collect()
}

fn slices(page: &mut Page, chart: &Chart, center: (f32, f32), radius: f32) {
    let rim = |turn: f32| (center.0 + radius * (TAU * turn).sin(), center.1 - radius * (TAU * turn).cos());
    for (at, (begin, end)) in turns(chart).into_iter().enumerate() {
        // One corner of the rim for every hundredth of a turn: the pie looks round.
        let steps = (100.0 * (end - begin)).round() as usize;
        let mut corners = vec![center];
        corners.extend((0..=steps).map(|step| rim(begin + (end - begin) * step as f32 / steps as f32)));
        page.canvas.fill(&polygon(&corners), page.colors[at]);
    }
    for (begin, _) in turns(chart) {
        page.canvas.line(center, rim(begin), page.ground, 2.5);
    }
    let rule = page.rule();
    page.canvas.stroke(&circle(center, radius), rule, 1.5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn areas_are_proportional_to_shares() {
        for index in 0..50 {
            let mut draw = Draw::new(Domain::Document, 7, index);
            let mut page = Page::new(&mut draw);
            let chart = Chart::new(&mut draw, &page, Mark::Slice, 3..=4, 90.0);
            slices(&mut page, &chart, (150.0, 150.0), 100.0);
            let colors = page.colors.clone();
            let (_, picture) = page.take_apart();
            let area = |at: usize| {
                let color = [colors[at].0, colors[at].1, colors[at].2];
                picture.pixels().filter(|pixel| pixel.0 == color).count() as f32
            };
            let whole: f32 = (0..chart.entries.len()).map(area).sum();
            assert!(whole > 0.9 * std::f32::consts::PI * 100.0 * 100.0);
            for (at, entry) in chart.entries.iter().enumerate() {
                let share = 100.0 * area(at) / whole;
                // The lines between slices take a larger part of a small one.
                assert!((share - entry.value as f32).abs() < 2.0, "{share} for {}", entry.value);
            }
        }
    }
}
