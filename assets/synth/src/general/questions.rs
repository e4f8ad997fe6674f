//! The questions about a scene: those about one object, about numbers and about the whole.
//!
//! An object is asked about only by a name that no other one has, and that does not hold the answer: the colour is
//! asked of the star, never of the red star.

use super::arrange::MOST;
use super::background::Background;
use super::object::{Color, Object, Size};
use super::shape::Shape;
use crate::Question;
use crate::canvas::SIDE;
use crate::draw::Draw;

/// An object is in the centre up to this distance from the middle in each direction, in units of the sheet.
pub(super) const CENTER: f32 = 28.0;

/// From this distance on, in both directions, it is in a corner; between the two nobody is asked.
pub(super) const CORNER: f32 = 58.0;

/// Captions name the objects from left to right, so each must be at least this much further right than the one before.
pub(super) const CAPTION_STEP: f32 = 25.0;

/// The most objects of a caption.
pub(super) const CAPTION_MOST: usize = 3;

pub(super) const NUMBERS: [&str; MOST + 1] = ["zero", "one", "two", "three", "four", "five", "six"];

/// Asks everything about a scene.
pub(super) struct Asker<'a> {
    pub objects: &'a [Object],
    pub draw: &'a mut Draw,
    pub background: Background,
    pub questions: Vec<Question>,
}

impl<'a> Asker<'a> {
    /// All questions that the scene answers.
    pub fn ask_all(objects: &'a [Object], background: Background, draw: &'a mut Draw) -> Vec<Question> {
        let mut asker = Self { objects, draw, background, questions: Vec::new() };
        for index in 0..objects.len() {
            asker.ask_looks(index);
            asker.ask_position(index);
        }
        asker.ask_largest();
        asker.ask_counts();
        asker.ask_presence();
        asker.ask_relations();
        asker.ask_comparisons();
        asker.ask_whole();
        asker.ask_inventory();
        asker.draw_maps();
        asker.questions
    }

    /// Adds a question in one of several wordings, in which the fillings take the places of `{}` one after the other.
    pub fn ask(
        &mut self,
        question_type: &'static str,
        wordings: &[&str],
        fillings: &[&str],
        answer: impl Into<String>,
    ) {
        let wording = *self.draw.pick(wordings);
        let text = fillings.iter().fold(wording.to_owned(), |text, filling| text.replacen("{}", filling, 1));
        self.questions.push(Question { question_type, text, answer: answer.into() });
    }

    /// The names that only this object has: by its shape, by its colour, by both.
    pub fn names(&self, index: usize) -> Names {
        let of = &self.objects[index];
        let only = |same: &dyn Fn(&Object) -> bool| self.objects.iter().filter(|other| same(other)).count() == 1;
        Names {
            shape: only(&|other| other.shape == of.shape).then(|| format!("the {}", of.shape.name())),
            color: only(&|other| other.color == of.color).then(|| format!("the {} object", of.color.name())),
            both: only(&|other| other.shape == of.shape && other.color == of.color)
                .then(|| format!("the {}", of.name())),
        }
    }

    /// One of the names that only this object has.
    pub fn some_name(&mut self, index: usize) -> Option<String> {
        let names: Vec<String> = self.names(index).into_iter().collect();
        (!names.is_empty()).then(|| self.draw.pick(&names).clone())
    }

