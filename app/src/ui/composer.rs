//! Where a message is written: words, pictures, send or stop.

use egui::{Align, Event, ImeEvent, Key, KeyboardShortcut, Layout, Modifiers, TextEdit, Ui, vec2};

use super::textures::{Shown, Textures};
use super::thumbnail;
use crate::language::Language;
use crate::state::{Action, Notice, State};

/// Height of a waiting picture, in points.
const PICTURE_HEIGHT: f32 = 56.0;
/// Rows of the field before it scrolls.
const MAX_ROWS: f32 = 10.0;
/// The longest text that is written or pasted, in bytes: ten times what the longest context holds.
const MAX_TEXT: usize = 1 << 20;

/// An Enter this soon after a composition belongs to it, in seconds: nobody means one of their own so fast.
const AFTER_COMPOSING: f64 = 0.1;

/// The field, and what an input method is doing in it.
#[derive(Debug)]
pub struct Composer {
    /// Whether an input method is composing: Enter then is its own.
    composing: bool,
    /// When an input method last had a hand in it, in the window's seconds.
    composed_at: f64,
    /// Whether the field wants the keyboard in the next frame.
    wants_focus: bool,
}

impl Default for Composer {
    fn default() -> Self {
        Self { composing: false, composed_at: f64::NEG_INFINITY, wants_focus: true }
    }
}

impl Composer {
    /// Draws it.
    pub fn show(&mut self, ui: &mut Ui, state: &State, textures: &mut Textures, actions: &mut Vec<Action>) {
        let language = state.language();
        if state.draft.editing.is_some() {
            ui.horizontal(|ui| {
                ui.label(
                    language.pick(
                        "Editing a message; what follows it is taken back.",
                        "正在编辑消息；其后的内容将被撤回。",
                    ),
                );
                if ui.button(language.pick("Cancel", "取消")).clicked() {
                    actions.push(Action::CancelEdit);
                }
            });
        }
        pictures(ui, state, textures, language, actions);
        let submitted = self.field(ui, state, language, actions);
        ui.horizontal(|ui| {
            if ui.button(language.pick("Add pictures…", "添加图片…")).clicked() {
                actions.push(Action::PickPictures);
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if state.is_answering() {
                    if ui.button(language.pick("Stop", "停止")).on_hover_text(language.pick("Esc", "Esc 键")).clicked()
                    {
                        actions.push(Action::Stop);
                    }
                } else {
                    let ready = state.models.loaded.is_some() && state.draft.is_sendable();
                    let send = egui::Button::new(language.pick("Send", "发送")).min_size(vec2(72.0, 0.0));
                    let send = ui.add_enabled(ready, send).on_disabled_hover_text(hindrance(state, language));
                    if send.clicked() || submitted && ready {
                        actions.push(Action::Send);
                        self.wants_focus = true;
                    }
                }
                let keys = language.pick("Enter sends, Shift+Enter breaks the line", "回车发送，Shift+回车换行");
                ui.add(egui::Label::new(egui::RichText::new(keys).weak()).truncate());
            });
        });
        if state.is_answering() && ui.input(|input| input.key_pressed(Key::Escape)) {
            actions.push(Action::Stop);
        }
    }

    /// Brings the keyboard to the field.
    pub fn focus(&mut self) {
        self.wants_focus = true;
    }

    /// The field; whether Enter asks for sending.
    fn field(&mut self, ui: &mut Ui, state: &State, language: Language, actions: &mut Vec<Action>) -> bool {
        let input_method = self.input_method(ui);
        refuse_large_paste(ui, language, actions);
        let row = ui.text_style_height(&egui::TextStyle::Body);
        let mut text = state.draft.text.clone();
        let response = egui::ScrollArea::vertical()
            .id_salt("message")
            .max_height(MAX_ROWS * row)
            .show(ui, |ui| {
                let hint = language.pick("Ask about a picture", "就图片提问");
                let edit = TextEdit::multiline(&mut text)
                    .id_salt("message field")
                    .hint_text(hint)
                    .desired_rows(2)
                    .desired_width(f32::INFINITY)
                    // Enter alone sends.
                    .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
                let response = ui.add(edit);
                name(ui, &response, language);
                response
            })
            .inner;
        if response.changed() {
            actions.push(Action::Write(text));
        }
        if std::mem::take(&mut self.wants_focus) {
            response.request_focus();
        }
        response.has_focus() && take_enter(ui) && !input_method
    }

    /// Whether an input method has a hand in this frame: the Enter that ends its composition is not ours, and some
    /// systems tell of it a moment later.
    fn input_method(&mut self, ui: &Ui) -> bool {
        let before = self.composing;
        ui.input(|input| {
            for event in &input.events {
                if let Event::Ime(event) = event {
                    self.composing = matches!(event, ImeEvent::Preedit { text, .. } if !text.is_empty());
                    self.composed_at = input.time;
                }
            }
            before || self.composing || input.time - self.composed_at < AFTER_COMPOSING
        })
    }
}

