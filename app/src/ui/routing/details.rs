//! A token's numbers in words: for the pointer over it, and for those who come by keyboard.

use super::Shown;
use super::controls::layers_name;
use super::word_rows::display;
use crate::language::Language;
use crate::routing::{LayerChoice, Load};

/// So many experts fit into a line.
const FEW: usize = 4;

/// What there is to say of a token, or of how to come to one.
pub(super) fn show(ui: &mut egui::Ui, shown: Shown<'_>, at: Option<usize>, hint: &str) {
    let Some(at) = at else {
        ui.weak(hint);
        return;
    };
    for line in lines(shown, at) {
        let label = ui.label(line);
        // An arrow key changes it while the focus is elsewhere: a screen reader is to read it then.
        ui.ctx().accesskit_node_builder(label.id, |node| node.set_live(egui::accesskit::Live::Polite));
    }
}

/// What there is to say of the trace's token `at`, line by line: what it is, where it went, every probability.
fn lines(shown: Shown<'_>, at: usize) -> Vec<String> {
    let Shown { trace, layers, language, .. } = shown;
    let Some(token) = trace.routing.tokens.get(at) else { return Vec::new() };
    let mut lines = vec![match (token.image, token.patch) {
        (Some(image), Some(place)) => {
            let (image, row, column) = (image + 1, place.row + 1, place.column + 1);
            language.pick(
                format!("Picture {image}, row {row}, column {column}"),
                format!("图片 {image}，第 {row} 行，第 {column} 列"),
            )
        }
        (Some(image), None) => {
            language.pick(format!("Picture {}, the whole of it", image + 1), format!("图片 {}（整体）", image + 1))
        }
        (None, _) => {
            let text = display(&token.text);
            match token.reply {
                true => language.pick(format!("“{text}”, answer"), format!("“{text}”，回答")),
                false => language.pick(format!("“{text}”, prompt"), format!("“{text}”，提示词")),
            }
        }
    }];
    match layers {
        LayerChoice::One(layer) => {
            let name = layers_name(layers, &trace.routing.layers, language);
            if let (Some(expert), Some(probs)) = (token.experts.get(layer), token.probs.get(layer)) {
                lines.push(language.pick(format!("Expert {expert} in {name}"), format!("{name}：专家 {expert}")));
                // As short as it can be without being another number.
                lines.extend(
                    probs.iter().enumerate().map(|(expert, p)| {
                        language.pick(format!("expert {expert}: {p}"), format!("专家 {expert}：{p}"))
                    }),
                );
            }
        }
        LayerChoice::All => lines.extend((0..trace.routing.experts).map(|expert| {
            let layers = token.experts.len();
            let votes = token.experts.iter().filter(|other| **other == expert).count();
            let sum: f32 = token.probs.iter().filter_map(|probs| probs.get(expert)).sum();
            let mean = sum / token.probs.len().max(1) as f32;
            language.pick(
                format!("expert {expert}: {votes} of {layers} layers, mean probability {mean:.4}"),
                format!("专家 {expert}：{layers} 层中的 {votes} 层，平均概率 {mean:.4}"),
            )
        })),
    }
    lines
}

/// The shares of a load in one line.
pub(super) fn shares(load: &Load, language: Language) -> String {
    let share = |(expert, share): (usize, &f64)| share_of(expert, *share, language);
    load.shares.iter().enumerate().map(share).collect::<Vec<_>>().join(language.pick(", ", "，"))
}

/// The largest shares of a load, where it has more than fit into a line.
pub(super) fn foremost(load: &Load, language: Language) -> String {
    if load.shares.len() <= FEW {
        return shares(load, language);
    }
    let mut experts: Vec<usize> = (0..load.shares.len()).collect();
    experts.sort_by(|a, b| load.shares[*b].total_cmp(&load.shares[*a]));
    experts.truncate(FEW - 1);
    let share = |expert: &usize| share_of(*expert, load.shares[*expert], language);
    experts.iter().map(share).collect::<Vec<_>>().join(language.pick(", ", "，")) + "…"
}

fn share_of(expert: usize, share: f64, language: Language) -> String {
    let percent = percent(share);
    language.pick(format!("expert {expert} {percent}"), format!("专家 {expert} {percent}"))
}

/// A fraction as people read it.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.1}%", fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_experts_the_foremost_are_named() {
        let load =
            |shares: &[f64]| Load { tokens: 9, shares: shares.to_vec(), entropy_bits: 0.0, token_entropy_bits: None };
        let few = load(&[0.25, 0.75]);
        assert_eq!(foremost(&few, Language::English), "expert 0 25.0%, expert 1 75.0%");
        let many = load(&[0.1, 0.3, 0.05, 0.35, 0.2]);
        assert_eq!(foremost(&many, Language::English), "expert 3 35.0%, expert 1 30.0%, expert 4 20.0%…");
        assert_eq!(shares(&many, Language::English).matches("expert").count(), 5);
    }
}
