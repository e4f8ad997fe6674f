//! `loss.svg`: the loss of a run by step, and below it the learning rate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;

use super::canvas::{Anchor, Canvas, shortened};
use super::legend::{self, Entry};
use super::panel::{Panel, decimal, scientific};
use super::step_lines::{StepLine, StepLines};
use llava_mole::palette::{INK, MUTED, PALE, dataset_color};
use llava_mole::series::{Series, ordinary};

const SIZE: (f64, f64) = (1000.0, 640.0);
const X: (f64, f64) = (84.0, 748.0);
const LOSS_Y: (f64, f64) = (64.0, 434.0);
const RATE_Y: (f64, f64) = (472.0, 574.0);

/// More points than pixels, so that thinning is not seen, in a file that stays small.
const MAX_POINTS: usize = 2000;

/// Draws `metrics.jsonl` as an SVG whose title is the name of the folder it lies in.
///
/// The training loss is thin and pale, its moving average dark; each dataset has its own average, each held-out
/// evaluation a dot. The scale leaves out single steps far from all others: one spike would flatten the rest, and is drawn
/// at the frame instead.
pub fn loss_curve(metrics: &Path, out: &Path) -> anyhow::Result<()> {
    let mut run = Run::default();
    for line in StepLines::open(metrics)? {
        run.add(&line.map_err(|error| anyhow::anyhow!("{}: {error}", metrics.display()))?);
    }
    ensure!(run.values().next().is_some(), "{}: no step with a loss to draw", metrics.display());
    let folder = std::path::absolute(metrics)?;
    let name = folder.parent().and_then(Path::file_name).map_or("training".into(), |name| name.to_string_lossy());
    Canvas::save(out, SIZE, |canvas| run.draw(canvas, &name))
}

/// The curves of a run.
#[derive(Default)]
struct Run {
    last_step: u64,
    loss: Series,
    rate: Series,
    held_out: Series,
    datasets: BTreeMap<String, Dataset>,
}

#[derive(Default)]
struct Dataset {
    loss: Series,
    held_out: Series,
}

impl Run {
    fn add(&mut self, line: &StepLine) {
        let step = line.step;
        if step < self.last_step {
            self.all_mut().for_each(|series| series.rewind(step));
        }
        self.last_step = step;
        self.loss.push(step, line.loss);
        self.rate.push(step, line.lr);
        self.held_out.push(step, line.eval_loss);
        for (name, value) in line.by_data.iter().flatten() {
            self.dataset(name).loss.push(step, *value);
        }
        for (name, value) in line.eval_by_data.iter().flatten() {
            self.dataset(name).held_out.push(step, *value);
        }
    }

    fn dataset(&mut self, name: &str) -> &mut Dataset {
        self.datasets.entry(name.to_owned()).or_default()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        let datasets = self.datasets.values_mut().flat_map(|data| [&mut data.loss, &mut data.held_out]);
        [&mut self.loss, &mut self.rate, &mut self.held_out].into_iter().chain(datasets)
    }

    /// Every loss that the scale has to show.
    fn values(&self) -> impl Iterator<Item = f64> {
        let (low, high) = ordinary(self.loss.points());
        let datasets = self.datasets.values();
        let whole = datasets.clone().map(|data| data.loss.smoothed()).chain([self.loss.smoothed()]);
        let held_out = datasets.map(|data| data.held_out.clone()).chain([self.held_out.clone()]);
        let shown = whole.chain(held_out).flat_map(|series| series.points().to_vec());
        let raw = self.loss.points().iter().map(|(_, value)| *value).filter(move |value| (low..=high).contains(value));
        shown.map(|(_, value)| value).chain(raw)
    }

    /// First and last step drawn, never the same.
    fn steps(&self) -> (f64, f64) {
        let datasets = self.datasets.values().flat_map(|data| [&data.loss, &data.held_out]);
        let steps = [&self.loss, &self.rate, &self.held_out].into_iter().chain(datasets);
        let steps = steps.flat_map(|series| series.points().first().into_iter().chain(series.points().last()));
        let (low, high) = range(steps.map(|(step, _)| *step as f64));
        if low < high { (low, high) } else { (low - 1.0, high + 1.0) }
    }

    fn draw(&self, canvas: &Canvas<'_>, name: &str) -> anyhow::Result<()> {
        canvas.text(&shortened(name, 80), (X.0, 32.0), Anchor::Start, 18.0, INK)?;
        let steps = self.steps();
        let loss = Panel { canvas, x: X, y: LOSS_Y, steps, values: padded(range(self.values())) };
        loss.values_axis("loss", 6, decimal)?;
        self.draw_losses(&loss)?;
        loss.steps_axis(None)?;

        let (_, highest) = range(self.rate.points().iter().map(|(_, rate)| *rate));
        let top = if highest > 0.0 { highest * 1.1 } else { 1.0 };
        let rate = Panel { canvas, x: X, y: RATE_Y, steps, values: (0.0, top) };
        rate.values_axis("learning rate", 3, scientific)?;
        rate.curve(&self.rate.thinned(MAX_POINTS), MUTED, 1.5)?;
        rate.steps_axis(Some("step"))?;
        self.draw_legend(canvas)
    }

    fn draw_losses(&self, panel: &Panel<'_, '_>) -> anyhow::Result<()> {
        panel.curve(&self.loss.thinned(MAX_POINTS), PALE, 1.0)?;
        let colored = || self.datasets.values().enumerate().map(|(index, data)| (data, dataset_color(index)));
        for (data, color) in colored() {
            panel.curve(&data.loss.smoothed().thinned(MAX_POINTS), color, 1.5)?;
        }
        panel.curve(&self.loss.smoothed().thinned(MAX_POINTS), INK, 2.0)?;
        for (data, color) in colored().filter(|(data, _)| !data.held_out.points().is_empty()) {
            let points = data.held_out.thinned(MAX_POINTS);
            panel.curve(&points, color, 0.75)?;
            panel.dots(&points, color, 2.5)?;
        }
        let points = self.held_out.thinned(MAX_POINTS);
        panel.curve(&points, INK, 0.75)?;
        panel.dots(&points, INK, 3.5)
    }

