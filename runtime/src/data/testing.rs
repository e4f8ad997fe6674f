//! Datasets for the tests of this module.

use std::fs;

use tempfile::TempDir;

use super::{DataSource, Dataset, Encoder, Rendering};
use crate::text::{ChatTemplate, ImageToken, tiny};

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The dataset of a file in a folder, its pictures beside it.
pub(super) fn dataset(folder: &TempDir, file: &str) -> Dataset {
    let path = folder.path().join(file);
    Dataset::open(DataSource { name: "test".to_owned(), path, images: None, weight: 1.0 }).unwrap()
}

/// Conversations for the tiny tokenizer; a picture takes 4 positions.
pub(super) fn encoder() -> Encoder {
    Encoder {
        rendering: Rendering::Conversation,
        template: ChatTemplate::vicuna_v1("</s>"),
        tokenizer: tiny::tokenizer(),
        image_token: ImageToken::LLAVA,
        patches_per_image: 4,
        max_length: 2048,
    }
}
