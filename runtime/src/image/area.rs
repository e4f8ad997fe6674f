//! Where the vision tower's patches lie on a picture: what tells a person which part of it an expert got.

use super::config::PreprocessorConfig;
use super::preprocess::Preprocessor;

/// The part of a picture that the vision tower sees, in pixels of the picture, from its upper left corner. Reaches
/// beyond the picture where it is padded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeenArea {
    /// Where it begins; negative beyond the picture.
    pub left: f64,
    /// Where it begins; negative beyond the picture.
    pub top: f64,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

impl SeenArea {
    /// The smallest rectangle around it and the whole picture, whose size is given.
    pub fn with_picture(self, width: usize, height: usize) -> Self {
        let (left, top) = (self.left.min(0.0), self.top.min(0.0));
        let right = (self.left + self.width).max(width as f64);
        let bottom = (self.top + self.height).max(height as f64);
        Self { left, top, width: right - left, height: bottom - top }
    }
}

/// How a model cuts pictures into patches.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchGrid {
    /// Patches in a row, and rows.
    pub per_side: usize,
    /// What happens to a picture before it is cut.
    pub preprocessor: Preprocessor,
}

impl PatchGrid {
    /// The part of a picture of this size that its patches cover, all together.
    pub fn area(&self, width: usize, height: usize) -> SeenArea {
        self.preprocessor.seen_area(width, height)
    }
}

impl Default for PatchGrid {
    /// CLIP ViT-L/14's at 224 pixels.
    fn default() -> Self {
        Self { per_side: 16, preprocessor: PreprocessorConfig::default().init(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::AspectRatio;

    fn area(json: &str, aspect_ratio: AspectRatio, width: usize, height: usize) -> [f64; 4] {
        let config = PreprocessorConfig::from_json(json.as_bytes(), "preprocessor_config.json").unwrap();
        let area = config.init(Some(aspect_ratio)).seen_area(width, height);
        [area.left, area.top, area.width, area.height]
    }

    #[test]
    fn the_middle_square_of_a_cropped_picture_is_seen() {
        let clip = r#"{"size": {"shortest_edge": 96}, "crop_size": 96}"#;
        assert_eq!(area(clip, AspectRatio::Crop, 336, 336), [0.0, 0.0, 336.0, 336.0]);
        // Scaled to 192 x 96, and 48 are cut off each end: 100 pixels of 400.
        assert_eq!(area(clip, AspectRatio::Crop, 400, 200), [100.0, 0.0, 200.0, 200.0]);
        assert_eq!(area(clip, AspectRatio::Crop, 200, 400), [0.0, 100.0, 200.0, 200.0]);
        // A crop smaller than the scaled picture cuts all around.
        let inner = r#"{"size": {"shortest_edge": 100}, "crop_size": 50}"#;
        assert_eq!(area(inner, AspectRatio::Crop, 200, 200), [50.0, 50.0, 100.0, 100.0]);
    }

    #[test]
    fn a_padded_picture_lies_in_the_middle_of_what_is_seen() {
        let clip = r#"{"size": {"shortest_edge": 96}, "crop_size": 96}"#;
        assert_eq!(area(clip, AspectRatio::Pad, 400, 200), [0.0, -100.0, 400.0, 400.0]);
        // As the padding, the odd pixel comes below.
        assert_eq!(area(clip, AspectRatio::Pad, 7, 4), [0.0, -1.0, 7.0, 7.0]);
        assert_eq!(area(clip, AspectRatio::Pad, 3, 3), [0.0, 0.0, 3.0, 3.0]);
    }

    #[test]
    fn a_picture_that_is_pressed_into_a_square_is_seen_whole() {
        let exact = r#"{"size": {"height": 96, "width": 96}, "crop_size": 96}"#;
        assert_eq!(area(exact, AspectRatio::Crop, 400, 200), [0.0, 0.0, 400.0, 200.0]);
        let plain = r#"{"size": 8, "do_resize": false, "do_center_crop": false}"#;
        assert_eq!(area(plain, AspectRatio::Crop, 40, 20), [0.0, 0.0, 40.0, 20.0]);
    }

    #[test]
    fn padding_and_what_is_cut_off_both_lie_around() {
        let padded = SeenArea { left: 0.0, top: -100.0, width: 400.0, height: 400.0 };
        assert_eq!(padded.with_picture(400, 200), padded);
        let cropped = SeenArea { left: 100.0, top: 0.0, width: 200.0, height: 200.0 };
        let whole = SeenArea { left: 0.0, top: 0.0, width: 400.0, height: 200.0 };
        assert_eq!(cropped.with_picture(400, 200), whole);
    }

    #[test]
    fn what_is_seen_is_what_the_preprocessor_keeps() {
        // A picture whose red is its column: the cropped pixels say which columns were kept.
        let pixels: Vec<u8> = (0..10).flat_map(|_| (0..30).flat_map(|x| [x * 8, 0, 0])).collect();
        let picture = crate::image::RgbImage::from_pixels("columns", 30, 10, pixels).unwrap();
        let json = r#"{"size": {"shortest_edge": 10}, "crop_size": 10}"#;
        let config = PreprocessorConfig::from_json(json.as_bytes(), "preprocessor_config.json").unwrap();
        let preprocessor = config.init(Some(AspectRatio::Crop));
        let kept = preprocessor.pixels(&picture).unwrap();
        let area = preprocessor.seen_area(30, 10);
        assert_eq!(
            (kept.pixels()[0], kept.pixels()[27]),
            (area.left as u8 * 8, (area.left + area.width - 1.0) as u8 * 8)
        );
    }
}
