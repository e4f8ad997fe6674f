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
use findings::Findings;
use layout::Layout;

pub(crate) use questions::QUESTION_TYPES;

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
    Scene { picture: tissue::picture(&field, draw), questions: questions::ask(&field.findings, draw) }
}

#[cfg(test)]
mod tests {
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
}
