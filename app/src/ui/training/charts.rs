//! The plots of values by step, all over the same steps: dragging or zooming one moves the others.

use egui::{Color32, Id, Role, Sense, Ui, WidgetInfo};
use egui_plot::{
    GridMark, HLine, HoverPosition, Line, LineStyle, Plot, PlotPoint, PlotPoints, PlotUi, Points, VLine,
    log_grid_spacer,
};

use super::numbers;
use super::picture::Scale;
use crate::language::Language;
use crate::palette::Rgb;

/// Room for the marks of every plot's upward axis, so that the plots stand below each other.
const AXIS_WIDTH: f32 = 48.0;

/// Below so many powers of ten a logarithmic axis is marked evenly.
const FEW_DECADES: f64 = 0.7;

/// How one plot looks.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// Its name, which is also its heading.
    pub name: &'a str,
    /// What it shows, in words.
    pub description: &'a str,
    /// How high it is, in points.
    pub height: f32,
    /// How its values are spread.
    pub scale: Scale,
    /// Whether its values are shares of a whole.
    pub unit: Unit,
    /// Where the view is to go back to the whole run.
    pub view: View,
    /// For the words in it.
    pub language: Language,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Numbers.
    Plain,
    /// Fractions, shown in per cent.
    Share,
}

/// Which steps are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As it was dragged and zoomed.
    Kept,
    /// All of them, from now on.
    Whole,
}

impl Chart<'_> {
    /// Draws it with what `lines` adds.
    pub fn show<'b>(self, ui: &mut Ui, lines: impl FnOnce(&mut PlotUi<'b>) + 'b) {
        let Self { name, description, height, scale, unit, view, language } = self;
        let show = move |value: f64| match unit {
            Unit::Plain => numbers::value(value),
            Unit::Share => numbers::percent(value),
        };
        let hover = move |position: &HoverPosition<'_>| match position {
            HoverPosition::NearDataPoint { plot_name, position, .. } => {
                let (step, value) = (numbers::count(position.x.round().max(0.0) as u64), show(scale.value(position.y)));
                Some(
                    language.pick(
                        format!("{plot_name}\nstep {step}: {value}"),
                        format!("{plot_name}\n第 {step} 步：{value}"),
                    ),
                )
            }
            HoverPosition::Elsewhere { .. } => None,
        };
        let y_mark = move |mark: GridMark, range: &std::ops::RangeInclusive<f64>| match (unit, scale) {
            (Unit::Share, _) => numbers::percent(mark.value),
            (Unit::Plain, Scale::Linear) => numbers::mark(mark.value, mark.step_size),
            (Unit::Plain, Scale::Logarithmic) => {
                let few = range.end() - range.start() < FEW_DECADES;
                let value = scale.value(mark.value);
                if few { numbers::value(value) } else { numbers::mark(value, value.abs().min(1.0)) }
            }
        };
        let x_mark = |mark: GridMark, _: &std::ops::RangeInclusive<f64>| match mark.value {
            value if value < 0.0 || value.fract().abs() > 1e-6 => String::new(),
            value => numbers::count(value as u64),
        };
        ui.strong(name);
        let group = Id::unique("the steps of a training run");
        let mut plot = Plot::new(name)
            .height(height)
            .sense(Sense::DRAG)
            // The wheel scrolls the panel; with Ctrl it zooms.
            .allow_scroll(false)
            .allow_zoom([true, false])
            .allow_drag([true, false])
            .allow_boxed_zoom(false)
            .allow_axis_zoom_drag(false)
            .link_axis(group, [true, false])
            .link_cursor(group, [true, false])
            .grid_color(ui.visuals().weak_text_color())
            .y_axis_min_width(AXIS_WIDTH)
            .set_margin_fraction(egui::vec2(0.01, 0.06))
            .x_axis_formatter(x_mark)
            .y_axis_formatter(y_mark)
            .label_formatter(hover);
        if scale == Scale::Logarithmic {
            plot = plot.y_grid_spacer(decades);
        }
        if unit == Unit::Share {
            plot = plot.include_y(0.0);
        }
        if view == View::Whole {
            plot = plot.reset();
        }
        let response = plot.show(ui, lines).response;
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("{name}: {description}")));
    }
}

/// Marks at 1, 2 and 5 of each power of ten; even ones where there are not enough of these.
fn decades(input: egui_plot::GridInput) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    if high - low < FEW_DECADES || high - low > 12.0 {
        return log_grid_spacer(10)(input);
    }
    let powers = low.floor() as i32..=high.ceil() as i32;
    let marks = powers.flat_map(|power| {
        [(1.0, 1.0), (2.0, 0.3), (5.0, 0.3)]
            .map(|(lead, step_size): (f64, f64)| GridMark { value: f64::from(power) + lead.log10(), step_size })
    });
    marks.filter(|mark| (low..=high).contains(&mark.value)).collect()
}

/// A curve that is pointed at.
pub fn curve<'a>(plot: &mut PlotUi<'a>, name: &str, points: &'a [PlotPoint], color: Color32, width: f32) {
    match points {
        // A line of one point is not seen.
        [only] => plot.points(Points::new(name, PlotPoints::Owned(vec![*only])).color(color).radius(width + 1.0)),
        _ => plot.line(Line::new(name, PlotPoints::Borrowed(points)).color(color).width(width)),
    }
}

/// A curve behind another, which is not pointed at.
pub fn behind<'a>(plot: &mut PlotUi<'a>, name: &str, points: &'a [PlotPoint], color: Color32) {
    let line = Line::new(name, PlotPoints::Borrowed(points)).id((name, "each step"));
    plot.line(line.color(color).width(1.0).allow_hover(false));
}

/// Points, joined by a thin line.
pub fn dots<'a>(plot: &mut PlotUi<'a>, name: &str, points: &'a [PlotPoint], color: Color32) {
    let line = Line::new(name, PlotPoints::Borrowed(points)).id((name, "line"));
    plot.line(line.color(color).width(0.75).style(LineStyle::dashed_dense()).allow_hover(false));
    plot.points(Points::new(name, PlotPoints::Borrowed(points)).color(color).radius(3.5));
}

/// A step at which something happened.
pub fn step_mark(plot: &mut PlotUi<'_>, name: &str, step: u64, color: Color32) {
    plot.vline(VLine::new(name, step as f64).id((name, step)).color(color).width(1.0).allow_hover(false));
}

/// A value to compare with.
pub fn level(plot: &mut PlotUi<'_>, name: &str, value: f64, color: Color32) {
    plot.hline(HLine::new(name, value).color(color).width(1.0).style(LineStyle::dashed_dense()).allow_hover(false));
}

/// As egui has it.
pub fn color(Rgb(r, g, b): Rgb) -> Color32 {
    Color32::from_rgb(r, g, b)
}
