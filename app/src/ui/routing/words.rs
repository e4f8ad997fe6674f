//! Prompt and answer, each token tinted by the expert that most of the chosen layers sent it to.

use egui::{Key, Rect, Role, Sense, Stroke, StrokeKind, TextStyle, WidgetInfo, pos2, vec2};

use super::details;
use super::word_rows::{Measure, WordRows, text_of};
use super::{Shown, color32, section};
use crate::palette::{Ground, tint};
use crate::routing::Passage;

/// Passages that are placed in a frame: a few milliseconds.
const PLACED_PER_FRAME: usize = 2500;
/// At each side of a word.
const PADDING: f32 = 2.0;
/// Between rows, and between words.
const GAP: f32 = 2.0;
/// Rows that are seen at once.
const ROWS: f32 = 9.0;

/// Draws the section. `selected` is the token whose numbers are shown below.
pub(super) fn show(ui: &mut egui::Ui, shown: Shown<'_>, rows: &mut WordRows, selected: &mut Option<usize>) {
    let language = shown.language;
    section(ui, language.pick("Prompt and answer", "提示词与回答"));
    let row_height = ui.text_style_height(&TextStyle::Body) + 2.0 * PADDING + GAP;
    egui::ScrollArea::vertical()
        .id_salt("words")
        .max_height(row_height * ROWS)
        .auto_shrink([false, true])
        .stick_to_bottom(true)
        .show_viewport(ui, |ui, viewport| list(ui, viewport, row_height, shown, rows, selected));
    let is_word = |at: &usize| shown.trace.routing.tokens.get(*at).is_some_and(|token| token.image.is_none());
    let hint = language.pick(
        "Underlined: the answer. Point at a word, or go to the text with Tab and to its words with the arrow keys.",
        "带下划线的是回答。将指针移到词上，或用 Tab 键选中文字后用方向键逐词查看。",
    );
    details::show(ui, shown, selected.filter(is_word), hint);
}

fn list(
    ui: &mut egui::Ui,
    viewport: Rect,
    row_height: f32,
    shown: Shown<'_>,
    rows: &mut WordRows,
    selected: &mut Option<usize>,
) {
    let Shown { trace, digest, language, .. } = shown;
    let passages = digest.passages();
    let font = TextStyle::Body.resolve(ui.style());
    let measure = Measure { width: ui.available_width(), font: font.size, language };
    let done = ui.fonts_mut(|fonts| {
        rows.follow(measure, passages, PLACED_PER_FRAME, |passage| {
            let width: f32 = text_of(passage, trace, language).chars().map(|c| fonts.glyph_width(&font, c)).sum();
            let breaks = matches!(passage, Passage::Word(at) if trace.routing.tokens[at].text.ends_with('\n'));
            (width + 2.0 * PADDING + GAP, breaks)
        })
    });
    if !done {
        ui.ctx().request_repaint();
    }
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), rows.len() as f32 * row_height), Sense::click());
    let tokens = digest.taken();
    response.widget_info(|| {
        let name = language.pick(
            format!("Prompt and answer, {tokens} tokens; the arrow keys go from word to word"),
            format!("提示词与回答，共 {tokens} 个词元；用方向键逐词移动"),
        );
        WidgetInfo::labeled(Role::Document, true, name)
    });
    if response.has_focus() {
        let filter = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        if let Some(next) = moved(ui, shown, rows, *selected) {
            *selected = Some(token_of(next, passages, shown));
            let top = rect.top() + rows.row_of(next) as f32 * row_height;
            ui.scroll_to_rect(Rect::from_x_y_ranges(rect.x_range(), top..=top + row_height), None);
        }
    }
    let first = (viewport.min.y / row_height).floor().max(0.0) as usize;
    let last = ((viewport.max.y / row_height).ceil().max(0.0) as usize).min(rows.len());
    let mut cells = Vec::new();
    for row in first..last {
        let mut x = rect.left();
        let top = rect.top() + row as f32 * row_height;
        for at in rows.row(row) {
            let cell = word(ui, shown, passages[at], pos2(x, top), &font, row_height - GAP, *selected);
            x = cell.right() + GAP;
            cells.push((cell, at));
        }
    }
    if response.has_focus() {
        let seen = rect.intersect(ui.clip_rect()).shrink(1.0);
        ui.painter().rect_stroke(seen, 2.0, ui.visuals().selection.stroke, StrokeKind::Inside);
    }
    let at = |pos: egui::Pos2| cells.iter().find(|(cell, _)| cell.contains(pos)).map(|(_, at)| *at);
    if response.clicked() {
        response.request_focus();
        let clicked = response.interact_pointer_pos().and_then(at);
        *selected = clicked.map(|at| token_of(at, passages, shown)).or(*selected);
    }
    if let Some(at) = response.hover_pos().and_then(at) {
        let token = token_of(at, passages, shown);
        response.on_hover_ui_at_pointer(|ui| details::show(ui, shown, Some(token), ""));
    }
}

