//! Which model answers: choose folders, see what they take, load.

use std::path::PathBuf;

use egui::{ComboBox, Key, RichText, ScrollArea, TextEdit, Ui};
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{ModelInfo, ModelSource};
use mole_runtime::model::{Precision, gigabytes};

use super::status::progress;
use crate::language::Language;
use crate::state::{Action, Slot, State};

/// What is written into the path fields and was not taken yet.
#[derive(Debug, Default)]
pub struct ModelsView {
    model: String,
    adapter: String,
}

impl ModelsView {
    /// Draws the panel.
    pub fn show(&mut self, ui: &mut Ui, state: &State, actions: &mut Vec<Action>) {
        let language = state.language();
        ScrollArea::vertical().id_salt("models").auto_shrink(false).show(ui, |ui| {
            ui.heading(language.pick("Model", "模型"));
            ui.add_space(4.0);
            let demo = language.pick("the demo model", "演示模型");
            slot(ui, Slot::Model, &state.models.model, demo, &mut self.model, language, actions);
            ui.add_space(8.0);
            let none = match state.models.model {
                None => language.pick("the demo model's experts", "演示模型的专家"),
                Some(_) => language.pick("none", "无"),
            };
            slot(ui, Slot::Adapter, &state.models.adapter, none, &mut self.adapter, language, actions);
            ui.add_space(8.0);
            where_and_how(ui, state, language, actions);
            ui.add_space(12.0);
            estimate(ui, state, language);
            ui.add_space(8.0);
            load(ui, state, language, actions);
            recent(ui, state, language, actions);
        });
    }
}

/// One folder: what is chosen, a dialog, a field for its path.
fn slot(
    ui: &mut Ui,
    slot: Slot,
    chosen: &Option<ModelSource>,
    unchosen: &str,
    written: &mut String,
    language: Language,
    actions: &mut Vec<Action>,
) {
    let (what, choose, clear) = match slot {
        Slot::Model => (
            language.pick("Checkpoint folder", "检查点文件夹"),
            language.pick("Choose a checkpoint…", "选择检查点…"),
            language.pick("Use the demo model", "使用演示模型"),
        ),
        Slot::Adapter => (
            language.pick("Adapter folder", "适配器文件夹"),
            language.pick("Choose an adapter…", "选择适配器…"),
            language.pick("Without this adapter", "不使用该适配器"),
        ),
    };
    ui.push_id(what, |ui| {
        let label = ui.label(RichText::new(what).strong());
        ui.add(egui::Label::new(chosen.as_ref().map_or(unchosen.to_string(), name)).wrap());
        ui.horizontal_wrapped(|ui| {
            if ui.button(choose).clicked() {
                actions.push(Action::PickFolder(slot));
            }
            if chosen.is_some() && ui.button(clear).clicked() {
                actions.push(Action::Unchoose(slot));
            }
        });
        // A page opens no folder by path.
        if cfg!(not(target_arch = "wasm32")) {
            let hint = language.pick("or write its path, then Enter", "或输入路径后按回车");
            let field = TextEdit::singleline(written).hint_text(hint).desired_width(f32::INFINITY);
            let field = ui.add(field).labelled_by(label.id);
            if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) && !written.trim().is_empty() {
                let path = PathBuf::from(std::mem::take(written).trim());
                actions.push(Action::Choose(slot, ModelSource::Folder(path)));
            }
        }
    });
}

fn name(source: &ModelSource) -> String {
    match source {
        ModelSource::Folder(path) => path.display().to_string(),
        ModelSource::Files(_, name) => name.clone(),
    }
}

fn where_and_how(ui: &mut Ui, state: &State, language: Language, actions: &mut Vec<Action>) {
    egui::Grid::new("where and how").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
        let label = ui.label(language.pick("Device", "设备"));
        let device_name = |choice| match choice {
            DeviceChoice::Auto => language.pick("Automatic", "自动").to_string(),
            DeviceChoice::Cpu => "CPU".to_string(),
            DeviceChoice::Gpu => "GPU".to_string(),
            DeviceChoice::GpuIndex(index) => format!("GPU {index}"),
        };
        let mut device = state.models.device;
        let combo = ComboBox::from_id_salt("device").selected_text(device_name(device)).show_ui(ui, |ui| {
            for choice in [DeviceChoice::Auto, DeviceChoice::Gpu, DeviceChoice::Cpu] {
                ui.selectable_value(&mut device, choice, device_name(choice));
            }
        });
        combo.response.labelled_by(label.id);
        if device != state.models.device {
            actions.push(Action::Device(device));
        }
        ui.end_row();

        let label = ui.label(language.pick("Weights", "权重"));
        let weights_name = |choice: Option<Precision>| {
            choice.map_or(language.pick("Automatic", "自动").to_string(), |precision| precision.to_string())
        };
        let mut weights = state.models.weights;
        let combo = ComboBox::from_id_salt("weights").selected_text(weights_name(weights)).show_ui(ui, |ui| {
            for choice in std::iter::once(None).chain(Precision::ALL.map(Some)) {
                ui.selectable_value(&mut weights, choice, weights_name(choice));
            }
        });
        combo.response.labelled_by(label.id);
        if weights != state.models.weights {
            actions.push(Action::Weights(weights));
        }
        ui.end_row();
    });
}

