//! Bar charts: upright with labels below, or lying with labels at the left. The value stands at the end of each bar.

use super::chart::{Chart, Mark, SHORT, SLOT, SLOTS};
use super::page::{CELLS, Page, edge, spread};
use super::words::LONGEST;
use crate::canvas::{Rgb, SIDE, rectangle};
use crate::draw::Draw;
use crate::map::CELL;

/// How thick the axis is, from the feet of the bars inwards.
const AXIS: f32 = 3.0;
/// Where the longest lying bar ends at the latest: two digits have room beyond.
const FARTHEST: usize = CELLS - 2;

/// A bar: its left upper corner, its width and its height.
type Bar = ((f32, f32), f32, f32);

/// Draws upright bars.
pub(super) fn upright(draw: &mut Draw, page: &mut Page) -> Chart {
    let chart = Chart::new(draw, Mark::Bar, SLOTS..=SLOTS, SHORT);
    let body = page.title(draw, chart.title);
    // The value of the highest bar has a row above it.
    let (base, top) = (edge(CELLS - 1), edge(body + 1) + draw.real(1.0, CELL));
    let unit = (base - top) / chart.largest() as f32;
    let width = draw.real(0.4, 0.7) * edge(SLOT);
    let place = |(slot, value): (usize, u32)| {
        let (middle, height) = (edge(SLOT * slot) + edge(SHORT) / 2.0, unit * value as f32);
        ((middle - width / 2.0, base - height), width, height)
    };
    let bars: Vec<Bar> = chart.entries.iter().map(|entry| entry.value).enumerate().map(place).collect();
    fill(draw, page, &bars);
    page.rule((0.0, base - AXIS), SIDE, AXIS);
    let aside = draw.below(2);
    for (slot, (entry, ((_, top), ..))) in chart.entries.iter().zip(bars).enumerate() {
        let value = entry.value.to_string();
        let aside = if value.len() == 1 { 1 } else { aside };
        page.write(&value, SLOT * slot + aside, (top / CELL) as usize - 1);
        page.write(entry.label.printed, SLOT * slot, CELLS - 1);
    }
    chart
}

/// Draws lying bars.
pub(super) fn lying(draw: &mut Draw, page: &mut Page) -> Chart {
    let chart = Chart::new(draw, Mark::Bar, 3..=5, LONGEST);
    let body = page.title(draw, chart.title);
    // Thick bars are higher than a row: one more is free above and below.
    let rows = spread(draw, chart.entries.len(), body + 1, CELLS - 2);
    let (base, right) = (edge(LONGEST), edge(FARTHEST) - draw.real(1.0, CELL));
    let unit = (right - base) / chart.largest() as f32;
    let height = draw.real(0.45, 0.75) * edge(rows[1] - rows[0]);
    let place = |(row, value): (&usize, u32)| ((base, edge(*row) + (CELL - height) / 2.0), unit * value as f32, height);
    let bars: Vec<Bar> = rows.iter().zip(chart.entries.iter().map(|entry| entry.value)).map(place).collect();
    fill(draw, page, &bars);
    let (first, last) = (bars[0].0.1 - 6.0, bars[bars.len() - 1].0.1 + height + 6.0);
    page.rule((base, first), AXIS, last - first);
    let at_the_bars = draw.chance(0.5);
    for (entry, (row, (_, width, _))) in chart.entries.iter().zip(rows.into_iter().zip(bars)) {
        let label = entry.label.printed;
        page.write(label, if at_the_bars { LONGEST - label.len() } else { 0 }, row);
        page.write(&entry.value.to_string(), ((base + width) / CELL).ceil() as usize, row);
    }
    chart
}

