//! `routing.svg`: which expert the tokens of each dataset went to, layer by layer.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;

use super::canvas::{Anchor, Canvas, shortened};
use llava_mole::palette::{INK, MUTED, PALE, ink_on, scale_color};

/// The widest row of heat maps, if one alone is not wider.
const MAX_WIDTH: f64 = 1100.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 92.0;
/// Between heat maps: the layer labels of the next, or the expert labels and the title below.
const GAP: (f64, f64) = (46.0, 82.0);
/// Room for the colour bar.
const RIGHT: f64 = 96.0;
const BOTTOM: f64 = 54.0;
/// Colours in the bar.
const BAR_STEPS: usize = 40;

/// Draws the share of tokens that each expert got, a heat map a dataset.
///
/// `loads`: dataset -> `[layers][experts]`, fractions in 0..=1. A value that is not finite is a grey cell.
pub fn routing_picture(loads: &BTreeMap<String, Vec<Vec<f32>>>, out: &Path) -> anyhow::Result<()> {
    let layers = loads.values().map(Vec::len).max().unwrap_or(0);
    let experts = loads.values().flatten().map(Vec::len).max().unwrap_or(0);
    ensure!(layers > 0 && experts > 0, "{}: there is no routing to draw", out.display());
    let grid = Grid::new(loads.len(), layers, experts);
    Canvas::save(out, grid.size(), |canvas| {
        canvas.text("Share of tokens sent to each expert", (LEFT, 30.0), Anchor::Start, 18.0, INK)?;
        for (index, (name, load)) in loads.iter().enumerate() {
            grid.draw_map(canvas, index, name, load)?;
        }
        grid.draw_bar(canvas)
    })
}

/// Where the cells lie.
struct Grid {
    layers: usize,
    experts: usize,
    maps: usize,
    maps_per_row: usize,
    cell: (f64, f64),
}

impl Grid {
    fn new(maps: usize, layers: usize, experts: usize) -> Self {
        // Whole pixels: between cells that end within one, the white behind them would show.
        let cell =
            ((240.0 / experts as f64).clamp(14.0, 56.0).floor(), (640.0 / layers as f64).clamp(5.0, 26.0).floor());
        let mut grid = Self { layers, experts, maps, maps_per_row: 1, cell };
        let fitting = (MAX_WIDTH - LEFT - RIGHT + GAP.0) / grid.pitch().0;
        grid.maps_per_row = (fitting as usize).clamp(1, maps);
        grid
    }

    /// A heat map's own width and height.
    fn map(&self) -> (f64, f64) {
        (self.cell.0 * self.experts as f64, self.cell.1 * self.layers as f64)
    }

    /// From one heat map to the next; a title needs some width too.
    fn pitch(&self) -> (f64, f64) {
        let (width, height) = self.map();
        (width.max(110.0) + GAP.0, height + GAP.1)
    }

    fn rows(&self) -> usize {
        self.maps.div_ceil(self.maps_per_row)
    }

    fn size(&self) -> (f64, f64) {
        let width = LEFT + self.pitch().0 * self.maps_per_row as f64 - GAP.0 + RIGHT;
        let height = TOP + self.pitch().1 * self.rows() as f64 - GAP.1 + BOTTOM;
        // Room for the heading, and below the colour bar's ticks beside a low map.
        (width.max(420.0), height.max(TOP + 130.0 + BOTTOM))
    }

    fn draw_map(&self, canvas: &Canvas<'_>, index: usize, name: &str, load: &[Vec<f32>]) -> anyhow::Result<()> {
        let (column, row) = (index % self.maps_per_row, index / self.maps_per_row);
        let (pitch, (width, height)) = (self.pitch(), self.map());
        let (left, top) = (LEFT + pitch.0 * column as f64, TOP + pitch.1 * row as f64);
        let room = ((pitch.0 - 12.0) / 7.6) as usize;
        canvas.text(&shortened(name, room), (left, top - 16.0), Anchor::Start, 14.0, INK)?;

        for (layer, shares) in load.iter().enumerate() {
            for (expert, share) in shares.iter().enumerate() {
                let corner = (left + self.cell.0 * expert as f64, top + self.cell.1 * layer as f64);
                self.draw_cell(canvas, corner, *share)?;
            }
        }
        for layer in (0..self.layers).step_by(stride(self.cell.1, 14.0)) {
            let y = top + self.cell.1 * (layer as f64 + 0.5);
            canvas.text(&layer.to_string(), (left - 7.0, y), Anchor::End, 11.0, MUTED)?;
        }
        for expert in (0..self.experts).step_by(stride(self.cell.0, 20.0)) {
            let x = left + self.cell.0 * (expert as f64 + 0.5);
            canvas.text(&expert.to_string(), (x, top + height + 13.0), Anchor::Middle, 11.0, MUTED)?;
        }
        canvas.text("expert", (left + width / 2.0, top + height + 32.0), Anchor::Middle, 12.0, MUTED)?;
        if column == 0 {
            canvas.text("layer", (left - 38.0, top + height / 2.0), Anchor::Upwards, 12.0, MUTED)?;
        }
        Ok(())
    }

