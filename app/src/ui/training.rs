//! The curves of a training run, read from its folder.

mod charts;
mod experts;
mod losses;
mod numbers;
mod picture;
mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Key, ProgressBar, ScrollArea, TextEdit, Ui};

use self::charts::{Chart, Unit, View};
use self::losses::Shown;
use self::picture::{Layers, Lines, Picture, Scale};
use crate::language::Language;
use crate::state::{Action, State};
use crate::training::{Snapshot, Watch};

/// So many seconds lie between two looks into the folder.
const LOOK_EVERY: f64 = 1.0;

/// A folder that has not answered for so many seconds is said to hang.
const HANGS_AFTER: f64 = 5.0;

const LOSS_HEIGHT: f32 = 260.0;
const SMALL_HEIGHT: f32 = 110.0;

/// The panel: what was read of the run, and how it is looked at.
#[derive(Debug, Default)]
pub struct TrainingView {
    /// What stands in the path's field, and the watched folder it was last filled with.
    field: String,
    filled_with: Option<PathBuf>,
    watch: Option<Watching>,
    /// Why there is no watch.
    error: Option<String>,
    scale: Scale,
    layers: Layers,
    shown: Shown,
}

/// A run that is watched.
#[derive(Debug)]
struct Watching {
    watch: Watch,
    /// When the folder was asked, and has not answered yet, in the view's seconds.
    asked: Option<f64>,
    answered: f64,
    /// When the run last told something new.
    changed: f64,
    snapshot: Option<Arc<Snapshot>>,
    /// What is drawn of the snapshot, and how it was to be drawn.
    picture: Option<(Scale, Layers, Picture)>,
}

impl TrainingView {
    /// Draws the panel.
    pub fn show(&mut self, ui: &mut Ui, state: &State, actions: &mut Vec<Action>) {
        let language = state.language();
        self.follow(ui, state.run.as_deref(), language);
        ScrollArea::vertical().id_salt("training").auto_shrink(false).show(ui, |ui| {
            ui.heading(language.pick("Training run", "训练"));
            self.choose(ui, state.run.as_deref(), language, actions);
            if let Some(error) = &self.error {
                ui.colored_label(ui.visuals().error_fg_color, error);
            }
            match self.watch.take() {
                Some(mut watching) => {
                    self.show_run(ui, &mut watching, language);
                    self.watch = Some(watching);
                }
                None if state.run.is_none() => {
                    ui.label(language.pick(
                        "Name a run's folder, the one that its configuration calls `output`, to see how it goes: the \
                         loss by dataset, the learning rate, which experts are used. Files are read and nothing else, so \
                         that the folder may be another machine's, mounted here.",
                        "请指定训练的文件夹（配置中 `output` 所指的文件夹），即可看到训练的进展：各数据集的损失、学习率、专家的使用情况。\
                         这里只读取文件，所以也可以是挂载到本机的另一台机器的文件夹。",
                    ));
                }
                None => {}
            }
        });
    }

    /// Watches the folder that is to be watched, takes its news, and asks for more.
    fn follow(&mut self, ui: &Ui, run: Option<&Path>, language: Language) {
        let now = ui.input(|input| input.time);
        if run != self.watch.as_ref().map(|watching| watching.watch.folder()) {
            self.watch = None;
            if run != self.filled_with.as_deref() {
                self.error = None;
            }
            if let Some(run) = run.filter(|_| self.error.is_none()) {
                let ctx = ui.ctx().clone();
                match Watch::start(run.to_path_buf(), move || ctx.request_repaint()) {
                    Ok(watch) => self.watch = Some(Watching::new(watch, now)),
                    Err(error) => {
                        self.error = Some(language.pick(
                            format!("The system has no thread to read the run with: {error}. Close other programs and open it again."),
                            format!("系统无法提供读取训练的线程：{error}。请关闭其他程序后重新打开。"),
                        ));
                    }
                }
            }
        }
        if run != self.filled_with.as_deref() {
            self.filled_with = run.map(Path::to_path_buf);
            self.field = run.map(|run| run.display().to_string()).unwrap_or_default();
        }
        if let Some(watching) = &mut self.watch {
            watching.look(now);
            ui.ctx().request_repaint_after_secs(LOOK_EVERY as f32);
        }
    }

