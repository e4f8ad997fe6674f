//! Accuracy over a few ordered categories, such as ranks or numbers of experts: a line with dots and whiskers a series.

use std::path::Path;

use anyhow::ensure;

use super::canvas::{Anchor, Canvas};
use super::estimate::{Estimate, PITCH};
use super::key::{Key, Sign};
use super::percent_axis::{self, PercentAxis};
use super::text_width::{fitted, text_width};
use llava_mole::palette::{GRID, INK, MUTED, dataset_color};

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// Left and right end of the plot.
const X: (f64, f64) = (68.0, WIDTH - 20.0);
/// The upper end of the key, below the title.
const KEY_TOP: f64 = 46.0;
/// The plot's own height, and the room above it and below it.
const HEIGHT: f64 = 290.0;
const ABOVE: f64 = 16.0;
const BELOW: f64 = 56.0;
const TITLE_SIZE: f64 = 17.0;
const LABEL_SIZE: f64 = 12.0;
const NAME_SIZE: f64 = 13.0;
/// Where categories stand close, a label may be so wide: half of it has room beside the frame.
const MAX_LABEL: f64 = 44.0;
const LABEL_GAP: f64 = 8.0;

/// One line.
#[derive(Clone, Debug)]
pub struct TrendSeries {
    /// Its name in the key.
    pub name: String,
    /// Category and accuracy, a category at most once; one that was not measured is left out.
    pub points: Vec<(String, Estimate)>,
}

/// Draws accuracies by category as an SVG; `x_name` says what the categories are.
///
/// Categories stand equally far apart, in the order in which they first come up in the series. The colours of series
/// repeat after six.
pub fn trend_picture(title: &str, x_name: &str, series: &[TrendSeries], out: &Path) -> anyhow::Result<()> {
    for (name, (category, estimate)) in series.iter().flat_map(|one| one.points.iter().map(|point| (&one.name, point)))
    {
        estimate.check(&format!("{name}, {category}"))?;
    }
    let plot = Plot::new(series);
    ensure!(!plot.categories.is_empty(), "{}: there is no accuracy to draw", out.display());
    Canvas::save(out, (WIDTH, plot.bottom() + BELOW), |canvas| {
        let title = fitted(title, WIDTH - 2.0 * MARGIN, TITLE_SIZE);
        canvas.text(&title, (MARGIN, 27.0), Anchor::Start, TITLE_SIZE, INK)?;
        plot.key.draw(canvas, KEY_TOP)?;
        plot.draw_axes(canvas, x_name)?;
        plot.draw_series(canvas)
    })
}

/// Where everything lies.
struct Plot<'a> {
    key: Key,
    series: &'a [TrendSeries],
    categories: Vec<&'a str>,
    axis: PercentAxis,
    top: f64,
}

impl<'a> Plot<'a> {
    fn new(series: &'a [TrendSeries]) -> Self {
        let mut key = Key::new((MARGIN, WIDTH - MARGIN));
        for (index, one) in series.iter().enumerate() {
            key.push(&one.name, Sign::Dot, dataset_color(index));
        }
        let mut categories: Vec<&str> = Vec::new();
        let points = || series.iter().flat_map(|one| &one.points);
        for (category, _) in points() {
            if !categories.contains(&category.as_str()) {
                categories.push(category);
            }
        }
        let top = KEY_TOP + key.height() + ABOVE;
        let axis = PercentAxis::new(points().map(|(_, estimate)| estimate), (top + HEIGHT, top));
        Self { key, series, categories, axis, top }
    }

    fn bottom(&self) -> f64 {
        self.top + HEIGHT
    }

    /// From one category to the next.
    fn pitch(&self) -> f64 {
        (X.1 - X.0) / self.categories.len() as f64
    }

    fn category_x(&self, index: usize) -> f64 {
        X.0 + self.pitch() * (index as f64 + 0.5)
    }

