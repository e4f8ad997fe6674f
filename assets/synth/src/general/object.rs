//! What a scene is made of: objects that have a shape, a colour, a size and a texture, each with one plain name.
//!
//! The values are far enough apart to be told from each other when the picture is scaled to a third of its side.

use super::outline::{self, Point};
use super::shape::Shape;
use crate::canvas::{Canvas, Rgb, circle, polygon};
use crate::draw::Draw;

/// The colour of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    White,
    Black,
}

impl Color {
    pub const ALL: [Self; 8] =
        [Self::Red, Self::Orange, Self::Yellow, Self::Green, Self::Blue, Self::Purple, Self::White, Self::Black];

    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::White => "white",
            Self::Black => "black",
        }
    }

    /// What it is in the mean; an object's own differs a little.
    pub fn value(self) -> Rgb {
        match self {
            Self::Red => Rgb(214, 30, 36),
            Self::Orange => Rgb(246, 130, 18),
            Self::Yellow => Rgb(250, 224, 36),
            Self::Green => Rgb(36, 152, 56),
            Self::Blue => Rgb(36, 76, 214),
            Self::Purple => Rgb(126, 40, 158),
            Self::White => Rgb(246, 246, 246),
            Self::Black => Rgb(20, 20, 20),
        }
    }

    /// The tone of the stripes and dots on this value: clearly lighter or darker, and of the same name. Light red would
    /// be pink and dark orange brown, so the way differs.
    fn tone(self, value: Rgb) -> Rgb {
        match self {
            Self::Red => value.mix(BLACK, 0.5),
            Self::Yellow => value.mix(Rgb(150, 96, 0), 0.6),
            Self::White => value.mix(BLACK, 0.36),
            Self::Orange => value.mix(WHITE, 0.55),
            Self::Green | Self::Blue | Self::Purple => value.mix(WHITE, 0.6),
            Self::Black => value.mix(WHITE, 0.42),
        }
    }
}

const WHITE: Rgb = Rgb(255, 255, 255);
const BLACK: Rgb = Rgb(0, 0, 0);

/// How large an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// Its radius, in units of the sheet.
    fn radius(self) -> f32 {
        match self {
            Self::Small => 21.0,
            Self::Medium => 35.0,
            Self::Large => 54.0,
        }
    }
}

/// What is on the surface of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    Plain,
    Striped,
    Dotted,
    Framed,
}

impl Texture {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Striped, Self::Dotted, Self::Framed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Striped => "striped",
            Self::Dotted => "dotted",
            Self::Framed => "framed",
        }
    }
}

/// An object in its place.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub shape: Shape,
    pub color: Color,
    pub size: Size,
    pub texture: Texture,
    /// Its middle, in units of the sheet.
    pub center: Point,
    value: Rgb,
}

/// How wide the dark line around every object is. It makes a shape stand out in the same way whatever its colour and that
/// of the background, so shapes are learnt many times sooner.
const LINE: f32 = 6.0;

/// In which direction stripes change, in degrees: neither level nor upright, such a stripe would fill an arm of a cross.
const STRIPES: f32 = 45.0;

impl Object {
    /// One of this look that is yet to be placed. Small ones are plain: nothing on them would survive scaling.
    pub fn new(shape: Shape, color: Color, size: Size, draw: &mut Draw) -> Self {
        let texture = if size == Size::Small { Texture::Plain } else { *draw.pick(&Texture::ALL) };
        let Rgb(r, g, b) = color.value();
        // Mostly lighter or darker, hardly another hue: white must not become pink.
        let shade = draw.real(-7.0, 7.0);
        let mut jitter = |part: u8| (f32::from(part) + shade + draw.real(-3.0, 3.0)).clamp(0.0, 255.0) as u8;
        let value = Rgb(jitter(r), jitter(g), jitter(b));
        Self { shape, color, size, texture, center: (0.0, 0.0), value }
    }

    /// What it is called: `red circle`.
    pub fn name(&self) -> String {
        format!("{} {}", self.color.name(), self.shape.name())
    }

    /// The radius of a circle around its middle that holds all of it.
    pub fn reach(&self) -> f32 {
        self.size.radius() * self.shape.reach()
    }

    /// Its outline, made smaller by a factor.
    fn outline(&self, factor: f32) -> Vec<Point> {
        outline::placed(&self.shape.outline(), self.size.radius() * factor, self.center)
    }

    /// Draws it.
    pub fn paint(&self, canvas: &mut Canvas) {
        let (whole, radius) = (self.outline(1.0), self.size.radius());
        let tone = self.color.tone(self.value);
        canvas.stroke(&polygon(&whole), Rgb(40, 40, 40), LINE);
        // Stripes and dots keep away from the edge: there the object has its own colour.
        match self.texture {
            Texture::Plain => canvas.fill(&polygon(&whole), self.value),
            Texture::Striped => {
                canvas.fill(&polygon(&whole), self.value);
                for stripe in outline::stripes(&self.outline(0.86), self.center, STRIPES, 0.26 * radius) {
                    canvas.fill(&polygon(&stripe), tone);
                }
            }
            Texture::Dotted => {
                canvas.fill(&polygon(&whole), self.value);
                let dot = 0.18 * radius;
                self.dots(dot).into_iter().for_each(|at| canvas.fill(&circle(at, dot), tone));
            }
            Texture::Framed => {
                canvas.fill(&polygon(&whole), if self.color == Color::Black { WHITE } else { BLACK });
                canvas.fill(&polygon(&self.outline(0.62)), self.value);
            }
        }
    }

    /// Whether a place is inside its outline.
    pub fn covers(&self, at: Point) -> bool {
        outline::distance(self.center, at) <= self.reach() && outline::contains(&self.outline(1.0), at)
    }

    /// Where its dots are: of some places of the grid, the one where most dots fit into the shape.
    fn dots(&self, radius: f32) -> Vec<Point> {
        let outline = self.outline(1.0);
        let spacing = 2.9 * radius;
        let shifts = (0..16).map(|step| ((step % 4) as f32 / 4.0 * spacing, (step / 4) as f32 / 4.0 * spacing));
        let fits = shifts
            .map(|(x, y)| outline::dots(&outline, (self.center.0 + x, self.center.1 + y), spacing, 1.15 * radius));
        fits.max_by_key(Vec::len).expect("there are places to try")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn several_dots_fit_on_every_dotted_object() {
        let mut draw = Draw::new(Domain::General, 0, 0);
        for shape in Shape::ALL {
            for size in [Size::Medium, Size::Large] {
                let object = Object::new(shape, Color::Red, size, &mut draw);
                let dots = object.dots(0.18 * size.radius()).len();
                assert!((5..40).contains(&dots), "{dots} on a {} {}", size.name(), shape.name());
            }
        }
    }

    #[test]
    fn sizes_and_colors_stay_apart() {
        assert!(Size::ALL.map(Size::radius).windows(2).all(|pair| pair[1] > 1.5 * pair[0]));
        let far = |a: Rgb, b: Rgb| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)).max(a.2.abs_diff(b.2));
        for (index, one) in Color::ALL.iter().enumerate() {
            assert!(far(one.value(), one.tone(one.value())) > 70, "{}", one.name());
            assert!(Color::ALL[..index].iter().all(|other| far(one.value(), other.value()) > 70), "{}", one.name());
        }
    }
}