    /// The object that is larger than all others, where one is.
    fn largest(&self) -> Option<&'a Object> {
        let size = self.objects.iter().map(|object| object.size).max()?;
        let mut largest = self.objects.iter().filter(|object| object.size == size);
        largest.next().filter(|_| largest.next().is_none() && self.objects.len() > 1)
    }

    fn ask_looks(&mut self, index: usize) {
        let (of, names) = (&self.objects[index], self.names(index));
        if let Some(name) = &names.color {
            self.ask("shape", SHAPE, &[name], of.shape.name());
        }
        if let Some(name) = &names.shape {
            self.ask("color", COLOR, &[name], of.color.name());
        }
        for name in names {
            self.ask("size", SIZE, &[&name], of.size.name());
            // All small ones are plain.
            if of.size > Size::Small {
                self.ask("texture", TEXTURE, &[&name], of.texture.name());
            }
        }
    }

    fn ask_position(&mut self, index: usize) {
        let (x, y) = self.objects[index].center;
        let (right, down) = (x - SIDE / 2.0, y - SIDE / 2.0);
        let answer = if right.abs() <= CENTER && down.abs() <= CENTER {
            "center"
        } else if right.abs() >= CORNER && down.abs() >= CORNER {
            match (down < 0.0, right < 0.0) {
                (true, true) => "top left",
                (true, false) => "top right",
                (false, true) => "bottom left",
                (false, false) => "bottom right",
            }
        } else {
            return;
        };
        if let Some(name) = self.some_name(index) {
            self.ask("position", POSITION, &[&name], answer);
        }
    }

    fn ask_largest(&mut self) {
        let Some(largest) = self.largest() else { return };
        self.ask("largest", LARGEST, &[], largest.name());
        self.ask("shape", SHAPE, &["the largest object"], largest.shape.name());
        self.ask("color", COLOR, &["the largest object"], largest.color.name());
    }

    fn ask_counts(&mut self) {
        let objects = self.objects;
        let number = |of: &dyn Fn(&Object) -> bool| NUMBERS[objects.iter().filter(|object| of(object)).count()];
        // Three times, so that it is not outnumbered by the colours and shapes: their answers are mostly small.
        for _ in 0..3 {
            self.ask("count", COUNT, &["objects"], NUMBERS[objects.len()]);
        }
        for color in Color::ALL {
            let answer = number(&|object| object.color == color);
            self.ask("count", COUNT, &[&format!("{} objects", color.name())], answer);
        }
        for shape in Shape::ALL {
            self.ask("count", COUNT, &[shape.plural()], number(&|object| object.shape == shape));
        }
    }

    /// Asks as often in each form for something that is there as for something that is not, so that neither the form
    /// nor the name tells the answer.
    fn ask_presence(&mut self) {
        let objects = self.objects;
        let has_color = |color: Color| objects.iter().any(|object| object.color == color);
        let has_shape = |shape: Shape| objects.iter().any(|object| object.shape == shape);
        // What is not there is hard to tell: its colour is there on another shape, or its shape in another colour.
        let pairs = Color::ALL.into_iter().flat_map(|color| Shape::ALL.map(|shape| (color, shape)));
        let close = pairs.filter(|&(color, shape)| has_color(color) || has_shape(shape));
        let there = |&(color, shape): &(Color, Shape)| objects.iter().any(|o| o.color == color && o.shape == shape);
        self.ask_presence_of(close.partition(there), |(color, shape)| format!("{} {}", color.name(), shape.name()));
        let colors = Color::ALL.into_iter().partition(|&color| has_color(color));
        self.ask_presence_of(colors, |color| format!("{} object", color.name()));
        let shapes = Shape::ALL.into_iter().partition(|&shape| has_shape(shape));
        self.ask_presence_of(shapes, |shape| shape.name().to_owned());
    }

    /// Asks for some of what is there and for as many of what is not.
    fn ask_presence_of<T: Copy>(&mut self, (there, absent): (Vec<T>, Vec<T>), name: impl Fn(T) -> String) {
        let count = there.len().min(absent.len());
        for (things, answer) in [(there, "yes"), (absent, "no")] {
            for thing in self.draw.sample(&things, count) {
                self.ask("presence", PRESENCE, &[&with_article(&name(thing))], answer);
            }
        }
    }

    fn ask_whole(&mut self) {
        let background = self.background.name();
        self.ask("background", BACKGROUND, &[], background);
        let mut order: Vec<&Object> = self.objects.iter().collect();
        order.sort_by(|a, b| a.center.0.total_cmp(&b.center.0));
        let clear = order.windows(2).all(|pair| pair[1].center.0 - pair[0].center.0 >= CAPTION_STEP);
        if clear && order.len() <= CAPTION_MOST {
            let names: Vec<String> = order.iter().map(|object| with_article(&object.name())).collect();
            let (last, before) = names.split_last().expect("a scene has an object");
            let list = if before.is_empty() { last.clone() } else { format!("{} and {last}", before.join(", ")) };
            self.ask("caption", CAPTION, &[], format!("{list} on a {background} background"));
        }
    }
}

/// The names of one object that no other one has.
pub(super) struct Names {
    shape: Option<String>,
    color: Option<String>,
    both: Option<String>,
}

impl IntoIterator for Names {
    type Item = String;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<String>, 3>>;

    fn into_iter(self) -> Self::IntoIter {
        [self.shape, self.color, self.both].into_iter().flatten()
    }
}

/// `a red star`, `an orange circle`.
fn with_article(name: &str) -> String {
    format!("{} {name}", if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
}

const SHAPE: &[&str] = &[
    "What shape is {}?",
    "What is the shape of {}?",
    "Which shape does {} have?",
    "What kind of shape is {}?",
    "Name the shape of {}.",
];
const COLOR: &[&str] = &[
    "What color is {}?",
    "What is the color of {}?",
    "Which color does {} have?",
    "What color does {} have?",
    "Name the color of {}.",
];
const TEXTURE: &[&str] = &[
    "What texture does {} have?",
    "What is the texture of {}?",
    "Is {} plain, striped, dotted or framed?",
    "What pattern does {} have?",
    "Which texture does {} have?",
];
const SIZE: &[&str] = &[
    "What size is {}?",
    "How big is {}?",
    "What is the size of {}?",
    "Is {} small, medium or large?",
    "Which size does {} have?",
];
const POSITION: &[&str] = &[
    "Where is {}?",
    "Where in the picture is {}?",
    "In which part of the picture is {}?",
    "What is the position of {}?",
    "Where can {} be found?",
];
const LARGEST: &[&str] = &[
    "What is the largest object?",
    "Which object is the largest?",
    "What is the biggest object?",
    "Which object is the biggest?",
    "Name the largest object.",
];
const COUNT: &[&str] = &[
    "How many {} are there?",
    "How many {} are in the picture?",
    "How many {} do you see?",
    "What is the number of {}?",
    "Count the {}.",
];
const PRESENCE: &[&str] =
    &["Is there {}?", "Is there {} in the picture?", "Do you see {}?", "Does the picture show {}?", "Can {} be seen?"];
const BACKGROUND: &[&str] = &[
    "What color is the background?",
    "What is the color of the background?",
    "Which color does the background have?",
    "What is the background color?",
    "Name the color of the background.",
];
const CAPTION: &[&str] = &[
    "Describe the picture in one sentence.",
    "Describe this picture in a sentence.",
    "What does the picture show? Answer in one sentence.",
    "Write a caption for the picture.",
    "Say in one sentence what you see.",
];