    /// The path, and the ways to it.
    fn choose(&mut self, ui: &mut Ui, run: Option<&Path>, language: Language, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            let label = ui.label(language.pick("Folder", "文件夹"));
            let field = TextEdit::singleline(&mut self.field)
                .hint_text(language.pick("path, then Enter", "输入路径后按回车"))
                .desired_width((ui.available_width() - 40.0).min(360.0));
            let response = ui.add(field).labelled_by(label.id);
            if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
                actions.extend(named(&self.field).map(Action::WatchRun));
            }
            if ui.button(language.pick("Open folder…", "打开文件夹…")).clicked() {
                actions.push(Action::PickRun);
            }
            if run.is_some() && ui.button(language.pick("Close run", "关闭训练")).clicked() {
                actions.push(Action::CloseRun);
            }
        });
    }

    fn show_run(&mut self, ui: &mut Ui, watching: &mut Watching, language: Language) {
        let now = ui.input(|input| input.time);
        if let Some(asked) = watching.asked.filter(|asked| now - asked >= HANGS_AFTER) {
            ui.colored_label(ui.visuals().warn_fg_color, summary::no_answer(now - asked, language));
        }
        let Some(snapshot) = watching.snapshot.clone() else { return };
        if let Some(trouble) = summary::trouble(&snapshot, watching.watch.folder(), language) {
            ui.colored_label(ui.visuals().error_fg_color, trouble);
        }
        if let Some(progress) = summary::progress(&snapshot, language) {
            ui.label(progress);
        }
        let Some(headline) = summary::headline(&snapshot, language) else { return };
        ui.label(egui::RichText::new(headline).strong());
        if let Some(fraction) = summary::fraction(&snapshot) {
            ui.add(ProgressBar::new(fraction as f32).desired_height(6.0));
        }
        for remark in summary::remarks(&snapshot, now - watching.changed, language) {
            ui.label(remark);
        }
        ui.separator();
        let view = self.choose_look(ui, language);
        let picture = watching.picture(self.scale, self.layers);
        self.show_charts(ui, picture, &snapshot, view, language);
    }

    /// How the curves are looked at; whether the person wants to see all steps again.
    fn choose_look(&mut self, ui: &mut Ui, language: Language) -> View {
        ui.horizontal_wrapped(|ui| {
            let mut logarithmic = self.scale == Scale::Logarithmic;
            ui.checkbox(&mut logarithmic, language.pick("Logarithmic loss", "损失取对数"));
            self.scale = if logarithmic { Scale::Logarithmic } else { Scale::Linear };
            ui.checkbox(&mut self.shown.each_step, language.pick("Each step", "显示每一步"));
            let whole = ui.button(language.pick("All steps", "全部步数"));
            let hint = language.pick(
                "Back to the whole run. Drag a curve, or turn the wheel with Ctrl, to see a part of it.",
                "回到整个训练。拖动曲线，或按住 Ctrl 滚动滚轮，可查看其中一段。",
            );
            if whole.on_hover_text(hint).clicked() { View::Whole } else { View::Kept }
        })
        .inner
    }

    fn show_charts(&mut self, ui: &mut Ui, picture: &Picture, snapshot: &Snapshot, view: View, language: Language) {
        let chart = |name: &'static str, height: f32, scale: Scale| Chart {
            name,
            description: "",
            height,
            scale,
            unit: Unit::Plain,
            view,
            language,
        };
        let loss = chart(language.pick("Loss", "损失"), LOSS_HEIGHT, self.scale);
        losses::show(ui, picture, &mut self.shown, loss);
        let small = |name| chart(name, SMALL_HEIGHT, Scale::Linear);
        show_one(ui, &picture.lr, false, small(language.pick("Learning rate", "学习率")));
        let loads = &snapshot.curves.loads;
        if loads.layers() > 0 {
            ui.separator();
            let chart = chart(language.pick("Expert load", "专家负载"), SMALL_HEIGHT * 1.5, Scale::Linear);
            experts::show(ui, loads, picture, &mut self.layers, chart);
            ui.separator();
        }
        show_one(ui, &picture.tokens_per_second, true, small(language.pick("Tokens per second", "每秒词元数")));
        show_one(ui, &picture.grad_norm, true, small(language.pick("Gradient norm", "梯度范数")));
    }
}

/// A plot of one curve.
fn show_one(ui: &mut Ui, lines: &Lines, smoothed: bool, chart: Chart<'_>) {
    let color = ui.visuals().text_color();
    let (top, last) =
        if smoothed { (&lines.smoothed, lines.last) } else { (&lines.raw, lines.raw.last().map(|p| p.y)) };
    let description = last.map(numbers::value).unwrap_or_default();
    Chart { description: &description, ..chart }.show(ui, |plot| {
        if smoothed {
            charts::behind(plot, chart.name, &lines.raw, color.gamma_multiply(0.3));
        }
        charts::curve(plot, chart.name, top, color, 1.5);
    });
}

impl Watching {
    fn new(watch: Watch, now: f64) -> Self {
        Self { watch, asked: None, answered: f64::NEG_INFINITY, changed: now, snapshot: None, picture: None }
    }

    fn look(&mut self, now: f64) {
        if let Some(snapshot) = self.watch.news() {
            let seen = self.snapshot.as_ref().map(|known| (known.curves.step, known.curves.held_out.last()));
            if seen != Some((snapshot.curves.step, snapshot.curves.held_out.last())) {
                self.changed = now;
            }
            self.snapshot = Some(snapshot);
            self.picture = None;
            self.asked = None;
            self.answered = now;
        }
        if self.asked.is_none() && now - self.answered >= LOOK_EVERY {
            self.watch.ask();
            self.asked = Some(now);
        }
    }

    /// What is drawn, made anew when the snapshot is another, or is to be drawn otherwise.
    fn picture(&mut self, scale: Scale, layers: Layers) -> &Picture {
        let known = self.picture.take().filter(|known| (known.0, known.1) == (scale, layers));
        let make = || {
            let nothing = crate::training::Curves::default();
            let curves = self.snapshot.as_ref().map_or(&nothing, |snapshot| &snapshot.curves);
            (scale, layers, Picture::of(curves, scale, layers))
        };
        &self.picture.insert(known.unwrap_or_else(make)).2
    }
}

/// The run's folder as somebody wrote it: perhaps in quotation marks, perhaps with the name of the file.
fn named(text: &str) -> Option<PathBuf> {
    let path = Path::new(text.trim().trim_matches(['"', '\'']));
    let folder = if path.ends_with("metrics.jsonl") { path.parent()? } else { path };
    (folder != Path::new("")).then(|| folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_as_it_is_written() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(named(" /mnt/run "), path("/mnt/run"));
        assert_eq!(named("\"/mnt/my run\""), path("/mnt/my run"));
        assert_eq!(named("/mnt/run/metrics.jsonl"), path("/mnt/run"));
        assert_eq!(named("  "), None);
    }
}
