//! The sample pictures with their questions: drawn ones, as the demo model knows them.

use std::sync::Arc;

use mole_runtime::engine::Picture;

use crate::state::Sample;

/// The pictures of `assets/samples`, each under its name; a page fetches them instead.
#[cfg(not(target_arch = "wasm32"))]
macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../assets/samples/", $name)))),*]
    };
}

#[cfg(not(target_arch = "wasm32"))]
const PICTURES: &[(&str, &[u8])] = embedded!("general-1.png" "general-2.png" "general-3.png" "general-4.png"
    "document-1.png" "document-2.png" "document-3.png" "document-4.png"
    "medical-1.png" "medical-2.png" "medical-3.png" "medical-4.png");

/// `samples.json` of `assets/samples`: which question goes with which picture.
pub const QUESTIONS: &str = include_str!("../../assets/samples/samples.json");

#[derive(serde::Deserialize)]
struct Question {
    image: String,
    question: String,
}

/// The samples whose pictures `bytes_of` has, in the order of [`QUESTIONS`].
pub fn samples(mut bytes_of: impl FnMut(&str) -> Option<Vec<u8>>) -> Vec<Sample> {
    let questions: Vec<Question> = serde_json::from_str(QUESTIONS).expect("a file of ours");
    let sample = |Question { image, question }| {
        let bytes = Arc::from(bytes_of(&image)?);
        Some(Sample { picture: Picture { name: image, bytes }, question })
    };
    questions.into_iter().filter_map(sample).collect()
}

/// All of them, from inside the program.
#[cfg(not(target_arch = "wasm32"))]
pub fn embedded() -> Vec<Sample> {
    samples(|name| PICTURES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_its_picture() {
        let questions: Vec<Question> = serde_json::from_str(QUESTIONS).unwrap();
        let samples = embedded();
        assert_eq!(samples.len(), questions.len());
        assert_eq!(samples.len(), PICTURES.len());
        for sample in samples {
            mole_runtime::image::decode(&sample.picture.bytes, &sample.picture.name).unwrap();
        }
    }
}
