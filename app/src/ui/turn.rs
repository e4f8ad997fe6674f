//! One turn of a conversation, in parts: who speaks, with pictures; the words, block by block; what can be done with it.

use std::ops::Range;

use egui::{Align, Frame, Label, Layout, Margin, RichText, Ui};
use egui_commonmark::{CommonMarkCache, CommonMarkViewer};
use pulldown_cmark::{Event as MarkdownEvent, Parser, Tag};

use super::textures::Textures;
use super::thumbnail;
use crate::chat::{Ending, Outcome, Speaker, Turn};
use crate::language::Language;
use crate::state::{Action, State};

/// Height of a turn's pictures, in points.
const PICTURE_HEIGHT: f32 = 180.0;

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who speaks, and the pictures.
    Head,
    /// These bytes of the words.
    Block(Range<usize>),
    /// How it ended, and what can be done.
    Foot,
}

/// Which turn it is a part of.
pub struct Context<'a> {
    /// The app.
    pub state: &'a State,
    /// The turn.
    pub turn: &'a Turn,
    /// Whether it is the conversation's last.
    pub is_last: bool,
    /// How wide it may be, in points.
    pub width: f32,
}

/// Draws a part.
pub fn show(
    ui: &mut Ui,
    context: &Context<'_>,
    part: &Part,
    markdown: &mut CommonMarkCache,
    textures: &mut Textures,
    actions: &mut Vec<Action>,
) {
    match part {
        Part::Head => head(ui, context, textures),
        Part::Block(range) => block(ui, context, &context.turn.text[range.clone()], markdown),
        Part::Foot => foot(ui, context, actions),
    }
}

fn head(ui: &mut Ui, context: &Context<'_>, textures: &mut Textures) {
    let language = context.state.language();
    ui.add_space(10.0);
    let who = match context.turn.speaker {
        Speaker::User => language.pick("You", "你"),
        Speaker::Assistant => language.pick("Model", "模型"),
    };
    ui.strong(who);
    if !context.turn.pictures.is_empty() {
        ui.horizontal_wrapped(|ui| {
            for picture in &context.turn.pictures {
                thumbnail::show(ui, picture, PICTURE_HEIGHT, textures, language);
            }
        });
    }
}

fn block(ui: &mut Ui, context: &Context<'_>, text: &str, markdown: &mut CommonMarkCache) {
    match context.turn.speaker {
        Speaker::User => {
            let fill = ui.visuals().faint_bg_color;
            Frame::new().fill(fill).inner_margin(Margin::symmetric(10, 4)).corner_radius(6).show(ui, |ui| {
                ui.set_width(context.width - 20.0);
                ui.add(Label::new(text.trim_end_matches('\n')).wrap());
            });
        }
        Speaker::Assistant => {
            ui.set_width(context.width);
            match code_of(text) {
                Some(code) => code_block(ui, &code, context.state.language()),
                None => drop(CommonMarkViewer::new().show(ui, markdown, text)),
            }
        }
    }
}

/// The code, where a block is nothing else.
fn code_of(text: &str) -> Option<String> {
    let mut events = Parser::new(text);
    let Some(MarkdownEvent::Start(Tag::CodeBlock(_))) = events.next() else { return None };
    let text_of = |event| match event {
        MarkdownEvent::Text(text) => Some(text.to_string()),
        _ => None,
    };
    Some(events.map_while(text_of).collect())
}

/// Code as it is, to be copied whole.
fn code_block(ui: &mut Ui, code: &str, language: Language) {
    let fill = ui.visuals().code_bg_color;
    Frame::new().fill(fill).inner_margin(Margin::symmetric(10, 8)).corner_radius(6).show(ui, |ui| {
        ui.set_width(ui.available_width());
        let copy = language.pick("Copy code", "复制代码");
        ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
            if ui.small_button(copy).clicked() {
                ui.ctx().copy_text(code.to_string());
            }
            ui.with_layout(Layout::left_to_right(Align::TOP), |ui| {
                ui.add(Label::new(RichText::new(code.trim_end_matches('\n')).monospace()).wrap());
            });
        });
    });
}

