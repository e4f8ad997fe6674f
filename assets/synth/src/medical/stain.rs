//! Stains: which colours a field has.
//!
//! Five that no two of which share the colour of the ground or that of the nuclei, as the stains they are named after do
//! not. The colours of a field differ a little from those written here, as those of two real sections do.

use crate::canvas::Rgb;
use crate::draw::Draw;

/// How a section is stained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stain {
    Eosin,
    Schiff,
    Trichrome,
    Brown,
    Silver,
}

/// The colours of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    /// Stroma.
    pub ground: Rgb,
    /// Strands in the stroma.
    pub fiber: Rgb,
    /// Nuclei, those of glands and clusters too.
    pub nucleus: Rgb,
}

impl Stain {
    pub const ALL: [Self; 5] = [Self::Eosin, Self::Schiff, Self::Trichrome, Self::Brown, Self::Silver];

    pub fn name(self) -> &'static str {
        match self {
            Self::Eosin => "H&E",
            Self::Schiff => "PAS",
            Self::Trichrome => "trichrome",
            Self::Brown => "DAB",
            Self::Silver => "silver",
        }
    }

    /// Its colours as they are meant.
    pub fn palette(self) -> Palette {
        let (ground, fiber, nucleus) = match self {
            Self::Eosin => (Rgb(240, 186, 206), Rgb(212, 128, 166), Rgb(92, 52, 150)),
            Self::Schiff => (Rgb(250, 236, 222), Rgb(224, 116, 174), Rgb(48, 84, 176)),
            Self::Trichrome => (Rgb(134, 202, 200), Rgb(64, 146, 164), Rgb(136, 20, 40)),
            Self::Brown => (Rgb(196, 216, 244), Rgb(140, 168, 216), Rgb(124, 72, 28)),
            Self::Silver => (Rgb(226, 198, 128), Rgb(174, 130, 58), Rgb(32, 26, 24)),
        };
        Palette { ground, fiber, nucleus }
    }
}

impl Palette {
    /// The colours of one section.
    pub fn jittered(self, draw: &mut Draw) -> Self {
        let mut jitter = |color: Rgb| {
            let mut shift = |channel: u8| (f32::from(channel) + draw.real(-7.0, 7.0)).clamp(0.0, 255.0) as u8;
            Rgb(shift(color.0), shift(color.1), shift(color.2))
        };
        Self { ground: jitter(self.ground), fiber: jitter(self.fiber), nucleus: jitter(self.nucleus) }
    }
}