/// Takes an Enter without any modifier out of the frame's events; whether there was one.
fn take_enter(ui: &Ui) -> bool {
    ui.input_mut(|input| {
        let count = input.events.len();
        input.events.retain(|event| {
            !matches!(event, Event::Key { key: Key::Enter, pressed: true, modifiers, .. } if modifiers.is_none())
        });
        input.events.len() < count
    })
}

/// A multi-line field has no label beside it that says what it is.
fn name(ui: &Ui, response: &egui::Response, language: Language) {
    let label = language.pick("Message", "消息");
    ui.ctx().accesskit_node_builder(response.id, |node| node.set_label(label));
}

/// The pictures that go with the message, each with a way to take it out.
fn pictures(ui: &mut Ui, state: &State, textures: &mut Textures, language: Language, actions: &mut Vec<Action>) {
    if state.draft.pictures.is_empty() {
        return;
    }
    // One a frame: taking it out moves the others.
    for (index, picture) in state.draft.pictures.iter().enumerate() {
        if let Shown::Failed(reason) = textures.get(ui.ctx(), picture) {
            actions.push(Action::Refuse(index, reason));
            ui.ctx().request_repaint();
            return;
        }
    }
    ui.horizontal_wrapped(|ui| {
        for (index, picture) in state.draft.pictures.iter().enumerate() {
            ui.push_id(("waiting picture", index), |ui| {
                ui.horizontal(|ui| {
                    thumbnail::show(ui, picture, PICTURE_HEIGHT, textures, language);
                    let file = thumbnail::file_name(&picture.name);
                    let label = match language {
                        Language::English => format!("Remove {file}"),
                        Language::Chinese => format!("移除 {file}"),
                    };
                    let remove = ui.small_button("×").on_hover_text(&label);
                    ui.ctx().accesskit_node_builder(remove.id, |node| node.set_label(label.as_str()));
                    if remove.clicked() {
                        actions.push(Action::Detach(index));
                    }
                });
            });
        }
    });
}

/// Why nothing can be sent.
fn hindrance(state: &State, language: Language) -> &'static str {
    if state.models.loaded.is_none() {
        return language.pick("A model has to be loaded first.", "请先加载模型。");
    }
    language.pick("Write a question first.", "请先写下问题。")
}

/// A paste beyond all bounds is told of and left out; laid out, it would freeze the window.
fn refuse_large_paste(ui: &Ui, language: Language, actions: &mut Vec<Action>) {
    ui.input_mut(|input| {
        input.events.retain(|event| {
            let Event::Paste(text) = event else { return true };
            if text.len() <= MAX_TEXT {
                return true;
            }
            let megabytes = text.len() as f64 / 1e6;
            let reason = match language {
                Language::English => {
                    format!("The pasted text has {megabytes:.1} MB; messages have at most 1 MB. Paste a part of it.")
                }
                Language::Chinese => format!("粘贴的文本有 {megabytes:.1} MB；消息最多 1 MB。请粘贴其中一部分。"),
            };
            actions.push(Action::Tell(Notice::error(reason)));
            false
        });
    });
}
