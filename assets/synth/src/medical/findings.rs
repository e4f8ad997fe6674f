//! What there is to find in a field, and how it is drawn by lot.
//!
//! Each finding is drawn by itself, so that none can be guessed from another.

use super::stain::Stain;
use crate::draw::Draw;

/// How many free nuclei a field has: those that belong neither to a gland nor to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Band {
    Few,
    Some,
    Many,
    Most,
}

/// How much the free nuclei differ from each other and from a disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atypia {
    None,
    Mild,
    Moderate,
    Severe,
}

/// Where an inflammation cluster lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Top,
    Bottom,
}

/// How the fibers of the stroma run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fibers {
    Horizontal,
    Vertical,
    Diagonal,
}

/// All findings of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Findings {
    pub stain: Stain,
    pub band: Band,
    pub atypia: Atypia,
    pub cluster: Option<Side>,
    pub glands: usize,
    pub fibers: Fibers,
}

impl Band {
    pub const ALL: [Self; 4] = [Self::Few, Self::Some, Self::Many, Self::Most];

    pub fn name(self) -> &'static str {
        match self {
            Self::Few => "1-10",
            Self::Some => "11-20",
            Self::Many => "21-35",
            Self::Most => "36-60",
        }
    }

    /// The least and the most nuclei that are drawn. They keep away from the borders of the bands, for a small picture
    /// does not show one nucleus more or less; and five are enough to see how they differ.
    pub fn drawn(self) -> (usize, usize) {
        match self {
            Self::Few => (5, 8),
            Self::Some => (13, 18),
            Self::Many => (24, 31),
            Self::Most => (41, 54),
        }
    }
}

impl Atypia {
    pub const ALL: [Self; 4] = [Self::None, Self::Mild, Self::Moderate, Self::Severe];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mild => "mild",
            Self::Moderate => "moderate",
            Self::Severe => "severe",
        }
    }
}

impl Side {
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Top, Self::Bottom];

    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Top => "top",
            Self::Bottom => "bottom",
        }
    }

    /// As it is said in a sentence.
    pub fn place(self) -> &'static str {
        match self {
            Self::Left => "on the left",
            Self::Right => "on the right",
            Self::Top => "at the top",
            Self::Bottom => "at the bottom",
        }
    }
}

impl Fibers {
    pub const ALL: [Self; 3] = [Self::Horizontal, Self::Vertical, Self::Diagonal];

    pub fn name(self) -> &'static str {
        match self {
            Self::Horizontal => "horizontal",
            Self::Vertical => "vertical",
            Self::Diagonal => "diagonal",
        }
    }
}

impl Findings {
    /// The most glands a field has.
    pub const MOST_GLANDS: usize = 3;

    pub fn draw(draw: &mut Draw) -> Self {
        Self {
            stain: *draw.pick(&Stain::ALL),
            band: *draw.pick(&Band::ALL),
            atypia: *draw.pick(&Atypia::ALL),
            cluster: if draw.below(3) == 0 { None } else { Some(*draw.pick(&Side::ALL)) },
            glands: draw.between(0, Self::MOST_GLANDS),
            fibers: *draw.pick(&Fibers::ALL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    /// Chi-square against the product of what each finding is meant to be: neither uneven nor dependent.
    #[test]
    fn findings_are_even_and_independent() {
        const FIELDS: u64 = 3000;
        let side = |side: Option<Side>| side.map_or(4, |side| side as usize);
        let drawn: Vec<[usize; 6]> = (0..FIELDS)
            .map(|index| Findings::draw(&mut Draw::new(Domain::Medical, 11, index)))
            .map(|f| {
                [f.stain as usize, f.band as usize, f.atypia as usize, f.glands, f.fibers as usize, side(f.cluster)]
            })
            .collect();
        let sixth = 1.0 / 6.0;
        let meant = [
            vec![0.2; 5],
            vec![0.25; 4],
            vec![0.25; 4],
            vec![0.25; 4],
            vec![1.0 / 3.0; 3],
            vec![sixth, sixth, sixth, sixth, 2.0 * sixth],
        ];
        for (a, of_a) in meant.iter().enumerate() {
            for (b, of_b) in meant.iter().enumerate().skip(a + 1) {
                let mut chi_square = 0.0;
                for (x, p) in of_a.iter().enumerate() {
                    for (y, q) in of_b.iter().enumerate() {
                        let seen = drawn.iter().filter(|values| values[a] == x && values[b] == y).count() as f64;
                        let expected = FIELDS as f64 * p * q;
                        chi_square += (seen - expected).powi(2) / expected;
                    }
                }
                // Of at most 24 degrees of freedom: 60 is passed by chance once in ten thousand.
                assert!(chi_square < 60.0, "findings {a} and {b}: {chi_square}");
            }
        }
    }
}
