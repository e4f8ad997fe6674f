//! A written picture, read back by tests: its texts, dots and lines, in pixels.

use std::path::Path;

use super::text_width::text_width;
use llava_mole::palette::Rgb;

/// The picture's elements, each the text of one.
pub struct Drawn {
    svg: String,
    /// Drawing units a pixel.
    units: f64,
}

impl Drawn {
    /// Reads a picture and looks for what no picture may hold.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let svg = std::fs::read_to_string(path)?;
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("\"inf"), "{svg}");
        let view = attribute(&svg, "viewBox").split(' ').nth(2).map(number).unwrap_or_default();
        let units = view / number(attribute(&svg, "width"));
        Ok(Self { svg, units })
    }

    /// All texts, as escaped in the file.
    pub fn texts(&self) -> Vec<&str> {
        self.elements("text").map(content).collect()
    }

    /// Where the one text that reads so stands.
    pub fn text(&self, text: &str) -> (f64, f64) {
        let found: Vec<_> = self.elements("text").filter(|element| content(element) == text).collect();
        assert_eq!(found.len(), 1, "{text:?} in {:?}", self.texts());
        (self.pixels(found[0], "x"), self.pixels(found[0], "y"))
    }

    /// The middles of the dots of a colour.
    pub fn dots(&self, color: Rgb) -> Vec<(f64, f64)> {
        let circles = self.elements("circle").filter(|circle| attribute(circle, "fill") == hex(color));
        circles.map(|circle| (self.pixels(circle, "cx"), self.pixels(circle, "cy"))).collect()
    }

    /// The points of each line of a colour.
    pub fn lines(&self, color: Rgb) -> Vec<Vec<(f64, f64)>> {
        let lines = self.elements("polyline").filter(|line| attribute(line, "stroke") == hex(color));
        let point = |(x, y): (&str, &str)| (number(x) / self.units, number(y) / self.units);
        let points = |line| attribute(line, "points").split(' ').filter_map(|xy| xy.split_once(',')).map(point);
        lines.map(|line| points(line).collect()).collect()
    }

    /// Fails if a text lies on another or beyond the picture's edge, as wide as it may be.
    pub fn assert_texts_apart(&self) {
        let boxes: Vec<_> = self.elements("text").map(|text| (content(text), self.text_box(text))).collect();
        let size = ["width", "height"].map(|name| number(attribute(&self.svg, name)));
        for (index, (text, a)) in boxes.iter().enumerate() {
            assert!(
                (0..2).all(|axis| a[axis].0 >= 0.0 && a[axis].1 <= size[axis]),
                "{text:?} leaves the picture: {a:?}"
            );
            for (other, b) in &boxes[index + 1..] {
                let meet = (0..2).all(|axis| a[axis].0 < b[axis].1 && b[axis].0 < a[axis].1);
                assert!(!meet, "{text:?} {a:?} lies on {other:?} {b:?}");
            }
        }
    }

    /// From where to where a text goes, across and down.
    fn text_box(&self, text: &str) -> [(f64, f64); 2] {
        let [x, y, size] = ["x", "y", "font-size"].map(|name| self.pixels(text, name));
        let plain = content(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let width = text_width(&plain, size);
        let start = match attribute(text, "text-anchor") {
            "middle" => x - width / 2.0,
            "end" => x - width,
            _ => x,
        };
        let around = |middle: f64| (middle - size / 2.0, middle + size / 2.0);
        if attribute(text, "transform").is_empty() {
            [(start, start + width), around(y)]
        } else {
            [around(x), (y - width / 2.0, y + width / 2.0)]
        }
    }

    /// From each opening of a tag to the next element.
    fn elements(&self, tag: &str) -> impl Iterator<Item = &str> {
        self.svg.split('<').filter(move |element| element.strip_prefix(tag).is_some_and(|rest| rest.starts_with(' ')))
    }

    fn pixels(&self, element: &str, name: &str) -> f64 {
        number(attribute(element, name)) / self.units
    }
}

/// An attribute's value, empty where there is none.
fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let value = element.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
    value.and_then(|rest| rest.split_once('"')).map_or("", |(value, _)| value)
}

fn content(element: &str) -> &str {
    element.split_once('>').map_or("", |(_, text)| text.trim())
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

fn hex(Rgb(r, g, b): Rgb) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}
