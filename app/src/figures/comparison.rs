//! Accuracy by configuration, as a dot plot (Cleveland 1984): a row a configuration, a dot with a whisker a domain.

use std::path::Path;

use anyhow::ensure;

use super::canvas::{Anchor, Canvas};
use super::estimate::{Estimate, PITCH};
use super::key::{Key, Sign};
use super::percent_axis::{self, PercentAxis};
use super::text_width::{fitted, text_width};
use llava_mole::palette::{BAND, GRID, INK, MUTED, dataset_color};

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// The right end of the axis, with room for half a label.
const RIGHT: f64 = WIDTH - 26.0;
/// The upper end of the key, below the title.
const KEY_TOP: f64 = 46.0;
/// Room below the rows, for the axis.
const BOTTOM: f64 = 52.0;
/// Between the rows of two groups: with a heading and without.
const HEADING: f64 = 30.0;
const GROUP_GAP: f64 = 10.0;
const NAME_SIZE: f64 = 13.0;
const HEADING_SIZE: f64 = 12.0;
const TITLE_SIZE: f64 = 17.0;
/// The widest name of a row.
const MAX_NAME: f64 = 250.0;
/// What a row is indented below a heading.
const INDENT: f64 = 10.0;

/// A configuration and how it did.
#[derive(Clone, Debug)]
pub struct ComparisonRow {
    /// Its name, shortened where it is long.
    pub name: String,
    /// The heading it stands under with the others of its group; empty for none.
    pub group: String,
    /// The accuracy in each domain; `None` was not measured.
    pub values: Vec<Option<Estimate>>,
}

impl ComparisonRow {
    /// The mean over domains, which is fair only where each was measured, and says something only of more than one.
    fn mean(&self) -> Option<f64> {
        let measured: Vec<_> = self.values.iter().flatten().map(|estimate| estimate.mean).collect();
        let whole = measured.len() == self.values.len() && measured.len() > 1;
        whole.then(|| measured.iter().sum::<f64>() / measured.len() as f64)
    }
}

/// Draws the accuracy of configurations by domain as an SVG.
///
/// A row's values are in the order of `domains`. Groups are in the order of their first rows. The colours of domains
/// repeat after six.
pub fn comparison_picture(title: &str, rows: &[ComparisonRow], domains: &[&str], out: &Path) -> anyhow::Result<()> {
    for row in rows {
        let (name, count) = (&row.name, row.values.len());
        ensure!(count == domains.len(), "{name}: {count} values for {} domains: give one for each", domains.len());
        row.values.iter().flatten().try_for_each(|estimate| estimate.check(name))?;
    }
    let measured = rows.iter().any(|row| row.values.iter().any(Option::is_some));
    ensure!(measured, "{}: there is no accuracy to draw", out.display());
    let plot = DotPlot::new(title, rows, domains);
    Canvas::save(out, (WIDTH, plot.bottom + BOTTOM), |canvas| plot.draw(canvas))
}

/// Where everything lies.
struct DotPlot<'a> {
    title: &'a str,
    key: Key,
    groups: Vec<Group<'a>>,
    row_height: f64,
    indent: f64,
    axis: PercentAxis,
    /// The left end of the axis.
    left: f64,
    /// The lower end of the last row.
    bottom: f64,
}

struct Group<'a> {
    name: &'a str,
    rows: Vec<&'a ComparisonRow>,
    /// The upper end of its first row.
    top: f64,
}

impl<'a> DotPlot<'a> {
    fn new(title: &'a str, rows: &'a [ComparisonRow], domains: &[&str]) -> Self {
        let mut key = Key::new((MARGIN, WIDTH - MARGIN));
        for (index, domain) in domains.iter().enumerate() {
            key.push(domain, Sign::Dot, dataset_color(index));
        }
        if rows.iter().any(|row| row.mean().is_some()) {
            key.push("mean", Sign::Bar, INK);
        }
        let row_height = (PITCH * domains.len() as f64 + 12.0).max(26.0);
        let mut groups = grouped(rows);
        let mut bottom = KEY_TOP + key.height();
        for group in &mut groups {
            group.top = bottom + if group.name.is_empty() { GROUP_GAP } else { HEADING };
            bottom = group.top + row_height * group.rows.len() as f64;
        }
        let indent = if groups.iter().any(|group| !group.name.is_empty()) { INDENT } else { 0.0 };
        let longest = rows.iter().map(|row| text_width(&row.name, NAME_SIZE)).fold(0.0, f64::max);
        let left = MARGIN + indent + longest.min(MAX_NAME) + 16.0;
        let axis = PercentAxis::new(rows.iter().flat_map(|row| row.values.iter().flatten()), (left, RIGHT));
        Self { title, key, groups, row_height, indent, axis, left, bottom }
    }

