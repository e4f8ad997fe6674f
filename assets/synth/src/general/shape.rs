//! The shapes of objects and their outlines: six that are still told apart when they are seven pixels wide.

use std::f32::consts::TAU;

use super::outline::{Point, polar};

/// The shape of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Cross,
    Heart,
}

impl Shape {
    pub const ALL: [Self; 6] = [Self::Circle, Self::Square, Self::Triangle, Self::Star, Self::Cross, Self::Heart];

    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Heart => "heart",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Circle => "circles",
            Self::Square => "squares",
            Self::Triangle => "triangles",
            Self::Star => "stars",
            Self::Cross => "crosses",
            Self::Heart => "hearts",
        }
    }

    /// The outline of one of radius 1.
    pub fn outline(self) -> Vec<Point> {
        match self {
            Self::Circle => circle(),
            Self::Square => square(),
            Self::Triangle => triangle(),
            Self::Star => star(),
            Self::Cross => cross(),
            Self::Heart => heart(),
        }
    }

    /// How far the outline of one of radius 1 reaches from its centre. Fixed numbers and not the outline's largest one,
    /// whose last bit depends on the machine's sine, because where objects fit depends on it.
    pub fn reach(self) -> f32 {
        match self {
            Self::Circle => 1.0,
            Self::Square => 1.28,
            Self::Triangle => 1.35,
            Self::Star => 1.3,
            Self::Cross => 1.23,
            Self::Heart => 1.3,
        }
    }
}

/// A circle of radius 1.
fn circle() -> Vec<Point> {
    (0..64).map(|step| polar(1.0, step as f32 / 64.0)).collect()
}

/// A square whose sides are 1.8 long.
fn square() -> Vec<Point> {
    vec![(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
}

/// A triangle that points up.
fn triangle() -> Vec<Point> {
    (0..3).map(|corner| polar(1.35, corner as f32 / 3.0)).collect()
}

/// A star of five thick arms: thin ones are lost when the picture is scaled down.
fn star() -> Vec<Point> {
    (0..10).map(|corner| polar(if corner % 2 == 0 { 1.3 } else { 0.66 }, corner as f32 / 10.0)).collect()
}

/// A cross of four arms of equal length.
fn cross() -> Vec<Point> {
    let (long, wide) = (1.15, 0.42);
    let arm = [(-wide, -wide), (-wide, -long), (wide, -long)];
    let turns: [fn(Point) -> Point; 4] = [|(x, y)| (x, y), |(x, y)| (-y, x), |(x, y)| (-x, -y), |(x, y)| (y, -x)];
    turns.iter().flat_map(|turn| arm.map(turn)).collect()
}

/// A heart: the well known curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t.
fn heart() -> Vec<Point> {
    let point = |step: usize| {
        let t = step as f32 / 64.0 * TAU;
        let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
        // Its highest and lowest points are then equally far from the centre.
        (16.0 * t.sin().powi(3) / 14.0, (-y - 2.5) / 14.0)
    };
    (0..64).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::super::outline::{clearance, contains, distance, placed};
    use super::*;

    #[test]
    fn no_shape_reaches_further_than_it_says_nor_much_less_far() {
        for shape in Shape::ALL {
            let reach = shape.outline().iter().map(|&p| distance(p, (0.0, 0.0))).fold(0.0, f32::max);
            assert!((shape.reach() - 0.05..=shape.reach() + 1e-4).contains(&reach), "{}: {reach}", shape.name());
        }
    }

    #[test]
    fn every_shape_holds_itself_made_smaller() {
        for shape in Shape::ALL.map(Shape::outline) {
            let inner = placed(&shape, 0.8, (0.0, 0.0));
            assert!(inner.iter().all(|&point| contains(&shape, point) && clearance(&shape, point) > 0.02));
        }
    }
}
