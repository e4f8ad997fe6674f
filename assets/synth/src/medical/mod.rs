//! Fields that look like stained tissue under a microscope. They are drawn by rule and say nothing about any disease.
//!
//! This domain asks for texture, counts and grades where the others ask for colours and letters, and it answers in its own
//! manner: a number of nuclei is a band, as in a report, although the question is worded as an everyday one.

mod findings;
mod layout;
mod nucleus;
mod questions;
mod stain;
mod tissue;

use crate::Scene;
use crate::draw::Draw;
use crate::map::map;
use findings::Findings;
use layout::Layout;

pub(crate) use questions::QUESTION_TYPES;

/// Asked only where it is named: what a model learns to see by.
pub(crate) const EXTRA_TYPES: &[&str] = &["caption", "map"];

/// A field before it is painted.
struct Field {
    findings: Findings,
    layout: Layout,
}

impl Field {
    fn draw(findings: Findings, draw: &mut Draw) -> Self {
        Self { findings, layout: Layout::draw(&findings, draw) }
    }
}

/// Draws a scene.
pub(crate) fn scene(draw: &mut Draw) -> Scene {
    let findings = Findings::draw(draw);
    let field = Field::draw(findings, draw);
    let picture = tissue::picture(&field, draw);
    let mut questions = questions::ask(&field.findings, draw);
    questions.push(map("Map the tissue.", |at| field.layout.thing_at(at, field.findings.atypia).to_string()));
    Scene { picture, questions, items: field.layout.nuclei.len() }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::Domain;

    #[test]
    fn a_scene_repeats_to_the_last_byte() {
        for index in 0..10 {
            let (first, second, next) = (
                scene(&mut Draw::new(Domain::Medical, 11, index)),
                scene(&mut Draw::new(Domain::Medical, 11, index)),
                scene(&mut Draw::new(Domain::Medical, 11, index + 1)),
            );
            assert_eq!(first.picture.as_raw(), second.picture.as_raw());
            assert_eq!(first.questions, second.questions);
            assert_ne!(first.picture.as_raw(), next.picture.as_raw());
        }
    }

    #[test]
    fn the_types_of_a_scene_are_those_that_are_listed() {
        let questions = (0..50).flat_map(|index| scene(&mut Draw::new(Domain::Medical, 11, index)).questions);
        let seen: BTreeSet<_> = questions.map(|question| question.question_type).collect();
        assert_eq!(seen, QUESTION_TYPES.iter().chain(EXTRA_TYPES).copied().collect());
    }

    /// Nuclei are dealt out to the cells that they are in, where the map asks each cell what it holds.
    #[test]
    fn a_map_names_what_lies_in_each_cell() {
        let mut seen = BTreeMap::<String, usize>::new();
        for index in 0..200 {
            let stream = || Draw::new(Domain::Medical, 11, index);
            let mut maps = scene(&mut stream()).questions;
            maps.retain(|question| question.question_type == "map");
            let words: Vec<&str> = maps[0].answer.split(' ').collect();
            assert_eq!((maps.len(), words.len()), (1, 144));

            let mut draw = stream();
            let Field { findings, layout } = Field::draw(Findings::draw(&mut draw), &mut draw);
            let mut nuclei = [0; 144];
            for nucleus in &layout.nuclei {
                let (column, row) = ((nucleus.center.0 / 28.0) as usize, (nucleus.center.1 / 28.0) as usize);
                nuclei[12 * row + column] += 1;
            }
            for (cell, word) in words.into_iter().enumerate() {
                let (x, y) = ((14 + 28 * (cell % 12)) as f32, (14 + 28 * (cell / 12)) as f32);
                let square = |(a, b): (f32, f32), (wide, high): (f32, f32)| {
                    (x - a) * (x - a) / (wide * wide) + (y - b) * (y - b) / (high * high)
                };
                // What there is of it at the middle: well inside below 0.99, well outside above 1.01.
                let gland = layout.glands.iter().map(|of| square(of.center, (of.radius, of.radius)));
                let gland = gland.fold(f32::INFINITY, f32::min);
                let cluster = layout.cluster.as_ref().map_or(f32::INFINITY, |of| square(of.center, of.reach));
                let dots = layout.cluster.iter().flat_map(|of| &of.dots);
                let right = match word {
                    "gland" => gland < 1.01,
                    // No dot is further from the next than this, in a cluster.
                    "cluster" => cluster < 1.01 && dots.map(|dot| square(*dot, (8.6, 8.6))).any(|away| away < 1.0),
                    _ if gland < 0.99 || cluster < 0.99 => false,
                    "-" => nuclei[cell] == 0,
                    grade => nuclei[cell] == 1 && grade == findings.atypia.name(),
                };
                assert!(right, "field {index}, cell {cell}: {word}, {} nuclei, {gland}, {cluster}", nuclei[cell]);
                *seen.entry(word.to_owned()).or_default() += 1;
            }
        }
        for word in ["-", "gland", "cluster", "none", "mild", "moderate", "severe"] {
            assert!(seen.contains_key(word), "{word} is not among {seen:?}");
        }
    }
}
