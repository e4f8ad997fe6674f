//! The line below everything: which model, where, how fast, how full.

use egui::{Align, Layout, Ui};
use mole_runtime::device::AdapterKind;

use crate::language::Language;
use crate::state::{State, Work};

/// Draws it.
pub fn show(ui: &mut Ui, state: &State) {
    let language = state.language();
    ui.horizontal(|ui| {
        match &state.models.loaded {
            Some(info) => {
                let device = match info.device.kind {
                    AdapterKind::Cpu => "CPU".to_string(),
                    _ => format!("{} ({})", info.device.name, info.device.backend),
                };
                ui.label(&info.name);
                ui.separator();
                ui.label(device);
                ui.separator();
                ui.label(info.weights.to_string());
            }
            None if state.models.loading.is_some() => loading(ui, state, language),
            None => match state.models.downloading {
                Some((done, total)) => {
                    progress(ui, language.pick("fetching the demo model", "正在下载演示模型"), done, total)
                }
                None => drop(ui.label(language.pick("no model", "没有模型"))),
            },
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if let Some(text) = tokens(state, language) {
                ui.label(text);
            }
        });
    });
}

fn loading(ui: &mut Ui, state: &State, language: Language) {
    let progress_of = state.models.loading.unwrap_or_default();
    progress(ui, language.pick("loading", "正在加载"), progress_of.done_bytes, progress_of.total_bytes);
}

/// A bar with its words.
pub fn progress(ui: &mut Ui, what: &str, done: u64, total: u64) {
    let fraction = if total == 0 { 0.0 } else { done as f32 / total as f32 };
    let text = format!("{what} {:.0} %", 100.0 * fraction);
    ui.add(egui::ProgressBar::new(fraction).desired_width(220.0).text(text));
}

/// Tokens and speed of the answer that is on its way, or of the last one.
fn tokens(state: &State, language: Language) -> Option<String> {
    let context = state.models.loaded.as_ref()?.context;
    if let Work::Guest(_) = state.work {
        return Some(language.pick("answering the page's script", "正在回答网页脚本的提问").to_string());
    }
    let (prompt, answer, speed) = match state.work.answering() {
        Some(answering) => {
            let elapsed = answering.first_ms.map_or(0, |first| state.now_ms.saturating_sub(first));
            let later = answering.pieces.saturating_sub(1);
            let speed = if elapsed < 200 { 0.0 } else { 1000.0 * later as f64 / elapsed as f64 };
            (answering.prompt_tokens, answering.pieces, speed)
        }
        None => {
            let outcome = state.chat()?.turns.iter().rev().find_map(|turn| turn.outcome.as_ref())?;
            (outcome.prompt_tokens, outcome.tokens, outcome.tokens_per_second)
        }
    };
    let used = prompt + answer;
    let speed =
        if speed > 0.0 { format!(" · {speed:.1} {}", language.pick("tokens/s", "词元/秒")) } else { String::new() };
    Some(match language {
        Language::English => format!("{answer} tokens{speed} · context {used} of {context}"),
        Language::Chinese => format!("{answer} 个词元{speed} · 上下文 {used} / {context}"),
    })
}