    fn draw(&self, canvas: &Canvas<'_>) -> anyhow::Result<()> {
        let title = fitted(self.title, WIDTH - 2.0 * MARGIN, TITLE_SIZE);
        canvas.text(&title, (MARGIN, 27.0), Anchor::Start, TITLE_SIZE, INK)?;
        self.key.draw(canvas, KEY_TOP)?;
        for group in &self.groups {
            self.draw_ground(canvas, group)?;
            for (index, row) in group.rows.iter().enumerate() {
                self.draw_row(canvas, row, group.top + self.row_height * (index as f64 + 0.5))?;
            }
        }
        self.draw_axis(canvas)
    }

    /// A group's heading, the bands of its rows and its part of the grid, which leaves the heading alone.
    fn draw_ground(&self, canvas: &Canvas<'_>, group: &Group<'_>) -> anyhow::Result<()> {
        let name = fitted(group.name, WIDTH - 2.0 * MARGIN, HEADING_SIZE);
        if !name.is_empty() {
            canvas.text(&name, (MARGIN, group.top - 11.0), Anchor::Start, HEADING_SIZE, MUTED)?;
        }
        for index in (0..group.rows.len()).step_by(2) {
            let top = group.top + self.row_height * index as f64;
            canvas.rect((MARGIN, top), (RIGHT - MARGIN, self.row_height), BAND)?;
        }
        let bottom = group.top + self.row_height * group.rows.len() as f64;
        for (_, x) in self.axis.ticks() {
            canvas.line(&[(x, group.top), (x, bottom)], GRID, 1.0)?;
        }
        Ok(())
    }

    /// The dots of domains lie below each other, so that equal ones are seen; the mean goes across behind them.
    fn draw_row(&self, canvas: &Canvas<'_>, row: &ComparisonRow, y: f64) -> anyhow::Result<()> {
        let name = fitted(&row.name, MAX_NAME, NAME_SIZE);
        canvas.text(&name, (MARGIN + self.indent, y), Anchor::Start, NAME_SIZE, INK)?;
        if let Some(mean) = row.mean() {
            let (x, half) = (self.axis.place(mean), self.row_height / 2.0 - 2.0);
            canvas.line(&[(x, y - half), (x, y + half)], INK, 3.0)?;
        }
        if row.values.iter().all(Option::is_none) {
            canvas.text("not measured", (self.left + 8.0, y), Anchor::Start, HEADING_SIZE, MUTED)?;
        }
        let first = y - PITCH * (row.values.len() as f64 - 1.0) / 2.0;
        for (index, value) in row.values.iter().enumerate() {
            let y = first + PITCH * index as f64;
            if let Some(estimate) = value {
                estimate.draw(canvas, |fraction| (self.axis.place(fraction), y), dataset_color(index))?;
            }
        }
        Ok(())
    }

    fn draw_axis(&self, canvas: &Canvas<'_>) -> anyhow::Result<()> {
        canvas.line(&[(self.left, self.bottom), (RIGHT, self.bottom)], MUTED, 1.0)?;
        for (label, x) in self.axis.ticks() {
            canvas.text(&label, (x, self.bottom + 13.0), Anchor::Middle, 12.0, MUTED)?;
        }
        let middle = (self.left + RIGHT) / 2.0;
        canvas.text(percent_axis::NAME, (middle, self.bottom + 34.0), Anchor::Middle, 13.0, MUTED)
    }
}

