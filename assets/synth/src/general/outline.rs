//! What is done with the outlines of shapes: placing them, and finding the stripes and dots that lie inside.
//!
//! An outline is a polygon, also of the round shapes: stripes are cut out of it by its own corners, so nothing has to
//! be masked. Every outline can be shrunk towards its centre and stays inside itself.

use std::f32::consts::TAU;

/// A place on the sheet.
pub(super) type Point = (f32, f32);

/// A point at a distance from the origin; the turn, as a part of a whole one, begins at the top and goes clockwise.
pub(super) fn polar(distance: f32, turn: f32) -> Point {
    let (sin, cos) = (turn * TAU).sin_cos();
    (distance * sin, -distance * cos)
}

/// Makes an outline around the origin larger and moves it.
pub(super) fn placed(outline: &[Point], factor: f32, center: Point) -> Vec<Point> {
    outline.iter().map(|&(x, y)| (center.0 + factor * x, center.1 + factor * y)).collect()
}

/// The stripes of a polygon: its parts in every other one of the bands that are `width` wide and lie across the
/// direction, a middle one on the centre.
///
/// The parts of one that is not convex may be joined by edges that run forth and back; they enclose nothing.
pub(super) fn stripes(outline: &[Point], center: Point, degrees: f32, width: f32) -> Vec<Vec<Point>> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let along = |(x, y): Point| (x - center.0) * cos + (y - center.1) * sin;
    let reach = outline.iter().map(|&point| along(point).abs()).fold(0.0, f32::max);
    let last = (reach / (2.0 * width)).ceil() as i32;
    let stripe = |number: i32| {
        let middle = 2.0 * width * number as f32;
        let above = cut(outline, |point| along(point) - (middle - width / 2.0));
        cut(&above, |point| middle + width / 2.0 - along(point))
    };
    (-last..=last).map(stripe).filter(|part| part.len() >= 3).collect()
}

/// What is left of a polygon where the height is not negative (Sutherland and Hodgman, 1974).
fn cut(outline: &[Point], height: impl Fn(Point) -> f32) -> Vec<Point> {
    let mut left = Vec::with_capacity(outline.len() + 4);
    for (index, &to) in outline.iter().enumerate() {
        let from = outline[(index + outline.len() - 1) % outline.len()];
        let (before, after) = (height(from), height(to));
        if (before >= 0.0) != (after >= 0.0) {
            let part = before / (before - after);
            left.push((from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part));
        }
        if after >= 0.0 {
            left.push(to);
        }
    }
    left
}

/// The centres of the dots of a polygon: those points of a grid of equal triangles around which a dot of this radius
/// lies inside.
pub(super) fn dots(outline: &[Point], origin: Point, spacing: f32, radius: f32) -> Vec<Point> {
    let reach = outline.iter().map(|&point| distance(point, origin)).fold(0.0, f32::max);
    let (high, last) = (spacing * 0.866, (reach / (spacing * 0.866)).ceil() as i32);
    let grid = (-last..=last).flat_map(|row| {
        let shift = if row % 2 == 0 { 0.0 } else { spacing / 2.0 };
        (-last..=last).map(move |column| (origin.0 + shift + spacing * column as f32, origin.1 + high * row as f32))
    });
    grid.filter(|&point| contains(outline, point) && clearance(outline, point) >= radius).collect()
}

/// Whether a point lies inside: a ray to the right crosses an odd number of edges.
pub(super) fn contains(outline: &[Point], (x, y): Point) -> bool {
    let crosses = |(a, b): (Point, Point)| (a.1 > y) != (b.1 > y) && x < a.0 + (b.0 - a.0) * (y - a.1) / (b.1 - a.1);
    edges(outline).filter(|&edge| crosses(edge)).count() % 2 == 1
}

/// How far a point is from the nearest edge.
pub(super) fn clearance(outline: &[Point], (x, y): Point) -> f32 {
    let from_edge = |(a, b): (Point, Point)| {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let part = (((x - a.0) * dx + (y - a.1) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        distance((x, y), (a.0 + part * dx, a.1 + part * dy))
    };
    edges(outline).map(from_edge).fold(f32::INFINITY, f32::min)
}

fn edges(outline: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    outline.iter().copied().zip(outline.iter().copied().cycle().skip(1))
}

/// How far two points are apart.
pub(super) fn distance(a: Point, b: Point) -> f32 {
    ((a.0 - b.0) * (a.0 - b.0) + (a.1 - b.1) * (a.1 - b.1)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::shape::Shape;
    use super::*;

    /// The area, by the shoelace formula.
    fn area(outline: &[Point]) -> f32 {
        edges(outline).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f32>().abs() / 2.0
    }

    #[test]
    fn stripes_cover_about_half_of_a_shape_and_stay_inside_it() {
        for shape in Shape::ALL.map(Shape::outline) {
            let outline = placed(&shape, 50.0, (100.0, 100.0));
            let parts = stripes(&outline, (100.0, 100.0), 45.0, 4.0);
            let covered: f32 = parts.iter().map(|part| area(part)).sum::<f32>() / area(&outline);
            assert!((0.4..0.6).contains(&covered), "{covered}");
            let outside = |&point: &Point| !contains(&outline, point) && clearance(&outline, point) > 0.01;
            assert!(!parts.iter().flatten().any(outside));
        }
    }

    #[test]
    fn a_cut_leaves_the_side_that_is_above() {
        assert!((area(&cut(&Shape::Square.outline(), |(x, _)| x - 0.45)) - 0.45 * 1.8).abs() < 1e-5);
        assert!(cut(&Shape::Square.outline(), |(x, _)| x - 2.0).is_empty());
    }

    #[test]
    fn dots_lie_inside() {
        let outline = placed(&Shape::Star.outline(), 50.0, (100.0, 100.0));
        let dots = dots(&outline, (100.0, 100.0), 20.0, 6.0);
        assert!(dots.len() > 5);
        for dot in dots {
            let rim = (0..16).map(|step| polar(5.9, step as f32 / 16.0)).map(|(x, y)| (dot.0 + x, dot.1 + y));
            assert!(rim.into_iter().all(|point| contains(&outline, point)), "{dot:?}");
        }
        assert!(!contains(&outline, (100.0, 170.0)) && contains(&outline, (100.0, 100.0)));
    }
}
