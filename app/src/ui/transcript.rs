//! The conversation. Only what is seen is laid out; the rest is a height.

use std::collections::HashMap;

use egui::{Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};
use egui_commonmark::CommonMarkCache;

use super::blocks::{Blocks, Form};
use super::textures::Textures;
use super::turn::{self, Part};
use crate::chat::{ChatId, Conversation, Speaker, Turn, TurnId};
use crate::state::{Action, State};

/// The widest a line gets, in points: longer ones are hard to read.
const MAX_WIDTH: f32 = 820.0;
/// Height of a line that was never laid out.
const LINE: f32 = 20.0;
/// Characters a line that was never laid out.
const LINE_CHARS: usize = 90;
/// Laid out above and below what is seen, so that keyboard focus and scrolling find it.
const MARGIN: f32 = 200.0;

/// What was laid out so far.
#[derive(Default)]
pub struct Transcript {
    turns: HashMap<TurnId, Laid>,
    /// What the heights hold for: conversation, width, size of the text.
    valid_for: Option<(ChatId, f32, f32)>,
    markdown: CommonMarkCache,
}

/// A turn that was seen.
struct Laid {
    blocks: Blocks,
    head: Option<f32>,
    foot: Option<f32>,
}

impl Transcript {
    /// Draws the shown conversation.
    pub fn show(&mut self, ui: &mut Ui, state: &State, textures: &mut Textures, actions: &mut Vec<Action>) {
        let Some(chat) = state.chat() else { return };
        let area = ScrollArea::vertical().id_salt(("transcript", chat.id)).auto_shrink(false).stick_to_bottom(true);
        let by_keyboard = keyboard_scroll(ui);
        area.show_viewport(ui, |ui, viewport| {
            if let Some(pages) = by_keyboard {
                ui.scroll_with_delta(vec2(0.0, -pages * 0.9 * viewport.height()));
            }
            self.pieces(ui, viewport, chat, state, textures, actions);
        });
    }

    /// Lays the pieces out that are in the viewport, and gives the others their heights.
    fn pieces(
        &mut self,
        ui: &mut Ui,
        viewport: Rect,
        chat: &Conversation,
        state: &State,
        textures: &mut Textures,
        actions: &mut Vec<Action>,
    ) {
        let width = ui.available_width().min(MAX_WIDTH);
        let left = ui.max_rect().left() + (ui.available_width() - width) / 2.0;
        let size = ui.text_style_height(&egui::TextStyle::Body);
        if self.valid_for != Some((chat.id, width, size)) {
            if self.valid_for.is_some_and(|(before, ..)| before != chat.id) {
                self.turns.clear();
            }
            for laid in self.turns.values_mut() {
                (laid.head, laid.foot) = (None, None);
                laid.blocks.forget_heights();
            }
            self.valid_for = Some((chat.id, width, size));
        }
        let top = ui.max_rect().top();
        let seen = (viewport.top() - MARGIN)..(viewport.bottom() + MARGIN);
        let mut y = 0.0;
        for (index, turn) in chat.turns.iter().enumerate() {
            let is_last = index + 1 == chat.turns.len();
            let laid = self.turns.entry(turn.id).or_insert_with(|| Laid::new(turn));
            laid.blocks.update(&turn.text);
            let parts = std::iter::once((Part::Head, laid.head, 2.0 * LINE))
                .chain(laid.blocks.blocks.iter().map(|block| {
                    let text = &turn.text[block.range.clone()];
                    (Part::Block(block.range.clone()), block.height, guess(text))
                }))
                .chain(std::iter::once((Part::Foot, laid.foot, 1.5 * LINE)));
            let parts: Vec<_> = parts.collect();
            let count = parts.len();
            for (number, (part, known, guess)) in parts.into_iter().enumerate() {
                let height = known.unwrap_or(guess);
                if y + height < seen.start || y > seen.end {
                    y += height;
                    continue;
                }
                let rect = Rect::from_min_size(pos2(left, top + y), vec2(width, height));
                let salt = (chat.id, turn.id, number);
                let mut child = ui.new_child(UiBuilder::new().id_salt(salt).max_rect(rect));
                let context = turn::Context { state, turn, is_last, width };
                turn::show(&mut child, &context, &part, &mut self.markdown, textures, actions);
                let measured = child.min_rect().height() + ui.spacing().item_spacing.y;
                if known != Some(measured) {
                    // Another height moves what follows.
                    ui.ctx().request_repaint();
                }
                match number {
                    0 => laid.head = Some(measured),
                    _ if number + 1 == count => laid.foot = Some(measured),
                    _ => laid.blocks.blocks[number - 1].height = Some(measured),
                }
                y += measured;
            }
        }
        ui.expand_to_include_rect(Rect::from_min_size(pos2(left, top), vec2(width, y)));
    }
}

impl Laid {
    fn new(turn: &Turn) -> Self {
        let form = match turn.speaker {
            Speaker::User => Form::Plain,
            Speaker::Assistant => Form::Markdown,
        };
        Self { blocks: Blocks::new(form), head: None, foot: None }
    }
}

/// About how high a text will be.
fn guess(text: &str) -> f32 {
    let lines: usize = text.lines().map(|line| 1 + line.len() / LINE_CHARS).sum();
    LINE * lines.max(1) as f32
}

/// Pages to scroll down by keyboard in this frame: these keys mean nothing to the field that is written in.
fn keyboard_scroll(ui: &Ui) -> Option<f32> {
    use egui::{Key, Modifiers};
    const ALL: f32 = 1e6;
    ui.input_mut(|input| {
        [
            (Modifiers::NONE, Key::PageDown, 1.0),
            (Modifiers::NONE, Key::PageUp, -1.0),
            (Modifiers::COMMAND, Key::End, ALL),
            (Modifiers::COMMAND, Key::Home, -ALL),
        ]
        .into_iter()
        .find_map(|(modifiers, key, pages)| input.consume_key(modifiers, key).then_some(pages))
    })
}
