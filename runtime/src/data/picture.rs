//! The pictures of a dataset: files below a folder that the user names.
//!
//! Their names come from the data file, which may come from anywhere: none leads out of the folder by itself. Links
//! that the user has put into the folder are followed.

use std::io::{self, Read};
use std::path::{Component, Path};

use super::file::open_regular;
use super::render::TokenizedSample;
use super::source::Dataset;
use crate::error::{Error, Result};
use crate::image::{PixelValues, Preprocessor, decode};

/// Largest file of a picture that is read, in bytes.
pub const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// Why a name is none of a picture below the folder, if so.
pub(super) fn fault_of(name: &str) -> Option<&'static str> {
    let parts = || Path::new(name).components();
    if !parts().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Some("leads out of the images folder: name it relative to that folder, without ..");
    }
    let is_file = parts().any(|part| matches!(part, Component::Normal(_))) && !name.contains('\0');
    (!is_file).then_some("is no file name: name a picture, or leave \"image\" out for a sample of text")
}

impl Dataset {
    /// The bytes of a picture.
    ///
    /// - `name`: one of [`Sample::images`](super::Sample::images).
    ///
    /// # Errors
    /// [`Error::Image`] when it leads out of the folder, is not there, cannot be read, or is over
    /// [`MAX_PICTURE_BYTES`].
    pub fn picture(&self, name: &str) -> Result<Vec<u8>> {
        let refuse = |reason: String| Error::Image { name: name.to_owned(), reason };
        if let Some(fault) = fault_of(name) {
            return Err(refuse(fault.to_owned()));
        }
        let path = self.images().join(name);
        let bytes = read_bounded(&path, MAX_PICTURE_BYTES);
        let bytes = bytes.map_err(|error| {
            let folder = self.images().display();
            refuse(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("is not in {folder}: put it there, or set images of the dataset {:?}", self.name())
                }
                _ => format!("cannot be read in {folder}: {error}"),
            })
        })?;
        bytes.ok_or_else(|| {
            refuse(format!("is over {} MB, the most that is read: scale it down first", MAX_PICTURE_BYTES >> 20))
        })
    }

    /// The pictures of a sample as the vision tower reads them.
    ///
    /// # Errors
    /// As [`Dataset::picture`], [`decode`] and [`Preprocessor::preprocess`].
    pub fn pixels(&self, sample: &TokenizedSample, preprocessor: &Preprocessor) -> Result<Vec<PixelValues>> {
        let load = |name: &String| preprocessor.preprocess(&decode(&self.picture(name)?, name)?);
        sample.images.iter().map(load).collect()
    }
}

/// All of a file, or `None` if it is longer than `most`.
fn read_bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // Not by its length alone: a file may grow, and some in /proc say 0.
    open_regular(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing;
    use super::*;

    #[test]
    fn names_stay_below_the_folder() {
        for name in ["a.png", "a/b c.png", "./a.png", "a/./b..png", "..a/..b", "图/é.png"] {
            assert_eq!(fault_of(name), None, "{name}");
        }
        for name in ["../a.png", "a/../b.png", "a/..", "..", "/a.png", "//a", "/"] {
            assert!(fault_of(name).unwrap().contains("leads out"), "{name}");
        }
        for name in ["", ".", "./", "a\0.png"] {
            assert!(fault_of(name).unwrap().contains("no file name"), "{name}");
        }
    }

    #[test]
    fn pictures_are_read_from_their_folder() {
        let folder = testing::folder(&[("train.jsonl", r#"{"text": "a"}"#)]);
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/a.png"), b"bytes").unwrap();
        let dataset = testing::dataset(&folder, "train.jsonl");
        assert_eq!(dataset.picture("in/a.png").unwrap(), b"bytes");
        let error = |name| dataset.picture(name).unwrap_err().to_string();
        let shown = folder.path().display();
        assert_eq!(
            error("b.png"),
            format!("b.png: is not in {shown}: put it there, or set images of the dataset \"test\"")
        );
        assert!(error("in").contains("not a regular file"), "{}", error("in"));
        assert!(error("in/a.png/b").starts_with("in/a.png/b: cannot be read in"), "{}", error("in/a.png/b"));
        assert!(error("../x").contains("leads out"));
    }

    #[cfg(unix)]
    #[test]
    fn links_in_the_folder_are_followed() {
        let elsewhere = testing::folder(&[("a.png", "bytes")]);
        let folder = testing::folder(&[("train.jsonl", r#"{"text": "a"}"#)]);
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("linked")).unwrap();
        assert_eq!(testing::dataset(&folder, "train.jsonl").picture("linked/a.png").unwrap(), b"bytes");
    }

    #[test]
    fn a_file_is_read_up_to_a_bound() {
        let folder = testing::folder(&[("a", "12345")]);
        let path = folder.path().join("a");
        assert_eq!(read_bounded(&path, 5).unwrap().unwrap(), b"12345");
        assert_eq!(read_bounded(&path, 4).unwrap(), None);
    }
}