fn foot(ui: &mut Ui, context: &Context<'_>, actions: &mut Vec<Action>) {
    let Context { state, turn, is_last, .. } = *context;
    let language = state.language();
    let growing = state
        .work
        .answering()
        .is_some_and(|answering| Some(answering.chat) == state.current && answering.turn == turn.id);
    if turn.speaker == Speaker::Assistant && turn.outcome.is_none() {
        if growing || state.is_answering() && is_last {
            progress(ui, state, turn, language);
        }
        return;
    }
    if let Some(outcome) = &turn.outcome {
        ending(ui, outcome, language);
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().button_padding.y = 1.0;
        if ui.small_button(language.pick("Copy", "复制")).clicked() {
            ui.ctx().copy_text(turn.text.clone());
        }
        let free = !state.is_answering() && state.models.loaded.is_some();
        match turn.speaker {
            Speaker::User => {
                if ui.add_enabled(free, small(language.pick("Edit", "编辑"))).clicked() {
                    actions.push(Action::Edit(turn.id));
                }
                // Its answer was deleted, or never came.
                if is_last && ui.add_enabled(free, small(language.pick("Answer", "回答"))).clicked() {
                    actions.push(Action::Regenerate);
                }
            }
            Speaker::Assistant if is_last => {
                if ui.add_enabled(free, small(language.pick("Regenerate", "重新生成"))).clicked() {
                    actions.push(Action::Regenerate);
                }
            }
            Speaker::Assistant => {}
        }
        if let Some(outcome) = &turn.outcome {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.add(Label::new(RichText::new(figures(outcome, language)).small().weak()).truncate());
            });
        }
    });
}

fn small(text: &str) -> egui::Button<'_> {
    egui::Button::new(text).small()
}

/// What is under way, while there is nothing to read yet.
fn progress(ui: &mut Ui, state: &State, turn: &Turn, language: Language) {
    let Some(answering) = state.work.answering().filter(|_| turn.text.is_empty()) else { return };
    ui.horizontal(|ui| {
        ui.spinner();
        let text = if answering.prompt_tokens == 0 {
            language.pick("looking at the pictures", "正在查看图片").to_string()
        } else if answering.prefilled < answering.prompt_tokens {
            let (done, all) = (answering.prefilled, answering.prompt_tokens);
            match language {
                Language::English => format!("reading {done} of {all} tokens"),
                Language::Chinese => format!("正在读取 {done} / {all} 个词元"),
            }
        } else {
            language.pick("thinking", "正在思考").to_string()
        };
        ui.weak(text);
    });
}

/// Says so where an answer is not complete.
fn ending(ui: &mut Ui, outcome: &Outcome, language: Language) {
    let text = match &outcome.ending {
        Ending::Complete => return,
        Ending::Stopped => language.pick("stopped", "已停止").to_string(),
        Ending::MaxTokens => {
            language.pick("cut off: as long as the settings allow", "已截断：达到设置允许的长度").to_string()
        }
        Ending::Context => language
            .pick("cut off: the model's context is full; begin a new chat", "已截断：模型的上下文已满，请新建对话")
            .to_string(),
        Ending::Failed(reason) => {
            ui.colored_label(ui.visuals().error_fg_color, reason);
            return;
        }
    };
    ui.weak(text);
}

fn figures(outcome: &Outcome, language: Language) -> String {
    let tokens = outcome.tokens;
    let speed = match outcome.tokens_per_second {
        0.0 => String::new(),
        speed => format!(" · {speed:.1} {}", language.pick("tokens/s", "词元/秒")),
    };
    format!("{tokens} {}{speed} · {}", language.pick("tokens", "词元"), outcome.model)
}
