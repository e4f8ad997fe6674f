//! The questions about how two objects lie to each other, and which is larger.

use super::object::Object;
use super::questions::Asker;

/// From this distance on an object is clearly on one side of another, in units of the sheet.
pub(super) const CLEAR: f32 = 40.0;

/// An object is clearly not on a side if it is at least this far on the opposite one.
pub(super) const OPPOSITE: f32 = 10.0;

/// The most objects of a scene in which it is asked what is beside one: among more, too many lie a little to that side.
pub(super) const RELATION_MOST: usize = 3;

/// Where one object is, seen from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Above,
    Below,
}

impl Side {
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Above, Self::Below];

    fn name(self) -> &'static str {
        match self {
            Self::Left => "left of",
            Self::Right => "right of",
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    /// How far an object is on this side of another (negative on the opposite one), and how far away across.
    pub fn offset(self, of: &Object, other: &Object) -> (f32, f32) {
        let (right, down) = (of.center.0 - other.center.0, of.center.1 - other.center.1);
        match self {
            Self::Left => (-right, down.abs()),
            Self::Right => (right, down.abs()),
            Self::Above => (-down, right.abs()),
            Self::Below => (down, right.abs()),
        }
    }

    /// Of the others, the only one that is on this side of an object, if that is clear.
    fn neighbor(self, objects: &[Object], index: usize) -> Option<&Object> {
        let others = objects.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
        let (there, rest): (Vec<&Object>, Vec<&Object>) = others.partition(|other| {
            let (along, across) = self.offset(other, &objects[index]);
            along >= CLEAR && along * 1.5 >= across
        });
        let elsewhere = |other: &&Object| self.offset(other, &objects[index]).0 <= -OPPOSITE;
        (there.len() == 1 && rest.iter().all(elsewhere)).then(|| there[0])
    }
}

impl Asker<'_> {
    /// What is left of an object, and so on.
    pub fn ask_relations(&mut self) {
        let objects = self.objects;
        if !(2..=RELATION_MOST).contains(&objects.len()) {
            return;
        }
        for index in 0..objects.len() {
            for side in Side::ALL {
                let Some(neighbor) = side.neighbor(objects, index) else { continue };
                let Some(name) = self.some_name(index) else { continue };
                self.ask("relation", RELATION, &[side.name(), &name], neighbor.name());
            }
        }
    }

    /// Whether an object is left of another, or larger, and so on: as often rightly as wrongly.
    pub fn ask_comparisons(&mut self) {
        let objects = self.objects;
        for (one, of) in objects.iter().enumerate() {
            for (two, other) in objects.iter().enumerate().filter(|(two, _)| *two != one) {
                let sides = Side::ALL.map(|side| (side.name(), side.offset(of, other).0, CLEAR));
                let size = f32::from(of.size as u8) - f32::from(other.size as u8);
                let sizes = [("larger than", size, 1.0), ("smaller than", -size, 1.0)];
                for (relation, difference, clear) in sides.into_iter().chain(sizes) {
                    if difference.abs() < clear {
                        continue;
                    }
                    let (Some(name), Some(than)) = (self.some_name(one), self.some_name(two)) else { continue };
                    let answer = if difference > 0.0 { "yes" } else { "no" };
                    self.ask("compare", COMPARE, &[&name, relation, &than], answer);
                }
            }
        }
    }
}

const RELATION: &[&str] = &[
    "What is {} {}?",
    "Which object is {} {}?",
    "What do you see {} {}?",
    "What can be found {} {}?",
    "Name the object {} {}.",
];
const COMPARE: &[&str] = &[
    "Is {} {} {}?",
    "In this picture, is {} {} {}?",
    "Would you say that {} is {} {}?",
    "Is it true that {} is {} {}?",
    "Can you see that {} is {} {}?",
];
