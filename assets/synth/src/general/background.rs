//! What is behind the objects: a pale colour, plain or fading.

use crate::canvas::{Canvas, Rgb, SIDE};
use crate::draw::Draw;

/// The colour of a background: none that an object may have, and one on which every object is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Background {
    Gray,
    Pink,
    Beige,
    Cyan,
    Mint,
}

impl Background {
    pub const ALL: [Self; 5] = [Self::Gray, Self::Pink, Self::Beige, Self::Cyan, Self::Mint];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gray => "gray",
            Self::Pink => "pink",
            Self::Beige => "beige",
            Self::Cyan => "cyan",
            Self::Mint => "mint",
        }
    }

    /// What it is in the mean.
    fn value(self) -> Rgb {
        match self {
            Self::Gray => Rgb(188, 190, 193),
            Self::Pink => Rgb(232, 172, 192),
            Self::Beige => Rgb(214, 194, 152),
            Self::Cyan => Rgb(138, 206, 212),
            Self::Mint => Rgb(172, 224, 178),
        }
    }

    /// An empty sheet of it.
    pub fn sheet(self, draw: &mut Draw) -> Canvas {
        let Rgb(r, g, b) = self.value();
        let shade = draw.real(-5.0, 5.0);
        let mut jitter = |part: u8| (f32::from(part) + shade + draw.real(-2.0, 2.0)) as u8;
        let value = Rgb(jitter(r), jitter(g), jitter(b));
        let mut canvas = Canvas::new(value);
        if draw.chance(0.5) {
            fade(&mut canvas, draw);
        }
        canvas
    }
}

/// Makes the sheet a little darker towards one side and lighter towards the other.
fn fade(canvas: &mut Canvas, draw: &mut Draw) {
    let (across, down) = *draw.pick(&[(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.5, -0.5), (-1.0, 0.0), (0.0, -1.0)]);
    let strength = draw.real(12.0, 22.0);
    canvas.each_pixel(|x, y, color| {
        let part = across * (2.0 * x as f32 / SIDE - 1.0) + down * (2.0 * y as f32 / SIDE - 1.0);
        lighter(color, strength * part)
    });
}

fn lighter(color: Rgb, by: f32) -> Rgb {
    let add = |part: u8| (f32::from(part) + by).clamp(0.0, 255.0) as u8;
    Rgb(add(color.0), add(color.1), add(color.2))
}

#[cfg(test)]
mod tests {
    use super::super::object::Color;
    use super::*;
    use crate::Domain;

    #[test]
    fn a_sheet_is_its_color_in_the_mean_and_never_far_from_it() {
        for index in 0..30 {
            let background = Background::ALL[index as usize % 5];
            let picture = background.sheet(&mut Draw::new(Domain::General, 0, index)).finish();
            let Rgb(r, g, b) = background.value();
            for (channel, expected) in [r, g, b].into_iter().enumerate() {
                let values = picture.pixels().map(|pixel| pixel.0[channel]);
                assert!(values.clone().all(|value| value.abs_diff(expected) <= 30));
                let mean = values.map(f32::from).sum::<f32>() / (SIDE * SIDE);
                assert!((mean - f32::from(expected)).abs() < 8.0, "{}: {mean}", background.name());
            }
        }
    }

    #[test]
    fn every_object_is_seen_on_every_background() {
        let far = |a: Rgb, b: Rgb| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)).max(a.2.abs_diff(b.2));
        for background in Background::ALL {
            for color in Color::ALL {
                let name = (color.name(), background.name());
                assert!(far(background.value(), color.value()) > 45, "{name:?}");
                assert_ne!(name.0, name.1);
            }
        }
    }
}
