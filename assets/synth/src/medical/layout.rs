//! Where everything in a field lies.
//!
//! The cluster is placed first, then the glands, then the nuclei from the largest down. Each looks for a free place and
//! takes the freest it met where none is free, so a field always has as many of each as was drawn.

use super::findings::{Atypia, Findings, Side};
use super::nucleus::{Nucleus, sizes};
use crate::canvas::SIDE;
use crate::draw::Draw;
use crate::map::{CELL, NOTHING};

/// A place on the sheet.
pub(super) type Point = (f32, f32);

/// Radius of a cluster's dots.
pub(super) const DOT: f32 = 3.4;
/// Half of a cluster, along its side of the field and across.
const CLUSTER: (f32, f32) = (50.0, 27.0);
/// What is left free between two things, and how often a place is looked for.
const GAP: f32 = 5.0;
const TRIES: usize = 300;
/// Outer radius of a gland.
const GLAND: f32 = 37.0;

/// Where the middle of a thing may lie: things that stand in the cells of the [map](crate::map) always look the same, and
/// are learnt many times sooner.
#[derive(Clone, Copy)]
enum Grid {
    /// On a corner of four cells, away from the edge of the sheet.
    Corners,
    /// In the middle of a cell, or a little beside it.
    Middles,
}

impl Grid {
    /// The place that is nearest to this one.
    fn near(self, at: f32, draw: &mut Draw) -> f32 {
        match self {
            Self::Corners => (at / CELL).round().clamp(2.0, 10.0) * CELL,
            Self::Middles => ((at / CELL).floor() + 0.5) * CELL + draw.real(-2.0, 2.0),
        }
    }
}

/// A round gland: a pale lumen in a ring of nuclei.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gland {
    pub center: Point,
    /// To the outer side of the ring.
    pub radius: f32,
}

/// A patch of small dark dots.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub center: Point,
    /// Half of its width and of its height.
    pub reach: Point,
    pub dots: Vec<Point>,
}

/// Where everything lies.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub glands: Vec<Gland>,
    pub cluster: Option<Cluster>,
    pub nuclei: Vec<Nucleus>,
}

impl Layout {
    pub fn draw(findings: &Findings, draw: &mut Draw) -> Self {
        let mut taken = Vec::new();
        let cluster = findings.cluster.map(|side| cluster(side, &mut taken, draw));
        let glands = (0..findings.glands)
            .map(|_| Gland { center: place(GLAND, Grid::Corners, 2.0 * GAP, &mut taken, draw), radius: GLAND });
        let glands = glands.collect();
        let (least, most) = findings.band.drawn();
        let mut sizes = sizes(findings.atypia, draw.between(least, most), draw);
        sizes.sort_by(|a, b| b.radius.total_cmp(&a.radius));
        let nuclei = sizes.into_iter().map(|size| Nucleus {
            // Its outline reaches a little beyond its mean radius.
            center: place(1.3 * size.radius, Grid::Middles, GAP, &mut taken, draw),
            size,
        });
        Self { glands, cluster, nuclei: nuclei.collect() }
    }

    /// What is in the cell of the map around a place: a gland or the cluster where the place is in one, else the grade of
    /// the nucleus whose middle is in the cell.
    pub fn thing_at(&self, (x, y): Point, atypia: Atypia) -> &'static str {
        if self.glands.iter().any(|gland| distance(gland.center, (x, y)) <= gland.radius) {
            return "gland";
        }
        let inside =
            |of: &Cluster| ((x - of.center.0) / of.reach.0).powi(2) + ((y - of.center.1) / of.reach.1).powi(2) <= 1.0;
        if self.cluster.as_ref().is_some_and(inside) {
            return "cluster";
        }
        let here = |of: &&Nucleus| (of.center.0 - x).abs() < CELL / 2.0 && (of.center.1 - y).abs() < CELL / 2.0;
        self.nuclei.iter().find(here).map_or(NOTHING, |_| atypia.name())
    }
}

/// A cluster in the middle part of a side; three circles cover it for those who look for a place.
fn cluster(side: Side, taken: &mut Vec<(Point, f32)>, draw: &mut Draw) -> Cluster {
    let (along, depth) = (draw.real(110.0, SIDE - 110.0), draw.real(40.0, 52.0));
    let (center, reach) = match side {
        Side::Left => ((depth, along), (CLUSTER.1, CLUSTER.0)),
        Side::Right => ((SIDE - depth, along), (CLUSTER.1, CLUSTER.0)),
        Side::Top => ((along, depth), CLUSTER),
        Side::Bottom => ((along, SIDE - depth), CLUSTER),
    };
    for step in [-1.0, 0.0, 1.0] {
        let middle = (center.0 + step * (reach.0 - CLUSTER.1), center.1 + step * (reach.1 - CLUSTER.1));
        taken.push((middle, CLUSTER.1 + DOT));
    }
    let mut dots = Vec::new();
    let pitch = 8.6;
    for row in -8_i8..=8 {
        for column in -8_i8..=8 {
            let shift = if row % 2 == 0 { 0.0 } else { 0.5 };
            let x = (f32::from(column) + shift) * pitch + draw.real(-1.6, 1.6);
            let y = f32::from(row) * 0.87 * pitch + draw.real(-1.6, 1.6);
            if (x / reach.0).powi(2) + (y / reach.1).powi(2) < 1.0 {
                dots.push((center.0 + x, center.1 + y));
            }
        }
    }
    Cluster { center, reach, dots }
}

/// Takes a place for a disc that lies within the sheet.
fn place(radius: f32, grid: Grid, gap: f32, taken: &mut Vec<(Point, f32)>, draw: &mut Draw) -> Point {
    let edge = radius + 3.0;
    let mut best = ((SIDE / 2.0, SIDE / 2.0), f32::NEG_INFINITY);
    for _ in 0..TRIES {
        let mut one = || {
            let anywhere = draw.real(edge, SIDE - edge);
            grid.near(anywhere, draw).clamp(edge, SIDE - edge)
        };
        let at = (one(), one());
        let room = |(other, reach): &(Point, f32)| distance(at, *other) - reach - radius;
        let free = taken.iter().map(room).fold(f32::INFINITY, f32::min);
        if free > best.1 {
            best = (at, free);
        }
        if free >= gap {
            break;
        }
    }
    taken.push((best.0, radius));
    best.0
}

pub(super) fn distance(a: Point, b: Point) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn things_lie_apart_and_within_the_sheet() {
        for index in 0..400 {
            let mut draw = Draw::new(Domain::Medical, 11, index);
            let layout = Layout::draw(&Findings::draw(&mut draw), &mut draw);
            let mut discs: Vec<_> = layout.nuclei.iter().map(|nucleus| (nucleus.center, nucleus.size.radius)).collect();
            discs.extend(layout.glands.iter().map(|gland| (gland.center, gland.radius)));
            for (number, (center, radius)) in discs.iter().enumerate() {
                let inside = *radius..SIDE - radius;
                assert!(inside.contains(&center.0) && inside.contains(&center.1), "field {index}");
                for (other, reach) in &discs[number + 1..] {
                    assert!(distance(*center, *other) > radius + reach, "field {index}: two overlap");
                }
                for dot in layout.cluster.iter().flat_map(|cluster| &cluster.dots) {
                    assert!(distance(*center, *dot) > *radius, "field {index}: a dot is covered");
                }
            }
        }
    }
}