    fn draw_legend(&self, canvas: &Canvas<'_>) -> anyhow::Result<()> {
        let entry = |name, color, width, loss: &Series, held_out: &Series| {
            let last = |series: &Series| series.points().last().map(|(_, value)| *value);
            Entry { name, color, width, training: last(&loss.smoothed()), held_out: last(held_out) }
        };
        let mut entries = vec![
            Entry { name: "each step", color: PALE, width: 1.0, training: None, held_out: None },
            entry("smoothed", INK, 2.0, &self.loss, &self.held_out),
        ];
        let datasets = self.datasets.iter().enumerate();
        entries.extend(
            datasets.map(|(index, (name, data))| entry(name, dataset_color(index), 1.5, &data.loss, &data.held_out)),
        );
        legend::draw(canvas, LOSS_Y.0 + 6.0, &entries)
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// A little room above and below, and down to zero where that is near.
fn padded((low, high): (f64, f64)) -> (f64, f64) {
    let room = if high > low { (high - low) * 0.05 } else { (low.abs() * 0.1).max(0.1) };
    let near_zero = low >= 0.0 && low - room < 0.25 * high;
    (if near_zero { 0.0 } else { low - room }, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the lines as those of a run called `mix & match`.
    fn draw(lines: &str) -> anyhow::Result<String> {
        let dir = tempfile::tempdir()?;
        let run = dir.path().join("mix & match");
        std::fs::create_dir(&run)?;
        let (metrics, out) = (run.join("metrics.jsonl"), run.join("loss.svg"));
        std::fs::write(&metrics, lines)?;
        loss_curve(&metrics, &out)?;
        let svg = std::fs::read_to_string(out)?;
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        for tag in ["text", "svg"] {
            let count = |text: &str| svg.matches(text).count();
            assert_eq!(count(&format!("<{tag} ")), count(&format!("</{tag}>")));
        }
        Ok(svg)
    }

    /// The texts of a picture.
    fn texts(svg: &str) -> Vec<&str> {
        svg.split("<text ").skip(1).filter_map(|t| Some(t.split_once(">")?.1.split_once("</text>")?.0.trim())).collect()
    }

    #[test]
    fn labels_and_curves_of_a_run() {
        let mut lines = String::new();
        for step in 1..=300 {
            let loss = 3.0 / f64::from(step).sqrt();
            lines +=
                &format!(r#"{{"step":{step},"loss":{loss},"lr":2e-4,"by_data":{{"chart":{loss},"path":{loss}}}}}"#);
            lines.push('\n');
            if step % 100 == 0 {
                lines += &format!(r#"{{"step":{step},"eval_loss":0.75,"eval_by_data":{{"chart":0.5}}}}"#);
                lines.push('\n');
            }
        }
        let svg = draw(&lines).unwrap();
        let texts = texts(&svg);
        for label in ["mix &amp; match", "loss", "learning rate", "step", "chart", "path", "held out", "0.750", "0.500"]
        {
            assert!(texts.contains(&label), "{label} is not in {texts:?}");
        }
        // Every step, its average, two datasets, two held-out curves, the rate.
        let points = svg.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        let curves = points.filter(|points| points.matches(',').count() > 2).count();
        assert_eq!(curves, 7);
        // Three evaluations of two curves and their legend, each a disc and its rim.
        assert_eq!(svg.matches("<circle").count(), (3 * 2 + 2) * 2);
    }

    #[test]
    fn one_step_is_a_dot() {
        let svg = draw(r#"{"step":1,"loss":2.0,"lr":1e-4}"#).unwrap();
        assert!(svg.contains("<circle"));
        assert!(texts(&svg).contains(&"2.000"));
    }

    #[test]
    fn skipped_steps_and_a_torn_end() {
        let svg =
            draw("{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":null}\n{\"step\":3,\"loss\":1.0}\n{\"step\":4,\"lo");
        assert!(texts(&svg.unwrap()).contains(&"3"), "the last step");
    }

    #[test]
    fn a_long_run_is_a_small_picture_that_a_spike_does_not_flatten() {
        let line = |step: u32| {
            let loss = if step == 500 { 1e6 } else { 1.0 + f64::from(step % 10) * 0.1 };
            format!("{{\"step\":{step},\"loss\":{loss},\"lr\":1e-4}}\n")
        };
        let svg = draw(&(1..=20_000).map(line).collect::<String>()).unwrap();
        assert!(svg.len() < 150_000, "{}", svg.len());
    }

    #[test]
    fn a_resumed_run_is_drawn_once() {
        let mut run = Run::default();
        for step in [1, 2, 3, 4, 3, 4, 5] {
            run.add(&StepLine { step, loss: Some(f64::from(step as u32)), ..StepLine::default() });
        }
        assert_eq!(run.loss.points().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn one_spike_does_not_set_the_scale() {
        let mut run = Run::default();
        for step in 0..10_000 {
            let loss = if step == 5000 { 60.0 } else { 1.0 };
            run.add(&StepLine { step, loss: Some(loss), ..StepLine::default() });
        }
        assert!(range(run.values()).1 < 2.0);
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let error = draw("{\"step\":1,\"loss\":null}\n").unwrap_err().to_string();
        assert!(error.ends_with("metrics.jsonl: no step with a loss to draw"), "{error}");
    }
}
