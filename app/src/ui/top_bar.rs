//! The bar above everything: the list, the conversation's menu, what stands beside it.

use egui::{Align, Button, Id, Key, Layout, Modal, TextEdit, Ui};

use super::sidebar::{Asking, title};
use crate::language::Language;
use crate::state::{Action, Panel, Preferences, State};

/// Draws it.
pub fn show(ui: &mut Ui, state: &State, asking: &mut Asking, actions: &mut Vec<Action>) {
    let language = state.language();
    ui.horizontal(|ui| {
        let list = Button::selectable(state.preferences.sidebar, language.pick("Chats", "对话列表"));
        if ui.add(list).clicked() {
            let sidebar = !state.preferences.sidebar;
            actions.push(Action::Prefer(Box::new(Preferences { sidebar, ..state.preferences.clone() })));
        }
        if !state.preferences.sidebar && ui.button(language.pick("New chat", "新对话")).clicked() {
            actions.push(Action::NewChat);
        }
        chat_menu(ui, state, asking, language, actions);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            for (panel, name) in panels(language) {
                let shown = state.preferences.panel == panel;
                if ui.add(Button::selectable(shown, name)).clicked() {
                    actions.push(Action::Show(if shown { Panel::None } else { panel }));
                }
            }
        });
    });
}

/// The panels, from the right.
fn panels(language: Language) -> Vec<(Panel, &'static str)> {
    let mut panels = vec![
        (Panel::Settings, language.pick("Settings", "设置")),
        (Panel::Models, language.pick("Models", "模型")),
        (Panel::Routing, language.pick("Routing", "路由")),
    ];
    if cfg!(not(target_arch = "wasm32")) {
        panels.insert(2, (Panel::Training, language.pick("Training", "训练")));
    }
    panels
}

fn chat_menu(ui: &mut Ui, state: &State, asking: &mut Asking, language: Language, actions: &mut Vec<Action>) {
    let Some(chat) = state.chat() else { return };
    let name = title(chat, language.pick("Untitled", "无标题"));
    ui.menu_button(language.pick("This chat", "本对话"), |ui| {
        ui.weak(&name);
        if ui.button(language.pick("Rename…", "重命名…")).clicked() {
            *asking = Asking::Name(chat.id, chat.shown_title());
        }
        if ui.button(language.pick("Export as Markdown…", "导出为 Markdown…")).clicked() {
            actions.push(Action::ExportMarkdown(chat.id));
        }
        if ui.button(language.pick("Export as JSON…", "导出为 JSON…")).clicked() {
            actions.push(Action::ExportJson(chat.id));
        }
        if ui.button(language.pick("Delete…", "删除…")).clicked() {
            *asking = Asking::Deletion(chat.id);
        }
    });
}

/// Asks what is to be asked, above everything else.
pub fn ask(ui: &Ui, state: &State, asking: &mut Asking, actions: &mut Vec<Action>) {
    let language = state.language();
    let (cancel, mut done) = (language.pick("Cancel", "取消"), false);
    match asking {
        Asking::Nothing => return,
        Asking::Name(chat, name) => {
            let modal = Modal::new(Id::unique("rename")).show(ui.ctx(), |ui| {
                ui.set_width(320.0);
                let label = ui.label(language.pick("Name of this chat", "本对话的名称"));
                let field = ui.add(TextEdit::singleline(name).id_salt("chat name").desired_width(f32::INFINITY));
                let field = field.labelled_by(label.id);
                let enter = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
                if !enter && !field.has_focus() && ui.memory(|memory| memory.focused().is_none()) {
                    field.request_focus();
                }
                ui.horizontal(|ui| {
                    if ui.button(language.pick("Rename", "重命名")).clicked() || enter {
                        actions.push(Action::Rename(*chat, name.clone()));
                        done = true;
                    }
                    done |= ui.button(cancel).clicked();
                });
            });
            done |= modal.should_close();
        }
        Asking::Deletion(chat) => {
            let modal = Modal::new(Id::unique("delete")).show(ui.ctx(), |ui| {
                ui.set_width(320.0);
                let name = state.chat_of(*chat).map_or(String::new(), |chat| title(chat, ""));
                ui.label(match language {
                    Language::English => format!("Delete “{name}”? It cannot be brought back."),
                    Language::Chinese => format!("删除“{name}”？此操作无法撤销。"),
                });
                ui.horizontal(|ui| {
                    if ui.button(language.pick("Delete", "删除")).clicked() {
                        actions.push(Action::Delete(*chat));
                        done = true;
                    }
                    done |= ui.button(cancel).clicked();
                });
            });
            done |= modal.should_close();
        }
    }
    if done {
        *asking = Asking::Nothing;
    }
}
