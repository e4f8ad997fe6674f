//! Colours under text: how strong they may be for the text to stay readable.

use super::{Rgb, expert_color};

/// How much of the expert's colour is in the weakest tint, and how much more in the strongest.
const STRENGTH: (f32, f32) = (0.15, 0.5);

/// What lies behind text where nothing is tinted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Dark text on light.
    Light,
    /// Light text on dark.
    Dark,
}

impl Ground {
    fn color(self) -> Rgb {
        match self {
            Self::Light => Rgb(255, 255, 255),
            Self::Dark => Rgb(27, 27, 27),
        }
    }
}

/// A colour behind text, and the text's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tint {
    /// Behind the text.
    pub fill: Rgb,
    /// The text: black or white, whichever is read better.
    pub ink: Rgb,
}

/// The tint of a word that went to an expert; `strength` from 0 to 1, what lies outside as the nearer end.
pub fn tint(expert: usize, strength: f32, ground: Ground) -> Tint {
    let strength = if strength.is_finite() { strength.clamp(0.0, 1.0) } else { 0.0 };
    let fill = mix(ground.color(), expert_color(expert), STRENGTH.0 + STRENGTH.1 * strength);
    let (black, white) = (Rgb(0, 0, 0), Rgb(255, 255, 255));
    Tint { fill, ink: if contrast(fill, black) >= contrast(fill, white) { black } else { white } }
}

/// From `from` (0) to `to` (1).
pub fn mix(from: Rgb, to: Rgb, part: f32) -> Rgb {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8;
    Rgb(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// WCAG 2's contrast of two colours, from 1 to 21; text wants 4.5.
pub fn contrast(a: Rgb, b: Rgb) -> f32 {
    let luminance = |Rgb(r, g, b): Rgb| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The light of a channel as sRGB stores it.
pub(super) fn linear(stored: u8) -> f32 {
    let stored = f32::from(stored) / 255.0;
    if stored <= 0.040_45 { stored / 12.92 } else { ((stored + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_wcags() {
        assert!((contrast(Rgb(0, 0, 0), Rgb(255, 255, 255)) - 21.0).abs() < 1e-4);
        assert_eq!(contrast(Rgb(7, 7, 7), Rgb(7, 7, 7)), 1.0);
        // WebAIM's contrast checker: #767676 on white is 4.54.
        assert!((contrast(Rgb(0x76, 0x76, 0x76), Rgb(255, 255, 255)) - 4.54).abs() < 0.005);
    }

    #[test]
    fn text_on_every_tint_is_readable() {
        for ground in [Ground::Light, Ground::Dark] {
            for (expert, tenth) in (0..32).flat_map(|expert| (0..=10).map(move |tenth| (expert, tenth))) {
                let Tint { fill, ink } = tint(expert, tenth as f32 / 10.0, ground);
                assert!(contrast(fill, ink) >= 4.5, "expert {expert} at {tenth}/10 on {ground:?}: {fill:?} {ink:?}");
            }
        }
    }

    #[test]
    fn stronger_tints_are_nearer_to_the_experts_colour() {
        let fill = |strength| tint(0, strength, Ground::Light).fill;
        assert!(fill(0.0).0 > fill(0.5).0 && fill(0.5).0 > fill(1.0).0, "the first expert has no red");
        assert_eq!((fill(-3.0), fill(f32::NAN), fill(9.0)), (fill(0.0), fill(0.0), fill(1.0)));
    }
}
