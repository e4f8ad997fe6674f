//! A field as it is seen: stroma, glands, the cluster, nuclei, each over what came before.

use image::RgbImage;

use super::Field;
use super::findings::Fibers;
use super::layout::{Cluster, DOT, Gland, Point};
use super::nucleus::{Grade, Nucleus, Size, outline};
use super::stain::Palette;
use crate::canvas::{Canvas, Rgb, SIDE, circle, polygon};
use crate::draw::Draw;

const WHITE: Rgb = Rgb(255, 255, 255);
const BLACK: Rgb = Rgb(0, 0, 0);

/// The picture of a field.
pub(super) fn picture(field: &Field, draw: &mut Draw) -> RgbImage {
    let palette = field.findings.stain.palette().jittered(draw);
    let mut canvas = Canvas::new(palette.ground);
    stroma(&mut canvas, field.findings.fibers, &palette, draw);
    for gland in &field.layout.glands {
        paint_gland(&mut canvas, gland, &palette, draw);
    }
    if let Some(cluster) = &field.layout.cluster {
        paint_cluster(&mut canvas, cluster, &palette);
    }
    let grade = field.findings.atypia.grade();
    for nucleus in &field.layout.nuclei {
        paint_nucleus(&mut canvas, nucleus, &grade, &palette, draw);
    }
    canvas.finish()
}

/// Wavy strands, darker and paler than the ground, that all run about the same way.
fn stroma(canvas: &mut Canvas, fibers: Fibers, palette: &Palette, draw: &mut Draw) {
    const STRANDS: usize = 24;
    let degrees = match fibers {
        Fibers::Horizontal => 0.0,
        Fibers::Vertical => 90.0,
        Fibers::Diagonal => *draw.pick(&[45.0, 135.0]),
    };
    let way = f32::to_radians(degrees + draw.real(-8.0, 8.0));
    let pale = palette.ground.mix(WHITE, 0.6);
    for strand in 0..STRANDS {
        // Spread evenly across the way they run, so that no part of the field is without.
        let across = 440.0 * ((strand as f32 + draw.real(0.0, 1.0)) / STRANDS as f32 - 0.5);
        let (sin, cos) = way.sin_cos();
        let along = draw.real(-130.0, 130.0);
        let center = (SIDE / 2.0 + along * cos - across * sin, SIDE / 2.0 + along * sin + across * cos);
        let (color, alpha) = if strand % 3 == 0 { (pale, 200) } else { (palette.fiber, draw.between(140, 200) as u8) };
        let way = way + f32::to_radians(draw.real(-5.0, 5.0));
        canvas.tint(&polygon(&wavy_strand(center, way, draw)), color, alpha);
    }
}

/// A long thin leaf: down its one side, back up the other.
fn wavy_strand(center: Point, way: f32, draw: &mut Draw) -> Vec<Point> {
    const STEPS: usize = 14;
    let (half, width) = (draw.real(80.0, 120.0), draw.real(4.0, 7.0));
    let (height, pace, phase) = (draw.real(1.5, 3.5), draw.real(4.0, 7.0), draw.real(0.0, std::f32::consts::TAU));
    let (sin, cos) = way.sin_cos();
    let point = |step: usize, side: f32| {
        let part = step as f32 / STEPS as f32;
        let along = half * (2.0 * part - 1.0);
        let across = height * (pace * part + phase).sin() + side * width * (std::f32::consts::PI * part).sin();
        (center.0 + along * cos - across * sin, center.1 + along * sin + across * cos)
    };
    let there = (0..STEPS).map(|step| point(step, 1.0));
    there.chain((1..=STEPS).rev().map(|step| point(step, -1.0))).collect()
}

/// The pale lumen, a band of cells around it, and their nuclei in the band.
fn paint_gland(canvas: &mut Canvas, gland: &Gland, palette: &Palette, draw: &mut Draw) {
    const NUCLEUS: f32 = 5.0;
    let Gland { center, radius } = *gland;
    canvas.fill(&circle(center, radius), palette.ground.mix(palette.nucleus, 0.3));
    canvas.fill(&circle(center, radius - 15.0), palette.ground.mix(WHITE, 0.85));
    let ring = radius - NUCLEUS - 2.0;
    let nuclei = (std::f32::consts::TAU * ring / (2.6 * NUCLEUS)).floor();
    let turn = draw.real(0.0, std::f32::consts::TAU);
    for index in 0..nuclei as usize {
        let (sin, cos) = (turn + std::f32::consts::TAU * index as f32 / nuclei).sin_cos();
        let at = (center.0 + ring * cos, center.1 + ring * sin);
        canvas.fill(&circle(at, NUCLEUS), palette.ground.mix(palette.nucleus, 0.8));
    }
}

