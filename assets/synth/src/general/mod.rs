//! Scenes of one to six coloured shapes on a muted background: which there are, where, and how many.
//!
//! A scene is a list of objects first; picture and questions are made of it, so an answer is right by construction.
//! A question is asked only where a careful eye finds its answer in the picture scaled to a third of its side: nothing
//! is asked by a name that two objects share, nor about a place or direction that is a close call.

mod arrange;
mod background;
mod inventory;
mod object;
mod outline;
mod questions;
mod relations;
mod shape;

use crate::Scene;
use crate::draw::Draw;
use background::Background;
use object::Object;
use questions::Asker;

/// The types of question that are asked.
pub(crate) const QUESTION_TYPES: &[&str] = &[
    "shape",
    "color",
    "texture",
    "size",
    "count",
    "presence",
    "position",
    "relation",
    "compare",
    "largest",
    "background",
    "caption",
];

/// Asked only where it is named: what a model learns to see by.
pub(crate) const EXTRA_TYPES: &[&str] = &["inventory", "map"];

/// Draws a scene.
pub(crate) fn scene(draw: &mut Draw) -> Scene {
    let (objects, background) = (arrange::arrange(draw), *draw.pick(&Background::ALL));
    draw_scene(&objects, background, draw)
}

fn draw_scene(objects: &[Object], background: Background, draw: &mut Draw) -> Scene {
    let mut canvas = background.sheet(draw);
    objects.iter().for_each(|object| object.paint(&mut canvas));
    let questions = Asker::ask_all(objects, background, draw);
    Scene { picture: canvas.finish(), questions, items: objects.len() }
}

#[cfg(test)]
mod tests;
