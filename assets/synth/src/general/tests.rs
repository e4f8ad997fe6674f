//! Every question is read again, word by word, and answered from the list of objects.

use super::*;
use crate::{Domain, Question};
use object::{Color, Texture};
use shape::Shape;
use std::collections::BTreeSet;

struct Sample {
    objects: Vec<Object>,
    background: Background,
    scene: Scene,
}

fn sample(index: u64) -> Sample {
    let mut draw = Draw::new(Domain::General, 11, index);
    let (objects, background) = (arrange::arrange(&mut draw), *draw.pick(&Background::ALL));
    let scene = draw_scene(&objects, background, &mut draw);
    Sample { objects, background, scene }
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect()
}

/// What is spoken of, in the order of the words: a colour, a shape, or both. `object` stands for any shape.
fn mentions(text: &str) -> Vec<(Option<Color>, Option<Shape>)> {
    let (mut found, mut color) = (Vec::new(), None);
    for word in words(text) {
        let shape = Shape::ALL.into_iter().find(|shape| [shape.name(), shape.plural()].contains(&word));
        if shape.is_some() || (color.is_some() && ["object", "objects"].contains(&word)) {
            found.push((color.take(), shape));
        }
        color = Color::ALL.into_iter().find(|color| color.name() == word).or(color);
    }
    found
}

impl Sample {
    fn matching(&self, (color, shape): (Option<Color>, Option<Shape>)) -> Vec<&Object> {
        let fits =
            |o: &&Object| color.is_none_or(|color| o.color == color) && shape.is_none_or(|shape| o.shape == shape);
        self.objects.iter().filter(fits).collect()
    }

    /// The one object that is spoken of.
    fn one(&self, mention: (Option<Color>, Option<Shape>)) -> &Object {
        let found = self.matching(mention);
        assert_eq!(found.len(), 1, "{mention:?}");
        found[0]
    }

    fn subject(&self, text: &str) -> &Object {
        if text.contains("largest") || text.contains("biggest") {
            let largest = self.objects.iter().max_by_key(|object| object.size).unwrap();
            let as_large = self.objects.iter().filter(|object| object.size == largest.size).count();
            assert!(as_large == 1 && self.objects.len() > 1);
            return largest;
        }
        let mentions = mentions(text);
        assert_eq!(mentions.len(), 1, "{text}");
        self.one(mentions[0])
    }

    /// The answer.
    fn answer(&self, question: &Question) -> String {
        let text = question.text.as_str();
        let yes_or_no = |yes| String::from(if yes { "yes" } else { "no" });
        match question.question_type {
            "shape" => self.subject(text).shape.name().into(),
            "color" => self.subject(text).color.name().into(),
            "texture" => self.subject(text).texture.name().into(),
            "size" => self.subject(text).size.name().into(),
            "largest" => self.subject(text).name(),
            "background" => self.background.name().into(),
            "count" => {
                let count = self.matching(mentions(text).first().copied().unwrap_or_default()).len();
                ["zero", "one", "two", "three", "four", "five", "six"][count].into()
            }
            "presence" => {
                let mention = mentions(text)[0];
                let hard = self.objects.iter().any(|o| Some(o.color) == mention.0 || Some(o.shape) == mention.1);
                assert!(hard || mention.0.is_none() || mention.1.is_none(), "{text} is too easy");
                yes_or_no(!self.matching(mention).is_empty())
            }
            "position" => position(self.subject(text).center),
            "relation" => self.beside(text),
            "compare" => {
                let mentions = mentions(text);
                let (one, two) = (self.one(mentions[0]), self.one(mentions[1]));
                assert_eq!(mentions.len(), 2);
                yes_or_no(holds(text, one, two))
            }
            "caption" => self.caption(),
            "inventory" => self.inventory(),
            "map" => self.map(text, &question.answer),
            other => panic!("{other} is not a type of question"),
        }
    }

    fn beside(&self, text: &str) -> String {
        assert!((2..=3).contains(&self.objects.len()));
        let of = self.subject(text);
        let others = self.objects.iter().filter(|object| !std::ptr::eq(*object, of));
        let there: Vec<_> = others.filter(|other| holds(text, other, of)).collect();
        assert_eq!(there.len(), 1, "{text}");
        there[0].name()
    }

