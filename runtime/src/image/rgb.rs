//! A decoded picture: three bytes a pixel, and the name to complain under.

use super::decode::{MAX_PIXELS, MAX_SIDE};
use crate::error::{Error, Result};

/// A picture in memory, never empty and never beyond the limits of [`decode`](super::decode()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    name: String,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl RgbImage {
    /// Wraps pixels that did not come from a file, such as the clipboard's.
    ///
    /// - `pixels`: `[height, width, 3]`, rows from the top, red first.
    ///
    /// # Errors
    /// [`Error::Image`] when the picture is empty, too large, or `pixels` is not `height * width * 3` long.
    pub fn from_pixels(name: &str, width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        check_size(name, width as u64, height as u64)?;
        if pixels.len() != width * height * 3 {
            return Err(Error::Image {
                name: name.to_owned(),
                reason: format!(
                    "{} bytes for {width} x {height} pixels, expected {}: three bytes a pixel, without alpha",
                    pixels.len(),
                    width * height * 3
                ),
            });
        }
        Ok(Self { name: name.to_owned(), width, height, pixels })
    }

    /// File name, or the word it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `[height, width, 3]`, rows from the top, red first.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// A picture made from this one: `pixels` is `[height, width, 3]`, its size already checked.
    pub(super) fn derived(&self, width: usize, height: usize, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width * height * 3);
        Self { name: self.name.clone(), width, height, pixels }
    }
}

/// Refuses pictures that are empty or beyond [`MAX_SIDE`] and [`MAX_PIXELS`].
pub(super) fn check_size(name: &str, width: u64, height: u64) -> Result<()> {
    let reason = if width == 0 || height == 0 {
        format!("is {width} x {height} pixels, which is no picture")
    } else if width.max(height) > MAX_SIDE as u64 || width * height > MAX_PIXELS as u64 {
        format!(
            "is {width} x {height} pixels; at most {MAX_SIDE} a side and {} megapixels are read: scale it down first",
            MAX_PIXELS / 1_000_000
        )
    } else {
        return Ok(());
    };
    Err(Error::Image { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_must_match_the_size() {
        let error = RgbImage::from_pixels("clipboard", 2, 2, vec![0; 16]).unwrap_err().to_string();
        assert!(error.contains("16 bytes for 2 x 2 pixels, expected 12"), "{error}");
    }

    #[test]
    fn empty_and_huge_pictures_are_refused() {
        for (width, height, word) in [
            (0, 5, "no picture"),
            (5, 0, "no picture"),
            (16_385, 1, "16384 a side"),
            (1, 16_385, "16384 a side"),
            (10_001, 10_000, "100 megapixels"),
        ] {
            let error = check_size("a.png", width, height).unwrap_err().to_string();
            assert!(error.starts_with("a.png: ") && error.contains(word), "{error}");
        }
        assert!(check_size("a.png", 10_000, 10_000).is_ok());
        assert!(check_size("a.png", u64::from(u32::MAX), u64::from(u32::MAX)).is_err());
    }
}