/// A stained patch full of dots.
fn paint_cluster(canvas: &mut Canvas, cluster: &Cluster, palette: &Palette) {
    let Cluster { center, reach, .. } = *cluster;
    let corner = (center.0 - reach.0, center.1 - reach.1);
    let rect = tiny_skia::Rect::from_xywh(corner.0, corner.1, 2.0 * reach.0, 2.0 * reach.1);
    let patch = tiny_skia::PathBuilder::from_oval(rect.expect("a cluster has a size")).expect("an oval of finite size");
    canvas.tint(&patch, palette.nucleus, 60);
    for dot in &cluster.dots {
        canvas.fill(&circle(*dot, DOT), palette.nucleus.mix(BLACK, 0.25));
    }
}

/// The nucleus, and the nucleolus of an enlarged one of the highest grade.
fn paint_nucleus(canvas: &mut Canvas, nucleus: &Nucleus, grade: &Grade, palette: &Palette, draw: &mut Draw) {
    let color = palette.ground.mix(palette.nucleus, draw.real(grade.depth.0, grade.depth.1));
    canvas.fill(&outline(nucleus, grade, draw), color);
    let Nucleus { center, size: Size { radius, enlarged } } = *nucleus;
    if enlarged && grade.nucleoli {
        let at = (center.0 + radius * draw.real(-0.2, 0.2), center.1 + radius * draw.real(-0.2, 0.2));
        canvas.fill(&circle(at, 0.3 * radius), palette.ground.mix(WHITE, 0.3));
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Atypia, Band, Findings};
    use super::super::stain::Stain;
    use super::*;
    use crate::Domain;

    /// A field with only nuclei, and its picture.
    fn plain(stain: Stain, band: Band, atypia: Atypia, fibers: Fibers, index: u64) -> (Field, RgbImage) {
        let mut draw = Draw::new(Domain::Medical, 11, index);
        let field = Field::draw(Findings { stain, band, atypia, cluster: None, glands: 0, fibers }, &mut draw);
        let picture = picture(&field, &mut draw);
        (field, picture)
    }

    fn channels(color: Rgb) -> [f32; 3] {
        [f32::from(color.0), f32::from(color.1), f32::from(color.2)]
    }

    /// Which pixels are closer to the colour of nuclei than to the ground, along the line between the two.
    fn dark(stain: Stain, picture: &RgbImage) -> Vec<bool> {
        let palette = stain.palette();
        let (ground, nucleus) = (channels(palette.ground), channels(palette.nucleus));
        let way: Vec<f32> = nucleus.iter().zip(ground).map(|(to, from)| to - from).collect();
        let length: f32 = way.iter().map(|part| part * part).sum();
        let along = |pixel: &image::Rgb<u8>| -> f32 {
            (0..3).map(|channel| (f32::from(pixel.0[channel]) - ground[channel]) * way[channel]).sum()
        };
        picture.pixels().map(|pixel| along(pixel) / length > 0.5).collect()
    }

    /// How many connected patches of at least 30 pixels there are.
    fn patches(mut dark: Vec<bool>) -> usize {
        let side = SIDE as usize;
        let mut found = 0;
        for start in 0..dark.len() {
            let (mut open, mut size) = (vec![start], 0);
            while let Some(at) = open.pop() {
                if !std::mem::take(&mut dark[at]) {
                    continue;
                }
                size += 1;
                let (x, y) = (at % side, at / side);
                open.extend((x > 0).then(|| at - 1).into_iter().chain((x + 1 < side).then_some(at + 1)));
                open.extend((y > 0).then(|| at - side).into_iter().chain((y + 1 < side).then_some(at + side)));
            }
            found += usize::from(size >= 30);
        }
        found
    }

    #[test]
    fn nuclei_can_be_counted_in_the_picture() {
        let mut index = 0;
        for stain in Stain::ALL {
            for band in Band::ALL {
                for atypia in Atypia::ALL {
                    index += 1;
                    let (field, picture) = plain(stain, band, atypia, Fibers::ALL[index % 3], index as u64);
                    let (counted, placed) = (patches(dark(stain, &picture)), field.layout.nuclei.len());
                    // Two of the ragged ones may touch where the field is full.
                    let touching = if atypia == Atypia::Severe && band == Band::Most { 3 } else { 0 };
                    assert!(
                        counted <= placed && counted + touching >= placed,
                        "{stain:?} {band:?} {atypia:?}: {counted} of {placed}"
                    );
                }
            }
        }
    }

    #[test]
    fn more_nuclei_or_a_higher_grade_make_more_dark_pixels() {
        let share = |band, atypia| -> usize {
            let picture = |index| plain(Stain::Eosin, band, atypia, Fibers::Vertical, index).1;
            (0..8).map(|index| dark(Stain::Eosin, &picture(index)).into_iter().filter(|dark| *dark).count()).sum()
        };
        for pair in Band::ALL.windows(2) {
            assert!(share(pair[0], Atypia::Mild) * 5 < share(pair[1], Atypia::Mild) * 4, "{pair:?}");
        }
        for pair in Atypia::ALL.windows(2) {
            assert!(share(Band::Some, pair[0]) * 10 < share(Band::Some, pair[1]) * 9, "{pair:?}");
        }
    }

    #[test]
    fn the_stain_sets_the_colour_of_the_ground() {
        for index in 0..60 {
            let mut draw = Draw::new(Domain::Medical, 11, index);
            let findings = Findings::draw(&mut draw);
            let picture = picture(&Field::draw(findings, &mut draw), &mut draw);
            // The median, which nuclei and strands do not move far.
            let median = [0, 1, 2].map(|channel| {
                let mut values: Vec<u8> = picture.pixels().map(|pixel| pixel.0[channel]).collect();
                f32::from(*values.select_nth_unstable((SIDE * SIDE) as usize / 2).1)
            });
            let far = |stain: &Stain| -> f32 {
                channels(stain.palette().ground).iter().zip(median).map(|(a, b)| (a - b).powi(2)).sum()
            };
            let nearest = Stain::ALL.into_iter().min_by(|a, b| far(a).total_cmp(&far(b)));
            assert_eq!(nearest, Some(findings.stain), "picture {index} has the median {median:?}");
        }
    }

    #[test]
    fn glands_are_pale_and_clusters_dark_where_they_lie() {
        for index in 0..60 {
            let mut draw = Draw::new(Domain::Medical, 11, index);
            let findings = Findings::draw(&mut draw);
            let field = Field::draw(findings, &mut draw);
            let picture = picture(&field, &mut draw);
            let dark = dark(findings.stain, &picture);
            let at = |(x, y): (f32, f32)| (x as u32, y as u32);
            for gland in &field.layout.glands {
                let (x, y) = at(gland.center);
                let Rgb(r, g, b) = findings.stain.palette().ground;
                let pixel = picture.get_pixel(x, y).0;
                assert!(pixel.iter().zip([r, g, b]).map(|(a, b)| i32::from(*a) - i32::from(b)).sum::<i32>() > 15);
            }
            for dot in field.layout.cluster.iter().flat_map(|cluster| &cluster.dots) {
                let (x, y) = at(*dot);
                assert!(dark[(y * SIDE as u32 + x) as usize], "picture {index}: no dot at {dot:?}");
            }
        }
    }

    #[test]
    fn the_picture_changes_across_the_fibers() {
        for fibers in Fibers::ALL {
            for stain in Stain::ALL {
                let (_, picture) = plain(stain, Band::Few, Atypia::None, fibers, 5);
                let green = |x, y| f64::from(picture.get_pixel(x, y).0[1]);
                let (mut down, mut across) = (0.0, 0.0);
                for (x, y) in (0..SIDE as u32 - 1).flat_map(|y| (0..SIDE as u32 - 1).map(move |x| (x, y))) {
                    down += (green(x, y + 1) - green(x, y)).powi(2);
                    across += (green(x + 1, y) - green(x, y)).powi(2);
                }
                let seen = match down / across {
                    ratio if ratio > 1.5 => Fibers::Horizontal,
                    ratio if ratio < 1.0 / 1.5 => Fibers::Vertical,
                    _ => Fibers::Diagonal,
                };
                assert_eq!(seen, fibers, "{stain:?}: {down} down, {across} across");
            }
        }
    }
}