    fn inventory(&self) -> String {
        let mut objects: Vec<&Object> = self.objects.iter().collect();
        objects.sort_by_key(|object| (object.center.0 * 1000.0) as i64);
        let number = ["", "one", "two", "three", "four", "five", "six"][objects.len()];
        let mut text = format!("{number} on {}:", self.background.name());
        for (index, of) in objects.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let looks = [of.size.name(), of.texture.name(), of.color.name(), of.shape.name(), third(of.center)];
            text += &format!("{comma} {}", looks.join(" "));
        }
        text
    }

    /// A map again, from how far the middle of each cell is from those of the objects: one within the core of an object is
    /// inside of it, one out of its reach is not. Between the two what was answered holds, if it names one of those that
    /// may be there.
    fn map(&self, text: &str, answer: &str) -> String {
        let name: fn(&Object) -> &'static str = match text {
            "Map the colors." => |of| of.color.name(),
            "Map the shapes." => |of| of.shape.name(),
            "Map the sizes." => |of| of.size.name(),
            "Map the textures." => |of| of.texture.name(),
            "Map the rows." => |of| ["top", "middle", "bottom"][(of.center.1 / 112.0) as usize],
            "Map the columns." => |of| ["left", "middle", "right"][(of.center.0 / 112.0) as usize],
            other => panic!("{other} is not a map"),
        };
        let mut again = Vec::new();
        for (cell, word) in answer.split(' ').enumerate() {
            let at = (14.0 + 28.0 * (cell % 12) as f32, 14.0 + 28.0 * (cell / 12) as f32);
            let mut possible = Vec::new();
            // Later ones lie above.
            let sure = self.objects.iter().rev().find(|of| {
                let away = outline::distance(at, of.center) / of.reach() * of.shape.reach();
                possible.extend((away <= of.shape.reach() + 1e-4).then(|| name(of)));
                away < core(of.shape)
            });
            possible.extend(sure.is_none().then_some("-"));
            again.push(if possible.contains(&word) { word } else { possible[0] });
        }
        assert_eq!(again.len(), 144);
        again.join(" ")
    }

    fn caption(&self) -> String {
        let mut left: Vec<&Object> = self.objects.iter().collect();
        let mut text = String::new();
        assert!(left.len() <= 3);
        while !left.is_empty() {
            let first = (0..left.len()).min_by(|&a, &b| left[a].center.0.total_cmp(&left[b].center.0)).unwrap();
            let object = left.remove(first);
            assert!(left.iter().all(|other| other.center.0 - object.center.0 >= 25.0));
            let link = if text.is_empty() {
                ""
            } else if left.is_empty() {
                " and "
            } else {
                ", "
            };
            let article = if object.color == Color::Orange { "an" } else { "a" };
            text += &format!("{link}{article} {} {}", object.color.name(), object.shape.name());
        }
        text + " on a " + self.background.name() + " background"
    }
}

/// The radius of a disc around the middle of a shape of radius 1 that is all inside of it.
fn core(shape: Shape) -> f32 {
    match shape {
        Shape::Circle => 0.99,
        Shape::Square => 0.89,
        Shape::Triangle => 0.67,
        Shape::Star => 0.65,
        Shape::Cross => 0.58,
        Shape::Heart => 0.52,
    }
}

/// Which third of the sheet a point is in, in words.
fn third((x, y): (f32, f32)) -> &'static str {
    let column = if x < 112.0 { 0 } else { 1 + usize::from(x >= 224.0) };
    let row = if y < 112.0 { 0 } else { 1 + usize::from(y >= 224.0) };
    let names = ["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"];
    names[3 * row + column]
}

/// Which region of the sheet a point is in, well away from the borders between them.
fn position((x, y): (f32, f32)) -> String {
    let name = |at: f32, names: [&'static str; 3]| match at {
        at if at <= 110.0 => names[0],
        at if (140.0..=196.0).contains(&at) => names[1],
        at if at >= 226.0 => names[2],
        _ => panic!("{at} is a close call"),
    };
    let region = (name(y, ["top", "middle", "bottom"]), name(x, ["left", "middle", "right"]));
    if region == ("middle", "middle") { "center".into() } else { format!("{} {}", region.0, region.1) }
}