/// The rows by group, each in the order given.
fn grouped(rows: &[ComparisonRow]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group.name == row.group) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { name: &row.group, rows: vec![row], top: 0.0 }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::drawn::Drawn;
    use super::*;

    const DOMAINS: [&str; 3] = ["charts", "paths", "general"];

    fn row(group: &str, name: &str, values: &[Option<(f64, f64)>]) -> ComparisonRow {
        let estimate = |(mean, deviation)| Estimate { mean, deviation };
        let values = values.iter().map(|value| value.map(estimate)).collect();
        ComparisonRow { name: name.to_owned(), group: group.to_owned(), values }
    }

    fn draw(rows: &[ComparisonRow], domains: &[&str]) -> anyhow::Result<Drawn> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("comparison.svg");
        comparison_picture("Accuracy <by> configuration", rows, domains, &out)?;
        let drawn = Drawn::read(&out)?;
        drawn.assert_texts_apart();
        Ok(drawn)
    }

    #[test]
    fn groups_rows_and_dots_are_where_they_belong() {
        let low = row("one adapter", "rank 4", &[Some((0.4, 0.05)), Some((0.6, 0.0)), Some((0.5, 0.02))]);
        let high = row("one adapter", "rank 32", &[Some((0.5, 0.05)), Some((0.7, 0.0)), Some((0.6, 0.02))]);
        let mixed = row("experts", "3 x rank 4", &[Some((0.8, 0.1)), None, Some((0.8, 0.0))]);
        let drawn = draw(&[low, mixed, high], &DOMAINS).unwrap();

        let heights = ["one adapter", "rank 4", "rank 32", "experts", "3 x rank 4"].map(|name| drawn.text(name).1);
        assert!(heights.is_sorted_by(|a, b| a < b), "{heights:?}");
        assert_eq!(drawn.text("rank 4").0, drawn.text("3 x rank 4").0, "names are not left-aligned");
        for label in ["Accuracy &lt;by&gt; configuration", "charts", "paths", "general", "mean", "accuracy in %"] {
            drawn.text(label);
        }

        // The axis, read off its labels: pixels from 40 % to 80 %.
        let (forty, eighty) = (drawn.text("40").0, drawn.text("80").0);
        let place = |fraction: f64| forty + (fraction - 0.4) / 0.4 * (eighty - forty);
        // The key comes first.
        let dots = drawn.dots(dataset_color(0)).split_off(1);
        for ((x, y), (name, mean)) in dots.iter().zip([("rank 4", 0.4), ("rank 32", 0.5), ("3 x rank 4", 0.8)]) {
            assert!((x - place(mean)).abs() < 0.2, "{name} is at {x}");
            assert!((y - (drawn.text(name).1 - PITCH)).abs() < 0.2, "{name} is not on its row: {y}");
        }
        assert_eq!((dots.len(), drawn.dots(dataset_color(1)).len() - 1), (3, 2), "what was not measured has no dot");

        let whiskers = drawn.lines(dataset_color(0)).split_off(1);
        let lengths: Vec<_> = whiskers.iter().map(|line| line[1].0 - line[0].0).collect();
        for (length, deviation) in lengths.iter().zip([0.05, 0.05, 0.1]) {
            assert!((length - (place(2.0 * deviation) - place(0.0))).abs() < 0.3, "{lengths:?}");
        }
        assert_eq!(lengths.len(), 3);
        assert_eq!(drawn.lines(dataset_color(1)).len(), 1, "no deviation, no whisker, but for the key");

        // The key's, and one for each row whose domains are all there.
        let means: Vec<_> = drawn.lines(INK).iter().skip(1).map(|line| line[0].0).collect();
        assert_eq!(means.len(), 2);
        assert!((means[0] - place(0.5)).abs() < 0.2 && (means[1] - place(0.6)).abs() < 0.2, "{means:?}");
    }

    #[test]
    fn many_rows_with_long_names_keep_apart() {
        let name = |index| format!("{index} WWWWWW configuration with a name that never comes to an end & more");
        let values: Vec<_> = (0..8).map(|domain| Some((0.1 * f64::from(domain), 0.2))).collect();
        let rows: Vec<_> = (0..20).map(|index| row(&name(index / 7), &name(index), &values)).collect();
        let domains: Vec<_> = (0..8).map(|domain| format!("domain {domain} of a mixture with a long name")).collect();
        let drawn = draw(&rows, &domains.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(drawn.texts().iter().filter(|text| text.starts_with("19 ") && text.ends_with('…')).count(), 1);
        assert_eq!(drawn.dots(dataset_color(5)).len(), 21);
    }

    #[test]
    fn equal_values_are_all_seen() {
        let drawn = draw(&[row("", "only", &[Some((0.5, 0.0)); 3])], &DOMAINS).unwrap();
        let dots: Vec<_> = (0..3).map(|domain| drawn.dots(dataset_color(domain))[1]).collect();
        assert!(dots.iter().all(|dot| dot.0 == dots[0].0), "{dots:?}");
        assert!(dots.is_sorted_by(|a, b| a.1 + 7.0 <= b.1), "{dots:?}");
        assert_eq!(drawn.lines(INK).len(), 2, "the mean and its sign");
    }

    #[test]
    fn one_domain_needs_no_mean_and_an_empty_row_says_so() {
        let drawn = draw(&[row("a", "x", &[Some((1.0, 0.0))]), row("a", "y", &[None])], &["charts"]).unwrap();
        assert!(!drawn.texts().contains(&"mean") && drawn.lines(INK).is_empty());
        assert_eq!(drawn.text("not measured").1, drawn.text("y").1);
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let error = |rows: &[ComparisonRow]| draw(rows, &DOMAINS).err().map(|error| error.to_string()).unwrap();
        assert!(error(&[]).ends_with("comparison.svg: there is no accuracy to draw"));
        assert!(error(&[row("", "a", &[None; 3])]).ends_with("there is no accuracy to draw"));
        assert_eq!(error(&[row("", "a", &[None; 2])]), "a: 2 values for 3 domains: give one for each");
        assert!(error(&[row("", "a", &[Some((50.0, 1.0)); 3])]).starts_with("a: the accuracy 50"));
    }
}
