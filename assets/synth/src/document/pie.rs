//! Pie charts: slices from the top on clockwise, with a legend below that says what each is.

use std::f32::consts::TAU;

use super::chart::{Chart, Mark};
use super::page::{CELLS, Page, edge};
use super::words::LONGEST;
use crate::canvas::{SIDE, circle, polygon, rectangle};
use crate::draw::Draw;
use crate::map::CELL;

/// What is free between the edge of a cell and a legend's patch of colour in it.
const AROUND: f32 = 3.0;
/// What is free above and below the pie.
const MARGIN: f32 = 6.0;

/// Draws a pie chart.
pub(super) fn pie(draw: &mut Draw, page: &mut Page) -> Chart {
    let chart = Chart::new(draw, Mark::Slice, 3..=4, LONGEST);
    let body = page.title(draw, chart.title);
    let legend: Vec<String> = chart.entries.iter().map(|of| format!("{} {}", of.label.printed, of.value)).collect();
    let first = CELLS - legend.len() - draw.below(2);
    let room = edge(first - body);
    let radius = draw.real(0.9, 1.0) * (room / 2.0 - MARGIN);
    let aside = draw.real(-40.0, 40.0);
    slices(page, &chart, (SIDE / 2.0 + aside, edge(body) + room / 2.0), radius);
    let longest = legend.iter().map(String::len).max().expect("a chart has entries");
    let gap = draw.between(1, 2);
    let left = draw.between(0, CELLS - gap - longest);
    for (at, text) in legend.iter().enumerate() {
        let corner = (edge(left) + AROUND, edge(first + at) + AROUND);
        let color = page.colors[at];
        page.canvas.fill(&rectangle(corner, CELL - 2.0 * AROUND, CELL - 2.0 * AROUND), color);
        page.write(text, left + gap, first + at);
    }
    chart
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
    let rule = page.rule_color();
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
            let chart = Chart::new(&mut draw, Mark::Slice, 3..=4, 5);
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

    #[test]
    fn the_legend_has_the_colours_of_the_slices() {
        for index in 0..100 {
            let mut draw = Draw::new(Domain::Document, 7, index);
            let mut page = Page::new(&mut draw);
            let chart = pie(&mut draw, &mut page);
            let colors = page.colors.clone();
            let (texts, picture) = page.take_apart();
            for (entry, color) in chart.entries.iter().zip(colors) {
                let said = format!("{} {}", entry.label.printed, entry.value);
                let text = texts.iter().find(|text| text.content == said).expect("a line of the legend");
                let is_patch = |x: u32, y: u32| picture.get_pixel(x, y).0 == [color.0, color.1, color.2];
                let (left, top) = (28 * text.column as u32, 28 * text.row as u32);
                let patch = (0..left).filter(|x| is_patch(*x, top + 14)).count();
                assert!(patch == 22 && !is_patch(left - 1, top + 14), "{patch} for {said} on page {index}");
            }
        }
    }
}