    fn draw_axes(&self, canvas: &Canvas<'_>, x_name: &str) -> anyhow::Result<()> {
        let bottom = self.bottom();
        for (label, y) in self.axis.ticks() {
            canvas.line(&[(X.0, y), (X.1, y)], GRID, 1.0)?;
            canvas.text(&label, (X.0 - 8.0, y), Anchor::End, LABEL_SIZE, MUTED)?;
        }
        canvas.text(percent_axis::NAME, (22.0, self.top + HEIGHT / 2.0), Anchor::Upwards, NAME_SIZE, MUTED)?;

        canvas.line(&[(X.0, bottom), (X.1, bottom)], MUTED, 1.0)?;
        // Where there are too many categories for their labels, some go without.
        let longest = self.categories.iter().map(|name| text_width(name, LABEL_SIZE)).fold(0.0, f64::max);
        let stride = ((longest.min(MAX_LABEL) + LABEL_GAP) / self.pitch()).ceil().max(1.0) as usize;
        let room = (self.pitch() - LABEL_GAP).max(MAX_LABEL);
        for (index, category) in self.categories.iter().enumerate() {
            let x = self.category_x(index);
            canvas.line(&[(x, bottom), (x, bottom + 5.0)], MUTED, 1.0)?;
            if index.is_multiple_of(stride) {
                let label = fitted(category, room, LABEL_SIZE);
                canvas.text(&label, (x, bottom + 16.0), Anchor::Middle, LABEL_SIZE, MUTED)?;
            }
        }
        let name = fitted(x_name, X.1 - X.0, NAME_SIZE);
        canvas.text(&name, ((X.0 + X.1) / 2.0, bottom + 38.0), Anchor::Middle, NAME_SIZE, MUTED)
    }

    /// The lines, then the dots and whiskers on them. Series stand side by side, so that equal ones are seen.
    fn draw_series(&self, canvas: &Canvas<'_>) -> anyhow::Result<()> {
        let beside = PITCH.min(0.7 * self.pitch() / self.series.len() as f64);
        let placed: Vec<Vec<(f64, Estimate)>> = (self.series.iter().enumerate())
            .map(|(index, one)| {
                let shift = beside * (index as f64 - (self.series.len() as f64 - 1.0) / 2.0);
                self.in_order(one).into_iter().map(|(at, estimate)| (self.category_x(at) + shift, estimate)).collect()
            })
            .collect();
        for (index, points) in placed.iter().enumerate().filter(|(_, points)| points.len() > 1) {
            let line: Vec<_> = points.iter().map(|(x, estimate)| (*x, self.axis.place(estimate.mean))).collect();
            canvas.line(&line, dataset_color(index), 2.0)?;
        }
        for (index, points) in placed.iter().enumerate() {
            for (x, estimate) in points {
                estimate.draw(canvas, |fraction| (*x, self.axis.place(fraction)), dataset_color(index))?;
            }
        }
        Ok(())
    }

    /// A series' points by category, from left to right.
    fn in_order(&self, series: &TrendSeries) -> Vec<(usize, Estimate)> {
        let index = |name: &str| self.categories.iter().position(|category| *category == name);
        let mut points: Vec<_> =
            series.points.iter().filter_map(|(name, estimate)| Some((index(name)?, *estimate))).collect();
        points.sort_by_key(|(index, _)| *index);
        points
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawn::Drawn;
    use super::*;

    fn series(name: &str, points: &[(&str, f64, f64)]) -> TrendSeries {
        let point =
            |&(category, mean, deviation): &(&str, f64, f64)| (category.to_owned(), Estimate { mean, deviation });
        TrendSeries { name: name.to_owned(), points: points.iter().map(point).collect() }
    }

    fn draw(series: &[TrendSeries]) -> anyhow::Result<Drawn> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("trend.svg");
        trend_picture("Accuracy & rank", "rank of the adapters", series, &out)?;
        let drawn = Drawn::read(&out)?;
        drawn.assert_texts_apart();
        Ok(drawn)
    }