/// Draws a passage; tells where it lies.
fn word(
    ui: &egui::Ui,
    shown: Shown<'_>,
    passage: Passage,
    corner: egui::Pos2,
    font: &egui::FontId,
    height: f32,
    selected: Option<usize>,
) -> Rect {
    let Shown { trace, digest, layers, language, .. } = shown;
    let ground = if ui.visuals().dark_mode { Ground::Dark } else { Ground::Light };
    let token = match passage {
        Passage::Word(at) => Some(at),
        Passage::Picture(_) => None,
    };
    let tint = token
        .and_then(|at| digest.favourite(trace, at, layers))
        .map(|favourite| tint(favourite.expert, favourite.agreement, ground));
    let ink = tint.map_or(ui.visuals().text_color(), |tint| color32(tint.ink));
    let text = text_of(passage, trace, language).into_owned();
    let painter = ui.painter();
    let galley = painter.layout_no_wrap(text, font.clone(), ink);
    let cell = Rect::from_min_size(corner, vec2(galley.size().x + 2.0 * PADDING, height));
    if let Some(tint) = tint {
        painter.rect_filled(cell, 2.0, color32(tint.fill));
    }
    painter.galley(cell.min + vec2(PADDING, PADDING), galley, ink);
    if token.is_some_and(|at| trace.routing.tokens[at].reply) {
        painter.hline(cell.x_range(), cell.bottom() - 1.0, Stroke::new(1.0, ink));
    }
    if token.is_some() && token == selected {
        painter.rect_stroke(cell, 2.0, Stroke::new(2.0, ui.visuals().strong_text_color()), StrokeKind::Outside);
    }
    cell
}

/// The passage that an arrow key goes to: the first one if none was chosen.
fn moved(ui: &egui::Ui, shown: Shown<'_>, rows: &WordRows, selected: Option<usize>) -> Option<usize> {
    let passages = shown.digest.passages();
    let key = |key| ui.input(|input| input.key_pressed(key));
    let (right, left) = (key(Key::ArrowRight), key(Key::ArrowLeft));
    let (down, up) = (key(Key::ArrowDown), key(Key::ArrowUp));
    if passages.is_empty() || !(right || left || down || up) {
        return None;
    }
    // Passages stand in the order of their tokens. A chosen patch is of the picture that begins before it.
    let current = selected.map(|token| {
        let begins_before = |at: &usize| token_of(*at, passages, shown) <= token;
        (0..passages.len()).rfind(begins_before).unwrap_or(0)
    });
    let Some(current) = current else { return Some(0) };
    let row = rows.row_of(current);
    let column = current - rows.row(row).start;
    let in_row = |row: usize| {
        let range = rows.row(row);
        (range.start + column).min(range.end.saturating_sub(1))
    };
    let next = if right {
        current + 1
    } else if left {
        current.checked_sub(1)?
    } else if down {
        in_row((row + 1 < rows.len()).then_some(row + 1)?)
    } else {
        in_row(row.checked_sub(1)?)
    };
    (next < passages.len()).then_some(next)
}

/// The token whose numbers a passage shows: of a picture its first.
fn token_of(passage: usize, passages: &[Passage], shown: Shown<'_>) -> usize {
    match passages[passage] {
        Passage::Word(at) => at,
        Passage::Picture(image) => {
            shown.digest.pictures().get(image).and_then(|map| map.iter().next()).map_or(0, |(.., token)| token)
        }
    }
}
