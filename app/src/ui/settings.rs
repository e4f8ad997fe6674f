//! Language, theme, size of text, sampling.

use egui::{ComboBox, DragValue, Grid, Response, ScrollArea, Slider, Ui};

use crate::language::Language;
use crate::state::{Action, Preferences, Sampling, State, Theme};

/// Draws the panel.
pub fn show(ui: &mut Ui, state: &State, actions: &mut Vec<Action>) {
    let language = state.language();
    let mut preferences = state.preferences.clone();
    ScrollArea::vertical().id_salt("settings").auto_shrink(false).show(ui, |ui| {
        ui.heading(language.pick("Settings", "设置"));
        ui.add_space(8.0);
        appearance(ui, &mut preferences, state.system_language, language);
        ui.add_space(16.0);
        ui.heading(language.pick("Answers", "回答"));
        sampling(ui, &mut preferences.sampling, language);
        ui.add_space(16.0);
        ui.heading(language.pick("Keyboard", "键盘"));
        keyboard(ui, language);
    });
    if preferences != state.preferences {
        actions.push(Action::Prefer(Box::new(preferences)));
    }
}

fn appearance(ui: &mut Ui, preferences: &mut Preferences, system: Language, language: Language) {
    Grid::new("appearance").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
        let label = ui.label(language.pick("Language", "语言"));
        let as_system = format!("{} ({})", language.pick("As the system", "跟随系统"), system.name());
        let shown = preferences.language.map_or(as_system.clone(), |chosen| chosen.name().to_string());
        let combo = ComboBox::from_id_salt("language").selected_text(shown).show_ui(ui, |ui| {
            ui.selectable_value(&mut preferences.language, None, &as_system);
            for choice in Language::ALL {
                ui.selectable_value(&mut preferences.language, Some(choice), choice.name());
            }
        });
        named(combo.response, &label);
        ui.end_row();

        let label = ui.label(language.pick("Colours", "颜色"));
        let name = |theme| match theme {
            Theme::System => language.pick("As the system", "跟随系统"),
            Theme::Light => language.pick("Light", "浅色"),
            Theme::Dark => language.pick("Dark", "深色"),
        };
        let combo = ComboBox::from_id_salt("theme").selected_text(name(preferences.theme)).show_ui(ui, |ui| {
            for theme in [Theme::System, Theme::Light, Theme::Dark] {
                ui.selectable_value(&mut preferences.theme, theme, name(theme));
            }
        });
        named(combo.response, &label);
        ui.end_row();

        let label = ui.label(language.pick("Text size", "文字大小"));
        // By steps: a slider that grows under the pointer while it is dragged runs away from it.
        let sizes = [0.8_f32, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0];
        let percent = |size: f32| format!("{:.0} %", size * 100.0);
        let combo = ComboBox::from_id_salt("size").selected_text(percent(preferences.text_scale)).show_ui(ui, |ui| {
            for size in sizes {
                ui.selectable_value(&mut preferences.text_scale, size, percent(size));
            }
        });
        named(combo.response, &label);
        ui.end_row();
    });
}

fn sampling(ui: &mut Ui, sampling: &mut Sampling, language: Language) {
    Grid::new("sampling").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
        let mut row = |label: &str, help: &str, add: &mut dyn FnMut(&mut Ui) -> Response| {
            let label = ui.label(label).on_hover_text(help);
            named(add(ui), &label).on_hover_text(help);
            ui.end_row();
        };
        row(
            language.pick("Longest answer", "最长回答"),
            language.pick("At most this many tokens", "最多这么多词元"),
            &mut |ui| ui.add(DragValue::new(&mut sampling.max_new_tokens).range(1..=100_000)),
        );
        row(
            language.pick("Temperature", "温度"),
            language
                .pick("0 always takes the likeliest token; larger is more varied", "0 总是取最可能的词元；越大越多变"),
            &mut |ui| {
                let response = ui.add(Slider::new(&mut sampling.temperature, 0.0..=2.0).step_by(0.05));
                // Below this the division by it overflows before the choice is any different from the likeliest.
                if sampling.temperature < 0.01 {
                    sampling.temperature = 0.0;
                }
                response
            },
        );
        row(
            language.pick("Top k", "Top k"),
            language.pick("Draw from the k likeliest tokens only; 0 is off", "只从最可能的 k 个词元中抽取；0 为关闭"),
            &mut |ui| ui.add(DragValue::new(&mut sampling.top_k).range(0..=1000)),
        );
        row(
            language.pick("Top p", "Top p"),
            language.pick(
                "Draw from the fewest tokens whose probabilities sum to p; 1 is off",
                "从概率之和达到 p 的最少词元中抽取；1 为关闭",
            ),
            &mut |ui| ui.add(Slider::new(&mut sampling.top_p, 0.0..=1.0).step_by(0.01)),
        );
        row(
            language.pick("Repetition penalty", "重复惩罚"),
            language.pick("Makes tokens that occurred less likely; 1 is off", "降低已出现词元的概率；1 为关闭"),
            &mut |ui| ui.add(Slider::new(&mut sampling.repetition_penalty, 0.5..=2.0).step_by(0.05)),
        );
        row(
            language.pick("Seed", "随机种子"),
            language.pick("The same seed, the same draws", "相同的种子，相同的抽取"),
            &mut |ui| ui.add(DragValue::new(&mut sampling.seed)),
        );
    });
    if *sampling != Sampling::default() && ui.button(language.pick("Back to the defaults", "恢复默认值")).clicked()
    {
        *sampling = Sampling::default();
    }
}

fn keyboard(ui: &mut Ui, language: Language) {
    let keys = [
        ("Enter", language.pick("send", "发送")),
        ("Shift+Enter", language.pick("break the line", "换行")),
        ("Esc", language.pick("stop the answer", "停止回答")),
        ("Ctrl+N", language.pick("new chat", "新对话")),
        ("Ctrl+O", language.pick("add pictures", "添加图片")),
        ("Ctrl+L", language.pick("write a message", "写消息")),
        ("Page Up, Page Down", language.pick("scroll the conversation", "滚动对话")),
        ("Tab, Shift+Tab", language.pick("from control to control", "在控件之间移动")),
    ];
    Grid::new("keyboard").num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
        for (key, what) in keys {
            ui.monospace(key);
            ui.label(what);
            ui.end_row();
        }
    });
}

/// The control is called as its label says.
fn named(control: Response, label: &Response) -> Response {
    control.labelled_by(label.id)
}