/// What loading would take.
fn estimate(ui: &mut Ui, state: &State, language: Language) {
    ui.label(RichText::new(language.pick("It would take", "所需资源")).strong());
    match &state.models.estimate {
        None => drop(ui.weak(language.pick("being found out…", "正在估算…"))),
        Some(Err(reason)) => drop(ui.colored_label(ui.visuals().error_fg_color, reason)),
        Some(Ok(info)) => figures(ui, info, language),
    }
}

fn figures(ui: &mut Ui, info: &ModelInfo, language: Language) {
    let memory = &info.memory;
    let offered = info.device.memory_bytes.map_or(language.pick("unknown", "未知").to_string(), gigabytes);
    let adapter = match &info.adapter {
        None => language.pick("none", "无").to_string(),
        Some(adapter) if adapter.experts == 0 => "LoRA".to_string(),
        Some(adapter) => match language {
            Language::English => format!("{} experts a layer", adapter.experts),
            Language::Chinese => format!("每层 {} 个专家", adapter.experts),
        },
    };
    let rows = [
        (language.pick("Parameters", "参数"), format!("{:.1} M", info.parameters as f64 / 1e6)),
        (language.pick("Adapter", "适配器"), adapter),
        (language.pick("Device", "设备"), info.device.name.clone()),
        (
            language.pick("Weights", "权重"),
            format!("{} ({})", gigabytes(memory.weights + memory.adapter), info.weights),
        ),
        (
            language.pick("Context", "上下文"),
            format!("{} ({} {})", gigabytes(memory.kv_cache), info.context, language.pick("tokens", "词元")),
        ),
        (language.pick("Activations", "激活值"), gigabytes(memory.activations)),
        (language.pick("In all", "合计"), gigabytes(memory.total())),
        (language.pick("The device offers", "设备可用"), offered),
    ];
    egui::Grid::new("figures").num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
        for (what, figure) in rows {
            ui.label(what);
            ui.label(figure);
            ui.end_row();
        }
    });
}

fn load(ui: &mut Ui, state: &State, language: Language, actions: &mut Vec<Action>) {
    let models = &state.models;
    if let Some(loading) = models.loading {
        progress(ui, language.pick("loading", "正在加载"), loading.done_bytes, loading.total_bytes);
        return;
    }
    if let (None, Some((done, total))) = (&models.demo, models.downloading) {
        progress(ui, language.pick("fetching the demo model", "正在下载演示模型"), done, total);
    }
    // A choice that cannot be loaded may be tried all the same: what is free changes.
    let ready = models.request().is_some();
    if ui.add_enabled(ready, egui::Button::new(language.pick("Load", "加载"))).clicked() {
        actions.push(Action::Load);
    }
    if let Some(error) = &models.error {
        ui.colored_label(ui.visuals().error_fg_color, error);
    }
}

/// The models that were loaded before.
fn recent(ui: &mut Ui, state: &State, language: Language, actions: &mut Vec<Action>) {
    if state.preferences.recent.is_empty() {
        return;
    }
    ui.add_space(16.0);
    ui.heading(language.pick("Loaded before", "曾经加载"));
    for (index, recent) in state.preferences.recent.iter().enumerate() {
        let path = |path: &PathBuf| path.display().to_string();
        let mut text = recent.model.as_ref().map_or(language.pick("the demo model", "演示模型").to_string(), path);
        if let Some(adapter) = &recent.adapter {
            text = format!("{text} + {}", path(adapter));
        }
        ui.push_id(index, |ui| {
            ui.horizontal_wrapped(|ui| {
                if ui.button(&text).on_hover_text(language.pick("Choose it", "选择")).clicked() {
                    actions.push(Action::ChooseRecent(recent.clone()));
                }
                let forget = language.pick("Forget", "移除");
                let button = ui.small_button("×").on_hover_text(forget);
                let label = format!("{forget} {text}");
                ui.ctx().accesskit_node_builder(button.id, |node| node.set_label(label.as_str()));
                if button.clicked() {
                    actions.push(Action::ForgetRecent(index));
                }
            });
        });
    }
}