    fn draw_cell(&self, canvas: &Canvas<'_>, (x, y): (f64, f64), share: f32) -> anyhow::Result<()> {
        let (width, height) = self.cell;
        let color = if share.is_finite() { scale_color(share) } else { PALE };
        canvas.rect((x, y), self.cell, color)?;
        if share.is_finite() && width >= 28.0 && height >= 13.0 {
            let size = (height * 0.6).min(12.0);
            let center = (x + width / 2.0, y + height / 2.0);
            canvas.text(&format!("{share:.2}"), center, Anchor::Middle, size, ink_on(color))?;
        }
        Ok(())
    }

    /// The colours from 1 down to 0, beside the first row.
    fn draw_bar(&self, canvas: &Canvas<'_>) -> anyhow::Result<()> {
        let (x, width) = (LEFT + self.pitch().0 * self.maps_per_row as f64 - GAP.0 + 30.0, 14.0);
        let step = (self.map().1 / BAR_STEPS as f64).clamp(3.0, 6.0).floor();
        let height = step * BAR_STEPS as f64;
        for index in 0..BAR_STEPS {
            let share = 1.0 - (index as f32 + 0.5) / BAR_STEPS as f32;
            canvas.rect((x, TOP + step * index as f64), (width, step), scale_color(share))?;
        }
        for quarter in 0..=4 {
            let share = f64::from(quarter) / 4.0;
            let y = TOP + height * (1.0 - share);
            canvas.line(&[(x + width, y), (x + width + 4.0, y)], MUTED, 1.0)?;
            canvas.text(&format!("{share:.2}"), (x + width + 8.0, y), Anchor::Start, 11.0, MUTED)?;
        }
        canvas.text("share", (x, TOP - 16.0), Anchor::Start, 12.0, MUTED)
    }
}

/// Every which cell has a label, if a label takes `room` and a cell `size`.
fn stride(size: f64, room: f64) -> usize {
    [1, 2, 5, 10, 20, 50].into_iter().find(|stride| size * f64::from(*stride) >= room).unwrap_or(100) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(loads: &BTreeMap<String, Vec<Vec<f32>>>) -> anyhow::Result<String> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("routing.svg");
        routing_picture(loads, &out)?;
        let svg = std::fs::read_to_string(out)?;
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
        assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
        Ok(svg)
    }

    fn cells(svg: &str) -> usize {
        svg.matches("<rect ").count() - 1 - BAR_STEPS
    }

    #[test]
    fn a_cell_for_every_layer_and_expert_of_every_dataset() {
        let load = vec![vec![0.5, 0.25, 0.25]; 4];
        let loads = ["chart", "<path>", "general"].map(|name| (name.to_owned(), load.clone())).into();
        let svg = draw(&loads).unwrap();
        assert_eq!(cells(&svg), 3 * 4 * 3);
        for label in ["chart", "&lt;path&gt;", "general", "layer", "expert", "share", "0.50"] {
            assert!(svg.contains(&format!("\n{label}\n")) || svg.contains(&format!(">{label}")), "{label}: {svg}");
        }
    }

    #[test]
    fn small_cells_have_no_numbers() {
        let svg = draw(&[("a".to_owned(), vec![vec![0.0625; 16]; 80])].into()).unwrap();
        assert_eq!(cells(&svg), 16 * 80);
        assert!(!svg.contains("0.06"));
    }

    #[test]
    fn ragged_and_broken_values() {
        let loads = [("a".to_owned(), vec![vec![0.5, f32::NAN], vec![1.0]]), ("b".to_owned(), vec![])].into();
        assert_eq!(cells(&draw(&loads).unwrap()), 3);
    }

    #[test]
    fn many_datasets_go_on_below() {
        let grid = Grid::new(7, 32, 3);
        assert!(grid.maps_per_row > 1 && grid.rows() > 1);
        assert!(grid.size().0 <= MAX_WIDTH);
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(draw(&BTreeMap::new()).is_err());
        assert!(draw(&[("a".to_owned(), vec![])].into()).is_err());
    }
}