/// Fills bars in one colour or each in its own, some with an outline.
fn fill(draw: &mut Draw, page: &mut Page, bars: &[Bar]) {
    let many = draw.chance(0.5);
    let outline = draw.chance(0.4).then_some(page.ink);
    for (at, &((left, top), width, height)) in bars.iter().enumerate() {
        let color: Rgb = page.colors[if many { at } else { 0 }];
        page.canvas.fill(&rectangle((left, top), width, height), color);
        if let Some(ink) = outline {
            // It is two units wide and ends where the bar ends.
            page.canvas.stroke(&rectangle((left + 1.0, top + 1.0), width - 2.0, height - 2.0), ink, 2.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;
    use crate::document::page::Text;

    const PAGES: u64 = 200;

    /// A chart, what is written on it, and how many pixels of `line` a bar covers for each entry.
    fn measured(
        chart: fn(&mut Draw, &mut Page) -> Chart,
        index: u64,
        line: fn(usize, &Text) -> Vec<(u32, u32)>,
    ) -> (Chart, Vec<Text>, Vec<u32>) {
        let mut draw = Draw::new(Domain::Document, 5, index);
        let mut page = Page::new(&mut draw);
        let (chart, ground) = (chart(&mut draw, &mut page), page.ground);
        let (texts, picture) = page.take_apart();
        let is_bar = |(x, y): &(u32, u32)| picture.get_pixel(*x, *y).0 != [ground.0, ground.1, ground.2];
        let length = |(at, entry): (usize, &crate::document::chart::Entry)| {
            let label = texts.iter().find(|text| text.content == entry.label.printed).expect("a label");
            line(at, label).iter().filter(|at| is_bar(at)).count() as u32
        };
        let lengths = chart.entries.iter().enumerate().map(length).collect();
        (chart, texts, lengths)
    }

    /// Lengths are those of the values, but for two pixels that are covered in part.
    fn assert_proportional(chart: &Chart, lengths: &[u32]) {
        let longest = *lengths.iter().max().expect("bars") as f32;
        for (length, entry) in lengths.iter().zip(&chart.entries) {
            let expected = longest * entry.value as f32 / chart.largest() as f32;
            assert!((*length as f32 - expected).abs() <= 2.0, "{length} for {}, expected {expected}", entry.value);
        }
    }

    #[test]
    fn upright_bars_are_proportional_and_their_values_stand_right_above_them() {
        for index in 0..PAGES {
            // A title's band is no bar.
            let line = |at: usize, _: &Text| (28..308).map(|y| (112 * at as u32 + 42, y)).collect();
            let (chart, texts, lengths) = measured(upright, index, line);
            assert_proportional(&chart, &lengths);
            for (slot, (entry, length)) in chart.entries.iter().zip(lengths).enumerate() {
                let stands = |text: &&Text| (4 * slot..4 * slot + 3).contains(&text.column) && text.row > 0;
                let in_slot: Vec<_> = texts.iter().filter(stands).filter(|text| text.row < 11).collect();
                // The bar may end in a pixel that is covered too little to be seen.
                let rows = [length, length + 1].map(|length| ((308 - length) / 28 - 1) as usize);
                let value = entry.value.to_string();
                let above = texts.iter().find(|text| text.content == value && rows.contains(&text.row));
                let above =
                    above.unwrap_or_else(|| panic!("{value} is not in row {rows:?} of page {index}: {texts:?}"));
                assert!(above.column / 4 == slot && in_slot.len() <= 1, "{in_slot:?} on page {index}");
                assert!(above.column + value.len() < 4 * slot + 4, "{above:?} on page {index}");
            }
        }
    }

    #[test]
    fn lying_bars_are_proportional_and_their_values_stand_right_of_them() {
        for index in 0..PAGES {
            let line = |_: usize, label: &Text| (140..336).map(|x| (x, 28 * label.row as u32 + 14)).collect();
            let (chart, texts, lengths) = measured(lying, index, line);
            assert_proportional(&chart, &lengths);
            for (entry, length) in chart.entries.iter().zip(lengths) {
                let value = entry.value.to_string();
                // The bar may end in a pixel that is covered too little to be seen.
                let columns = [length, length + 1].map(|length| (140 + length).div_ceil(28) as usize);
                let label = texts.iter().find(|text| text.content == entry.label.printed).expect("a label");
                let beside = |of: &Text| of.content == value && of.row == label.row && columns.contains(&of.column);
                assert!(texts.iter().any(beside), "{value} is not in column {columns:?} of page {index}: {texts:?}");
                assert!(label.column == 0 || label.column + label.content.len() == 5, "{label:?} on page {index}");
            }
        }
    }
}