/// Whether one object is to another what a question says. Panics where it is a close call.
fn holds(text: &str, one: &Object, two: &Object) -> bool {
    let said = words(text);
    let difference = match said.iter().find(|w| ["left", "right", "above", "below", "larger", "smaller"].contains(w)) {
        Some(&"left") => two.center.0 - one.center.0,
        Some(&"right") => one.center.0 - two.center.0,
        Some(&"above") => two.center.1 - one.center.1,
        Some(&"below") => one.center.1 - two.center.1,
        Some(&"larger") => 100.0 * (one.size as i32 - two.size as i32) as f32,
        Some(&"smaller") => 100.0 * (two.size as i32 - one.size as i32) as f32,
        _ => panic!("{text}"),
    };
    assert!(difference >= 40.0 || difference <= -10.0, "{text} is a close call: {difference}");
    difference > 0.0
}

#[test]
fn every_answer_is_what_the_objects_say() {
    let mut seen = BTreeSet::new();
    for index in 0..300 {
        let sample = sample(index);
        assert!((1..=6).contains(&sample.objects.len()));
        for question in &sample.scene.questions {
            assert_eq!(sample.answer(question), question.answer, "scene {index}: {}", question.text);
            assert!(!question.text.contains("{}"), "{}", question.text);
            seen.insert(question.question_type);
        }
    }
    assert_eq!(seen, QUESTION_TYPES.iter().chain(EXTRA_TYPES).copied().collect());
}

#[test]
fn the_answer_is_not_in_the_question() {
    for question in (0..300).flat_map(|index| sample(index).scene.questions) {
        // All values are named in some questions about texture and size; and a map may have no word, where the only
        // object lies between the middles of the cells.
        if ["texture", "size", "map"].contains(&question.question_type) {
            continue;
        }
        let told = words(&question.answer).iter().all(|word| words(&question.text).contains(word));
        assert!(!told, "{question:?}");
    }
}

#[test]
fn yes_and_no_are_candidates_as_often_in_every_form() {
    let mut forms = std::collections::BTreeMap::<_, [i32; 2]>::new();
    for question in (0..600).flat_map(|index| sample(index).scene.questions) {
        let mentions = mentions(&question.text);
        let form: Vec<_> = mentions.iter().map(|of| (of.0.is_some(), of.1.is_some())).collect();
        match (question.question_type, question.answer.as_str()) {
            ("presence" | "compare", answer) => {
                forms.entry((question.question_type, form)).or_default()[usize::from(answer == "yes")] += 1;
            }
            (other, answer) => assert!(!["yes", "no"].contains(&answer), "{other}"),
        }
    }
    assert_eq!(forms.len(), 3 + 9);
    for (form, [no, yes]) in forms {
        assert!((no - yes).abs() * 8 <= no + yes, "{form:?}: {no} no, {yes} yes");
    }
}

#[test]
fn objects_are_seen_in_their_color_where_they_are() {
    let mut checked = 0;
    for index in 0..300 {
        let Sample { objects, scene, .. } = sample(index);
        for (at, object) in objects.iter().enumerate() {
            // Later ones lie above.
            let covered = objects[at + 1..]
                .iter()
                .any(|other| outline::distance(object.center, other.center) < other.reach() + 3.0);
            if object.texture != Texture::Plain || covered {
                continue;
            }
            let [r, g, b] = scene.picture.get_pixel(object.center.0 as u32, object.center.1 as u32).0;
            let value = object.color.value();
            let far = r.abs_diff(value.0).max(g.abs_diff(value.1)).max(b.abs_diff(value.2));
            assert!(far <= 10, "scene {index}: {} at {:?} is {r} {g} {b}", object.name(), object.center);
            checked += 1;
        }
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn a_scene_is_the_same_every_time() {
    for index in 0..10 {
        let [one, two] = [(), ()].map(|()| scene(&mut Draw::new(Domain::General, 3, index)));
        assert_eq!((one.picture.as_raw(), one.questions), (two.picture.as_raw(), two.questions));
    }
    let [one, two] = [3, 4].map(|seed| scene(&mut Draw::new(Domain::General, seed, 0)).picture);
    assert_ne!(one, two);
}
