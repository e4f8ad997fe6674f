//! Where the objects of a scene are, and which there are.

use super::object::{Color, Object, Size, Texture};
use super::outline::distance;
use super::shape::Shape;
use crate::canvas::SIDE;
use crate::draw::Draw;
use crate::map::CELL;

/// The most objects in a scene.
pub(super) const MOST: usize = 6;

/// Free space between two objects, and between an object and the edge of the sheet.
const GAP: f32 = 8.0;

/// How often objects may touch.
const TOUCHING: f32 = 0.3;

/// How much of the smaller one's reach another may cover where objects touch: about a sixth of its area.
const OVERLAP: f32 = 0.4;

/// How the objects of a scene lie to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    Apart,
    Touching,
}

/// Draws the objects of a scene, the larger before the smaller: in this order none is hidden by one that is larger.
pub(super) fn arrange(draw: &mut Draw) -> Vec<Object> {
    let count = draw.between(1, MOST);
    let spacing = if draw.chance(TOUCHING) { Spacing::Touching } else { Spacing::Apart };
    // Of few colours or shapes, so that there are also scenes with many of one kind.
    let (of_colors, of_shapes) = (draw.between(1, Color::ALL.len()), draw.between(1, Shape::ALL.len()));
    let colors = draw.sample(&Color::ALL, of_colors);
    let shapes = draw.sample(&Shape::ALL, of_shapes);
    loop {
        if let Some(mut objects) = attempt(count, &colors, &shapes, spacing, draw) {
            objects.sort_by_key(|object| std::cmp::Reverse(object.size));
            return objects;
        }
    }
}

/// Places one object after the other, each where there is room for it; nothing if one finds no room.
fn attempt(count: usize, colors: &[Color], shapes: &[Shape], spacing: Spacing, draw: &mut Draw) -> Option<Vec<Object>> {
    let mut objects: Vec<Object> = Vec::with_capacity(count);
    for _ in 0..count {
        // The size is drawn anew with every try, so that the last ones become small.
        let placed = (0..40).find_map(|_| {
            let mut object = Object::new(*draw.pick(shapes), *draw.pick(colors), *draw.pick(&Size::ALL), draw);
            // Few would be in the middle of the sheet by chance.
            let middle = objects.is_empty() && draw.chance(0.25);
            let room = if middle { 20.0 } else { SIDE / 2.0 - object.reach() - GAP };
            let mut place = || on_grid(SIDE / 2.0 + draw.real(-room, room), object.size);
            object.center = (place(), place());
            let inside = |at: f32| (at - SIDE / 2.0).abs() <= room;
            let fits = inside(object.center.0) && inside(object.center.1);
            (fits && objects.iter().all(|other| fit(&object, other, spacing))).then_some(object)
        });
        objects.push(placed?);
    }
    Some(objects)
}

/// The place next to this one where an object of this size covers whole cells of the [map](crate::map): small ones two in
/// a row, medium ones three, large ones four. Each then looks the same wherever it is, and is learnt sooner.
fn on_grid(at: f32, size: Size) -> f32 {
    let first = if size == Size::Medium { CELL / 2.0 } else { 0.0 };
    ((at - first) / CELL).round() * CELL + first
}

/// Whether two objects may lie as they do.
fn fit(one: &Object, other: &Object, spacing: Spacing) -> bool {
    let apart = distance(one.center, other.center) - one.reach() - other.reach();
    match spacing {
        Spacing::Touching if told_apart(one, other) => apart >= -OVERLAP * one.reach().min(other.reach()),
        _ => apart >= GAP,
    }
}

/// Whether the border between two objects is seen where one covers the other.
fn told_apart(one: &Object, other: &Object) -> bool {
    // A frame is black, and that of a black object white.
    let frame =
        |a: &Object, b: &Object| a.texture == Texture::Framed && [Color::Black, Color::White].contains(&b.color);
    one.color != other.color && !frame(one, other) && !frame(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    fn scenes() -> impl Iterator<Item = Vec<Object>> {
        (0..1200).map(|index| arrange(&mut Draw::new(Domain::General, 5, index)))
    }

    #[test]
    fn every_number_of_objects_is_as_frequent() {
        let mut counts = [0; MOST];
        scenes().for_each(|objects| counts[objects.len() - 1] += 1);
        assert!(counts.iter().all(|count| (150..250).contains(count)), "{counts:?}");
    }

    #[test]
    fn objects_lie_inside_the_sheet_and_hardly_cover_each_other() {
        let mut covered = 0;
        for objects in scenes() {
            for (index, one) in objects.iter().enumerate() {
                let room = one.reach() + GAP - 0.01..=SIDE - one.reach() - GAP + 0.01;
                assert!(room.contains(&one.center.0) && room.contains(&one.center.1));
                // Whole cells: edges or middles of a grid of twelve.
                let middle = if one.size == Size::Medium { 14.0 } else { 0.0 };
                assert!([one.center.0, one.center.1].iter().all(|at| at % 28.0 == middle), "{:?}", one.center);
                for other in &objects[..index] {
                    let deep = one.reach() + other.reach() - distance(one.center, other.center);
                    assert!(deep <= OVERLAP * one.reach().min(other.reach()) + 0.01);
                    assert!(deep < 0.0 || one.color != other.color, "two {} objects touch", one.color.name());
                    assert!(other.size >= one.size, "a larger one is drawn over a smaller one");
                    covered += usize::from(deep > 0.0);
                }
            }
        }
        assert!(covered > 100, "only {covered} pairs touch");
    }
}
