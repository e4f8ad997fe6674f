//! The experts' colours.
//!
//! The first eight are Okabe and Ito's (2008), with the datasets' order, yellow behind them, and a dark grey in place of
//! black, which a dark window swallows. Further ones walk around the hues of OKLCH (Ottosson 2020) by the golden angle,
//! so that neighbours in number are far apart in hue, and take one of three lightnesses in turn, so that two of nearly
//! the same hue differ in lightness, which every eye sees. No number of experts makes a colour repeat.

use super::Rgb;

const FIRST: [Rgb; 8] = [
    Rgb(0, 114, 178),
    Rgb(230, 159, 0),
    Rgb(0, 158, 115),
    Rgb(213, 94, 0),
    Rgb(204, 121, 167),
    Rgb(86, 180, 233),
    Rgb(240, 228, 66),
    Rgb(90, 90, 90),
];

/// Lightnesses of the further ones, in turn.
const LIGHTNESS: [f32; 3] = [0.45, 0.82, 0.62];
/// Within sRGB at each of these lightnesses, whatever the hue.
const CHROMA: f32 = 0.08;
/// The hue of the first of the further ones, in degrees.
const FIRST_HUE: f32 = 20.0;
/// 360 degrees less the golden section of 360 degrees.
const GOLDEN_ANGLE: f32 = 137.507_77;

/// The colour of an expert, counted from 0.
pub fn expert_color(expert: usize) -> Rgb {
    match FIRST.get(expert) {
        Some(color) => *color,
        None => further(expert - FIRST.len()),
    }
}

fn further(index: usize) -> Rgb {
    let lightness = LIGHTNESS[index % LIGHTNESS.len()];
    let hue = ((FIRST_HUE + GOLDEN_ANGLE * index as f32) % 360.0).to_radians();
    let (a, b) = (CHROMA * hue.cos(), CHROMA * hue.sin());
    // OKLab to linear sRGB.
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    Rgb(
        gamma(4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s),
        gamma(-1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s),
        gamma(-0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s),
    )
}

/// A linear channel as sRGB stores it.
fn gamma(linear: f32) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let stored = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    (stored * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::super::tint::linear;
    use super::*;

    /// What eyes without one kind of cone see, as matrices of linear sRGB at full severity: Machado, Oliveira and
    /// Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency".
    const PROTANOPIA: [[f32; 3]; 3] =
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]];
    const DEUTERANOPIA: [[f32; 3]; 3] =
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]];
    const TRICHROMACY: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

    /// CIE L*a*b* of what an eye sees of a colour, white being D65.
    fn seen(eye: [[f32; 3]; 3], Rgb(r, g, b): Rgb) -> [f32; 3] {
        let light = [linear(r), linear(g), linear(b)];
        let [r, g, b] = eye.map(|row| row.iter().zip(light).map(|(a, b)| a * b).sum::<f32>().clamp(0.0, 1.0));
        let root = |t: f32| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let x = root((0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.95047);
        let y = root(0.212_672_9 * r + 0.715_152_2 * g + 0.072_175 * b);
        let z = root((0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b) / 1.08883);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// The nearest two of some colours, and how far apart they are in CIE 1976's difference: 2.3 is just noticeable.
    fn nearest(eye: [[f32; 3]; 3], colors: &[Rgb]) -> (f32, usize, usize) {
        let seen: Vec<_> = colors.iter().map(|color| seen(eye, *color)).collect();
        let distance =
            |i: usize, j: usize| seen[i].iter().zip(seen[j]).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        let pairs = (0..colors.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
        pairs.map(|(i, j)| (distance(i, j), i, j)).min_by(|a, b| a.0.total_cmp(&b.0)).expect("two colours")
    }

    #[test]
    fn the_first_eight_stay_apart_for_every_eye() {
        let colors: Vec<Rgb> = (0..8).map(expert_color).collect();
        for (name, eye) in [("protan", PROTANOPIA), ("deutan", DEUTERANOPIA), ("trichromat", TRICHROMACY)] {
            let (distance, i, j) = nearest(eye, &colors);
            assert!(distance > 15.0, "{name}: experts {i} and {j} are {distance} apart");
        }
    }

    #[test]
    fn red_and_green_of_a_traffic_light_would_not() {
        let lights = [Rgb(165, 105, 0), Rgb(110, 120, 0)];
        assert!(nearest(TRICHROMACY, &lights).0 > 15.0);
        assert!(nearest(DEUTERANOPIA, &lights).0 < 15.0, "the simulation simulates nothing");
    }

    #[test]
    fn two_dozen_stay_apart_and_none_repeats() {
        let colors: Vec<Rgb> = (0..24).map(expert_color).collect();
        let (distance, i, j) = nearest(TRICHROMACY, &colors);
        assert!(distance > 10.0, "experts {i} and {j} are {distance} apart");
        let many: std::collections::HashSet<[u8; 3]> =
            (0..64).map(expert_color).map(|Rgb(r, g, b)| [r, g, b]).collect();
        assert_eq!(many.len(), 64);
    }
}
