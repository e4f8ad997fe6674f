//! Colours that stay apart for colour-blind eyes.

mod experts;
mod tint;

pub use experts::expert_color;
pub use tint::{Ground, Tint, contrast, mix, tint};

/// A colour, 8 bits a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// Text and the curve that matters most.
pub const INK: Rgb = Rgb(34, 34, 34);
/// Labels of axes.
pub const MUTED: Rgb = Rgb(105, 105, 105);
/// What is seen through: the raw curve below the smoothed one.
pub const PALE: Rgb = Rgb(205, 208, 214);
/// Lines of the grid.
pub const GRID: Rgb = Rgb(232, 234, 238);
/// Behind every other row.
pub const BAND: Rgb = Rgb(247, 248, 250);

/// The qualitative colours of Okabe and Ito (2008), but for black, which is the mean's, and yellow, which white drowns.
const DATASETS: [Rgb; 6] =
    [Rgb(0, 114, 178), Rgb(230, 159, 0), Rgb(0, 158, 115), Rgb(213, 94, 0), Rgb(204, 121, 167), Rgb(86, 180, 233)];

/// The colour of the n-th dataset; they repeat after six.
pub fn dataset_color(index: usize) -> Rgb {
    DATASETS[index % DATASETS.len()]
}

/// Five points on the viridis scale (van der Walt and Smith 2015), whose lightness rises evenly.
const SCALE: [Rgb; 5] = [Rgb(68, 1, 84), Rgb(59, 82, 139), Rgb(33, 145, 140), Rgb(94, 201, 98), Rgb(253, 231, 37)];

/// The colour of a fraction: dark 0, bright 1, what lies outside as the nearer end.
pub fn scale_color(fraction: f32) -> Rgb {
    let at = fraction.clamp(0.0, 1.0) * (SCALE.len() - 1) as f32;
    let lower = (at as usize).min(SCALE.len() - 2);
    let (a, b, t) = (SCALE[lower], SCALE[lower + 1], at - lower as f32);
    mix(a, b, t)
}

/// The colour of an expert's share of some tokens: as bright as can be from four times an even share on, so that with
/// many experts differences are still seen; with four or fewer that is a share of 1.
pub fn share_color(share: f32, experts: usize) -> Rgb {
    scale_color(share * (experts as f32 / 4.0).max(1.0))
}

/// Black or white, whichever is read better on a colour (WCAG's relative luminance, with a square for the gamma).
pub fn ink_on(Rgb(r, g, b): Rgb) -> Rgb {
    let linear = |channel: u8| (f32::from(channel) / 255.0).powi(2);
    let luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    // Where the contrast (L + 0.05) / (L' + 0.05) is the same against white and black: sqrt(1.05 * 0.05) - 0.05.
    if luminance < 0.18 { Rgb(255, 255, 255) } else { Rgb(0, 0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_hits_its_stops_and_rises() {
        assert_eq!(scale_color(0.0), SCALE[0]);
        assert_eq!(scale_color(0.5), SCALE[2]);
        assert_eq!(scale_color(1.0), SCALE[4]);
        assert_eq!((scale_color(-1.0), scale_color(2.0)), (SCALE[0], SCALE[4]));
        let green = |i: u8| scale_color(f32::from(i) / 100.0).1;
        assert!((0..100).all(|i| green(i) <= green(i + 1)));
    }

    #[test]
    fn shares_among_many_experts_are_told_apart() {
        assert_eq!([0.0, 0.5, 1.0].map(|share| share_color(share, 3)), [0.0, 0.5, 1.0].map(scale_color));
        assert_eq!(share_color(0.5, 4), scale_color(0.5));
        assert_eq!(share_color(0.125, 16), scale_color(0.5));
        assert_eq!((share_color(0.25, 16), share_color(0.9, 16)), (scale_color(1.0), scale_color(1.0)));
    }

    #[test]
    fn text_is_light_on_dark() {
        assert_eq!(ink_on(scale_color(0.0)), Rgb(255, 255, 255));
        assert_eq!(ink_on(scale_color(1.0)), Rgb(0, 0, 0));
    }
}
