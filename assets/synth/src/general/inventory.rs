//! Everything a scene holds, in one answer, and maps of it: not asked by itself, but what a model learns to see by.
//!
//! A short answer tells a model little about a picture; a list of all objects with all they are tells it where to look
//! and what to tell apart.

use super::object::Object;
use super::questions::{Asker, NUMBERS};
use crate::canvas::SIDE;
use crate::map::{NOTHING, map};

/// Objects are listed from left to right, so each must be this much further right than the one before.
const STEP: f32 = 6.0;

const INVENTORY: &[&str] = &[
    "List everything in the picture.",
    "What is in the picture, and where?",
    "Describe every object.",
    "Say all that you see, from left to right.",
];

impl Asker<'_> {
    /// Asks for the list, where its order is clear.
    pub fn ask_inventory(&mut self) {
        let mut order: Vec<&Object> = self.objects.iter().collect();
        order.sort_by(|a, b| a.center.0.total_cmp(&b.center.0));
        if order.windows(2).any(|pair| pair[1].center.0 - pair[0].center.0 < STEP) {
            return;
        }
        let list: Vec<String> = order.into_iter().map(entry).collect();
        let answer = format!("{} on {}: {}", NUMBERS[list.len()], self.background.name(), list.join(", "));
        self.ask("inventory", INVENTORY, &[], answer);
    }

    /// The maps of the scene, one for each thing that an object is.
    pub fn draw_maps(&mut self) {
        let maps: [(&str, Named); 6] = [
            ("Map the colors.", |of| of.color.name()),
            ("Map the shapes.", |of| of.shape.name()),
            ("Map the sizes.", |of| of.size.name()),
            ("Map the textures.", |of| of.texture.name()),
            ("Map the rows.", |of| ROWS[third(of.center.1)]),
            ("Map the columns.", |of| COLUMNS[third(of.center.0)]),
        ];
        for (text, name) in maps {
            // Of two that overlap, the one that was painted last is seen.
            let seen = |at| self.objects.iter().rev().find(|object| object.covers(at));
            let question = map(text, |at| seen(at).map_or(NOTHING, name).to_string());
            self.questions.push(question);
        }
    }
}

/// One of the things that an object is, as a word.
type Named = fn(&Object) -> &'static str;

/// The thirds of a picture, from the top and from the left.
const ROWS: [&str; 3] = ["top", "middle", "bottom"];
const COLUMNS: [&str; 3] = ["left", "middle", "right"];

/// In which third of the sheet this is.
fn third(at: f32) -> usize {
    ((3.0 * at / SIDE) as usize).min(2)
}

/// `large striped red star top left`
fn entry(of: &Object) -> String {
    let place = match (third(of.center.1), third(of.center.0)) {
        (1, 1) => "center".to_string(),
        (row, 1) => ROWS[row].to_string(),
        (1, column) => COLUMNS[column].to_string(),
        (row, column) => format!("{} {}", ROWS[row], COLUMNS[column]),
    };
    format!("{} {} {} {place}", of.size.name(), of.texture.name(), of.name())
}

#[cfg(test)]
mod tests {
    use super::super::background::Background;
    use super::super::object::{Color, Size, Texture};
    use super::super::shape::Shape;
    use super::super::{arrange, draw_scene};
    use super::*;
    use crate::canvas::Rgb;
    use crate::draw::Draw;
    use crate::{Domain, Scene};

    const SCENES: u64 = 300;

    fn scene(index: u64) -> (Vec<Object>, Scene) {
        let mut draw = Draw::new(Domain::General, 17, index);
        let (objects, background) = (arrange::arrange(&mut draw), *draw.pick(&Background::ALL));
        let scene = draw_scene(&objects, background, &mut draw);
        (objects, scene)
    }

