//! Free nuclei: how large, how round, how dark.
//!
//! The grade of atypia sets all of it. A fixed share of the nuclei is enlarged, so that a field of five shows its grade as
//! well as one of fifty, and the ranges of the grades do not touch.

use tiny_skia::{Path, PathBuilder};

use super::findings::Atypia;
use super::layout::Point;
use crate::draw::Draw;

/// Mean radius of a nucleus without atypia.
const RADIUS: f32 = 6.8;

/// How large a nucleus is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub radius: f32,
    pub enlarged: bool,
}

/// A nucleus in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nucleus {
    pub center: Point,
    pub size: Size,
}

/// What a grade does to nuclei; each pair is a range.
pub(super) struct Grade {
    /// Share of the nuclei that are enlarged.
    share: f32,
    /// Size of those, against [`RADIUS`].
    enlarged: (f32, f32),
    /// Size of the others.
    usual: (f32, f32),
    /// Width against length.
    aspect: (f32, f32),
    /// How far the outline leaves the ellipse, against the radius.
    ragged: f32,
    /// How much of the colour they took.
    pub depth: (f32, f32),
    /// Whether the enlarged ones show a pale nucleolus.
    pub nucleoli: bool,
}

impl Atypia {
    pub fn grade(self) -> Grade {
        let (share, enlarged, usual, aspect, ragged, depth) = match self {
            Self::None => (0.0, (1.0, 1.0), (0.97, 1.03), (0.92, 1.0), 0.0, (0.66, 0.7)),
            Self::Mild => (0.34, (1.4, 1.5), (0.9, 1.05), (0.6, 0.7), 0.05, (0.76, 0.84)),
            Self::Moderate => (0.34, (1.7, 1.8), (0.9, 1.05), (0.6, 0.8), 0.16, (0.84, 0.96)),
            Self::Severe => (0.34, (2.2, 2.4), (0.85, 1.0), (0.6, 0.9), 0.3, (0.96, 1.0)),
        };
        Grade { share, enlarged, usual, aspect, ragged, depth, nucleoli: self == Self::Severe }
    }
}

/// Sizes of so many nuclei.
pub(super) fn sizes(atypia: Atypia, count: usize, draw: &mut Draw) -> Vec<Size> {
    let grade = atypia.grade();
    let enlarged = (grade.share * count as f32).round() as usize;
    let size = |index| {
        let enlarged = index < enlarged;
        let (low, high) = if enlarged { grade.enlarged } else { grade.usual };
        Size { radius: RADIUS * draw.real(low, high), enlarged }
    };
    (0..count).map(size).collect()
}

/// An outline of a nucleus: an ellipse that waves out and in.
pub(super) fn outline(nucleus: &Nucleus, grade: &Grade, draw: &mut Draw) -> Path {
    const POINTS: usize = 28;
    let Nucleus { center, size } = *nucleus;
    let stretch = draw.real(grade.aspect.0, grade.aspect.1).sqrt();
    let (sin, cos) = draw.real(0.0, std::f32::consts::TAU).sin_cos();
    let waves = [2.0, 3.0, 5.0].map(|lobes| (lobes, draw.real(0.0, std::f32::consts::TAU), draw.real(0.3, 0.6)));
    let points: Vec<Point> = (0..POINTS)
        .map(|point| {
            let angle = std::f32::consts::TAU * point as f32 / POINTS as f32;
            let wave: f32 = waves.iter().map(|(lobes, phase, height)| height * (lobes * angle + phase).sin()).sum();
            let radius = size.radius * (1.0 + grade.ragged * wave).clamp(0.6, 1.3);
            let (x, y) = (radius * angle.cos() / stretch, radius * angle.sin() * stretch);
            (center.0 + x * cos - y * sin, center.1 + x * sin + y * cos)
        })
        .collect();
    smooth(&points)
}

/// A closed curve that passes near the points: through the middles between them, bent towards them.
fn smooth(points: &[Point]) -> Path {
    let middle = |index: usize| {
        let (a, b) = (points[index % points.len()], points[(index + 1) % points.len()]);
        ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0)
    };
    let mut path = PathBuilder::new();
    let first = middle(points.len() - 1);
    path.move_to(first.0, first.1);
    for (index, point) in points.iter().enumerate() {
        let to = middle(index);
        path.quad_to(point.0, point.1, to.0, to.1);
    }
    path.close();
    path.finish().expect("an outline of finite size")
}
