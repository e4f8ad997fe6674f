//! Several traces side by side: which experts one kind of picture goes to, against another.

use super::controls::layers_name;
use super::details::percent;
use super::load::{bar, expert_label, share};
use super::pictures::thumbnail;
use super::textures::Textures;
use super::{Shown, section};
use crate::language::Language;
use crate::routing::{Difference, Load};
use crate::state::Action;

/// How wide a trace's column is, and how long its pictures are.
const COLUMN: f32 = 156.0;
const PICTURE: f32 = 74.0;
const BAR: f32 = 60.0;
/// A trace has no more pictures here; all of them are shown above.
const MAX_PICTURES: usize = 4;

/// Draws the section.
pub(super) fn show(
    ui: &mut egui::Ui,
    current: Option<Shown<'_>>,
    pinned: &[Shown<'_>],
    textures: &mut Textures,
    actions: &mut Vec<Action>,
) {
    let Some(any) = current.or(pinned.first().copied()) else { return };
    let language = any.language;
    section(ui, language.pick("Comparison", "比较"));
    // An answer that was made anew has the number of the one before it.
    let already = |current: &Shown<'_>| {
        let as_long = |pin: &&Shown<'_>| pin.trace.routing.tokens.len() == current.trace.routing.tokens.len();
        pinned.iter().filter(as_long).any(|pin| pin.digest.is_of(current.trace))
    };
    let fresh = current.filter(|current| !already(current));
    let pin = ui.add_enabled(
        fresh.is_some_and(|current| current.trace.complete),
        egui::Button::new(language.pick("Keep this one for comparison", "保留当前路由以作比较")),
    );
    if pin.clicked() {
        actions.push(Action::PinTrace);
    }
    if pinned.is_empty() {
        let hint = "Keep the routing of several conversations to see how their pictures differ.";
        ui.weak(language.pick(hint, "保留多个对话的路由，即可比较其图片的差异。"));
        return;
    }
    // A trace that is kept already would stand beside itself.
    let columns: Vec<(Shown<'_>, Option<usize>)> =
        fresh.map(|fresh| (fresh, None)).into_iter().chain(pinned.iter().copied().zip((0..).map(Some))).collect();
    let loads: Vec<Option<Load>> =
        columns.iter().map(|(shown, _)| shown.digest.sums().load(shown.part, shown.layers)).collect();
    // Behind each column, its frame's margins and the gap to the next.
    let pitch = COLUMN + 2.0 * 6.0 + 2.0 + ui.spacing().item_spacing.x;
    let across = ((ui.available_width() / pitch) as usize).max(1);
    let numbered: Vec<_> = columns.iter().zip(&loads).enumerate().collect();
    for row in numbered.chunks(across) {
        ui.horizontal_top(|ui| {
            for (at, ((shown, pin), load)) in row {
                ui.push_id(at, |ui| {
                    ui.group(|ui| {
                        ui.vertical(|ui| {
                            ui.set_width(COLUMN);
                            column(ui, *shown, *pin, load.as_ref(), textures, actions);
                        });
                    });
                });
            }
        });
    }
    if let Some(difference) = Difference::largest(&loads) {
        let titles: Vec<&str> = columns.iter().map(|(shown, _)| shown.trace.title.as_str()).collect();
        let layers = layers_name(any.layers, &any.trace.routing.layers, language);
        ui.label(sentence(&difference, &titles, &layers, language));
    }
}

/// The largest difference in words.
fn sentence(difference: &Difference, titles: &[&str], layers: &str, language: Language) -> String {
    let Difference { expert, most: (most, more), least: (least, less) } = *difference;
    let (most, least) = (titles[most], titles[least]);
    let (more, less) = (percent(more), percent(less));
    language.pick(
        format!("Largest difference, {layers}: expert {expert} gets {more} of “{most}” and {less} of “{least}”."),
        format!("最大差别（{layers}）：专家 {expert} 处理“{most}”的 {more}，“{least}”的 {less}。"),
    )
}

/// One trace.
fn column(
    ui: &mut egui::Ui,
    shown: Shown<'_>,
    pin: Option<usize>,
    load: Option<&Load>,
    textures: &mut Textures,
    actions: &mut Vec<Action>,
) {
    let Shown { trace, digest, language, .. } = shown;
    ui.add(egui::Label::new(egui::RichText::new(&trace.title).strong()).truncate()).on_hover_text(&trace.title);
    ui.horizontal_wrapped(|ui| {
        for image in 0..digest.pictures().len().min(MAX_PICTURES) {
            thumbnail(ui, shown, textures, image, PICTURE);
        }
    });
    match load {
        None => drop(ui.weak(language.pick("No such tokens in these layers.", "所选层中没有这类词元。"))),
        Some(load) => {
            egui::Grid::new("shares").num_columns(3).show(ui, |ui| {
                for expert in 0..load.shares.len() {
                    let share = share(Some(load), expert).unwrap_or(0.0);
                    expert_label(ui, expert);
                    bar(ui, expert, share, BAR);
                    ui.label(percent(share));
                    ui.end_row();
                }
            });
        }
    }
    match pin {
        None => drop(ui.weak(language.pick("shown now", "当前显示"))),
        Some(index) => {
            let button = ui.button(language.pick("Remove", "移除"));
            let name = language
                .pick(format!("Remove {} from the comparison", trace.title), format!("从比较中移除 {}", trace.title));
            if button.accessible_name(name).clicked() {
                actions.push(Action::UnpinTrace(index));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_difference_is_a_sentence() {
        let difference = Difference { expert: 1, most: (1, 0.723), least: (0, 0.1) };
        let titles = ["A chart", "A cell"];
        assert_eq!(
            sentence(&difference, &titles, "layer 3", Language::English),
            "Largest difference, layer 3: expert 1 gets 72.3% of “A cell” and 10.0% of “A chart”."
        );
        let chinese = sentence(&difference, &titles, "第 3 层", Language::Chinese);
        assert!(chinese.contains("专家 1") && chinese.contains("A cell") && chinese.contains("72.3%"), "{chinese}");
    }
}