    #[test]
    fn dots_lines_and_whiskers_are_where_they_belong() {
        let one = series("one adapter", &[("r2", 0.5, 0.05), ("r8", 0.7, 0.1), ("r16", 0.9, 0.0)]);
        let four = series("four experts", &[("r8", 0.6, 0.0), ("r4", 0.65, 0.0), ("r2", 0.5, 0.0)]);
        let drawn = draw(&[one, four]).unwrap();
        for label in ["Accuracy &amp; rank", "rank of the adapters", "accuracy in %", "one adapter", "four experts"] {
            drawn.text(label);
        }
        // In the order of their first appearance, equally far apart.
        let at = ["r2", "r8", "r16", "r4"].map(|name| drawn.text(name).0);
        assert!((1..3).all(|i| (at[i + 1] - at[i] - (at[1] - at[0])).abs() < 0.3) && at[0] < at[1], "{at:?}");

        let (fifty, ninety) = (drawn.text("50").1, drawn.text("90").1);
        assert!(ninety < fifty, "accuracy rises upwards");
        let place = |fraction: f64| fifty + (fraction - 0.5) / 0.4 * (ninety - fifty);
        // The key's dot comes first.
        let dots = drawn.dots(dataset_color(0)).split_off(1);
        for ((x, y), (middle, mean)) in dots.iter().zip([(at[0], 0.5), (at[1], 0.7), (at[2], 0.9)]) {
            assert!((x - middle).abs() < PITCH && (y - place(mean)).abs() < 0.2, "{mean} is at {x}, {y}");
        }

        // The key's line, the line, two whiskers: the last point has none.
        let lines = drawn.lines(dataset_color(0));
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3, 2, 2]);
        for (whisker, deviation) in lines[2..].iter().zip([0.05, 0.1]) {
            let length = whisker[0].1 - whisker[1].1;
            assert!((length - (place(0.0) - place(2.0 * deviation))).abs() < 0.3, "{length}");
            assert_eq!(whisker[0].0, whisker[1].0, "whiskers are upright");
        }
        let line = &drawn.lines(dataset_color(1))[1];
        assert!(line.is_sorted_by(|a, b| a.0 < b.0), "{line:?} does not follow the axis");
        // Both series have 0.5 at the first category, and are both seen.
        let (first, other) = (dots[0], drawn.dots(dataset_color(1))[1]);
        assert!(first.1 == other.1 && other.0 - first.0 > 7.0, "{first:?} lies on {other:?}");
    }

    #[test]
    fn one_point_is_a_dot() {
        let drawn = draw(&[series("only", &[("1", 0.5, 0.0)])]).unwrap();
        assert_eq!((drawn.dots(dataset_color(0)).len(), drawn.lines(dataset_color(0)).len()), (2, 1));
        assert!((drawn.dots(dataset_color(0))[1].0 - drawn.text("1").0).abs() < 0.2);
    }

    #[test]
    fn long_names_and_many_categories_keep_apart() {
        let name = |index| format!("{index}: a number of experts that is written out");
        for count in [2, 9, 13, 60, 100] {
            let points: Vec<_> =
                (0..count).map(|index| (name(index), Estimate { mean: 0.5, deviation: 0.6 })).collect();
            let all: Vec<_> = (0..9).map(|index| TrendSeries { name: name(index), points: points.clone() }).collect();
            let drawn = draw(&all).unwrap();
            assert_eq!(
                drawn.texts().iter().filter(|text| text.starts_with("0: ")).count(),
                2,
                "in the key and on the axis"
            );
            assert_eq!(drawn.dots(dataset_color(8)).len(), 2 * (count + 1), "of the third and the ninth series");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let error = |all: &[TrendSeries]| draw(all).err().map(|error| error.to_string()).unwrap();
        assert!(error(&[]).ends_with("trend.svg: there is no accuracy to draw"));
        assert!(error(&[series("empty", &[])]).ends_with("there is no accuracy to draw"));
        assert!(error(&[series("a", &[("4", 50.0, 1.0)])]).starts_with("a, 4: the accuracy 50"));
    }
}