    /// What four of the maps say about each cell: color, shape, size and texture.
    fn cells(scene: &Scene) -> Vec<[&str; 4]> {
        let map = |of: &str| -> Vec<&str> {
            let text = format!("Map the {of}.");
            let maps: Vec<_> = scene.questions.iter().filter(|question| question.text == text).collect();
            assert!(maps.len() == 1 && maps[0].question_type == "map", "{maps:?}");
            maps[0].answer.split(' ').collect()
        };
        let [colors, shapes, sizes, textures] = ["colors", "shapes", "sizes", "textures"].map(map);
        assert!([&colors, &shapes, &sizes, &textures].iter().all(|map| map.len() == 144));
        (0..144).map(|cell| [colors[cell], shapes[cell], sizes[cell], textures[cell]]).collect()
    }

    #[test]
    fn the_maps_of_a_scene_speak_of_the_same_objects() {
        for index in 0..SCENES {
            let (objects, scene) = scene(index);
            let looks = |of: &Object| [of.color.name(), of.shape.name(), of.size.name(), of.texture.name()];
            for (cell, words) in cells(&scene).into_iter().enumerate() {
                let there = words == ["-"; 4] || objects.iter().any(|object| looks(object) == words);
                assert!(there, "scene {index}, cell {cell}: {words:?}");
            }
        }
    }

    /// Drawn scenes hardly tell: their objects cover too little of each other.
    #[test]
    fn of_two_that_overlap_the_upper_one_is_in_the_map() {
        let mut draw = Draw::new(Domain::General, 17, 0);
        let mut below = Object::new(Shape::Circle, Color::Blue, Size::Large, &mut draw);
        let mut above = Object::new(Shape::Square, Color::Red, Size::Small, &mut draw);
        (below.center, above.center) = ((182.0, 154.0), (182.0, 154.0));
        let scene = draw_scene(&[below, above], Background::Gray, &mut draw);
        let cells = cells(&scene);
        assert_eq!(cells[5 * 12 + 6], ["red", "square", "small", "plain"]);
        let Rgb(r, g, b) = Color::Red.value();
        assert!(scene.picture.get_pixel(182, 154).0.into_iter().zip([r, g, b]).all(|(a, b)| a.abs_diff(b) <= 10));
        assert_eq!((cells[5 * 12 + 5][0], cells[4 * 12 + 6][0], cells[6 * 12 + 5][0]), ("blue", "blue", "blue"));
    }

    /// The six by six pixels in the middle of a cell are what its words say, but on the edge of an object.
    #[test]
    fn a_cell_is_seen_in_the_color_that_its_map_names() {
        let (mut plain, mut edges, mut empty) = (0, 0, 0);
        for index in 0..SCENES {
            let (_, scene) = scene(index);
            for (cell, [color, .., texture]) in cells(&scene).into_iter().enumerate() {
                let (left, top) = (28 * (cell as u32 % 12) + 11, 28 * (cell as u32 / 12) + 11);
                let near = |of: Color, at: u32| {
                    let pixel = scene.picture.get_pixel(left + at % 6, top + at / 6).0;
                    let value = of.value();
                    pixel.into_iter().zip([value.0, value.1, value.2]).all(|(a, b)| a.abs_diff(b) <= 10)
                };
                let filled = Color::ALL.into_iter().find(|of| (0..36).all(|at| near(*of, at))).map(Color::name);
                if color == NOTHING {
                    assert_eq!(filled, None, "scene {index}, cell {cell} is not empty");
                    empty += 1;
                } else if texture == Texture::Plain.name() {
                    let named = Color::ALL.into_iter().find(|of| of.name() == color).expect("a color");
                    assert!((0..36).any(|at| near(named, at)), "scene {index}, cell {cell}: nothing is {color}");
                    assert!(filled.is_none_or(|filled| filled == color), "scene {index}, cell {cell}: {filled:?}");
                    *(if filled.is_some() { &mut plain } else { &mut edges }) += 1;
                }
            }
        }
        assert!(plain > 1000 && edges < plain && empty > 10 * plain, "{plain} plain, {edges} edges, {empty} empty");
    }
}
