//! `preprocessor_config.json`: what happens to a picture before the vision tower.
//!
//! Read as transformers' `CLIPImageProcessor` and `LlavaImageProcessor` read it, with the defaults of the former. In
//! transformers 5 the same object is `image_processor` inside `processor_config.json`; either file may be given.

use serde_json::{Map, Value};

use super::preprocess::Preprocessor;
use super::resample::Resample;
use crate::error::{Error, Result};

/// Processors whose steps are those of [`Preprocessor`], without the suffixes `Fast` and `Pil`.
const PROCESSORS: [&str; 3] = ["CLIPImageProcessor", "CLIPFeatureExtractor", "LlavaImageProcessor"];

/// Longest side a config may ask for, in pixels; every CLIP stays below 1024.
const MAX_CONFIG_SIDE: u64 = 4096;

/// A height and a width in pixels, in the order of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
}

/// What a picture is scaled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this length, the other keeps the proportion.
    ShortestEdge(usize),
    /// Exactly this size, whatever the proportion.
    Exact(Size),
}

/// How an oblong picture meets the square vision tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AspectRatio {
    /// Scaled and cut as `size` and `crop_size` say: the ends of an oblong picture are lost.
    Crop,
    /// Padded to a square with the mean colour first, as LLaVA's own evaluation does: nothing is lost.
    Pad,
}

/// The steps, in the order in which they are taken; `None` leaves a step out.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessorConfig {
    /// `do_pad`: padded to a square first, or not.
    pub aspect_ratio: AspectRatio,
    /// `size`, if `do_resize`.
    pub size: Option<Resize>,
    /// The filter of the scaling.
    pub resample: Resample,
    /// `crop_size`, if `do_center_crop`.
    pub crop_size: Option<Size>,
    /// What a byte is multiplied by, if `do_rescale`.
    pub rescale_factor: Option<f64>,
    /// Mean of each colour, subtracted if `do_normalize`; also the colour of the padding.
    pub image_mean: [f64; 3],
    /// Standard deviation of each colour, divided by if `do_normalize`.
    pub image_std: [f64; 3],
    /// Whether the mean and deviation are applied.
    pub do_normalize: bool,
}

impl Default for PreprocessorConfig {
    /// `CLIPImageProcessor`'s.
    fn default() -> Self {
        Self {
            aspect_ratio: AspectRatio::Crop,
            size: Some(Resize::ShortestEdge(224)),
            resample: Resample::Bicubic,
            crop_size: Some(Size { height: 224, width: 224 }),
            rescale_factor: Some(1.0 / 255.0),
            image_mean: [0.48145466, 0.4578275, 0.40821073],
            image_std: [0.26862954, 0.26130258, 0.27577711],
            do_normalize: true,
        }
    }
}

impl PreprocessorConfig {
    /// Reads `preprocessor_config.json`, or `processor_config.json` with an `image_processor` in it.
    ///
    /// - `file`: what an error calls it.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not JSON, describes another processor, or a value is out of range.
    pub fn from_json(json: &[u8], file: &str) -> Result<Self> {
        let refuse = |reason: String| Error::Config { file: file.to_owned(), reason };
        let root: Value = serde_json::from_slice(json).map_err(|error| refuse(error.to_string()))?;
        let object = root.get("image_processor").unwrap_or(&root);
        let map = object.as_object().ok_or_else(|| refuse("is not a JSON object".to_owned()))?;
        Fields { map, file }.config()
    }

    /// The steps made ready, with the given treatment of oblong pictures or else the config's own.
    pub fn init(mut self, aspect_ratio: Option<AspectRatio>) -> Preprocessor {
        self.aspect_ratio = aspect_ratio.unwrap_or(self.aspect_ratio);
        Preprocessor::new(self)
    }
}

/// The config's object, asked field by field; a field that is missing or null has its default.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    file: &'a str,
}

impl Fields<'_> {
    fn config(&self) -> Result<PreprocessorConfig> {
        self.check_processor()?;
        let default = PreprocessorConfig::default();
        let square = |side| Size { height: side, width: side };
        let size = match self.size("size", Resize::ShortestEdge)? {
            Some(size) => Some(size),
            None => default.size,
        };
        let crop_size = match self.size("crop_size", |side| Resize::Exact(square(side)))? {
            Some(Resize::Exact(size)) => Some(size),
            Some(Resize::ShortestEdge(_)) => return Err(self.refuse("crop_size", "a height and a width")),
            None => default.crop_size,
        };
        let config = PreprocessorConfig {
            aspect_ratio: if self.flag("do_pad", false)? { AspectRatio::Pad } else { AspectRatio::Crop },
            size: size.filter(|_| self.on("do_resize")),
            resample: self.resample()?.unwrap_or(default.resample),
            crop_size: crop_size.filter(|_| self.on("do_center_crop")),
            rescale_factor: self.rescale_factor()?.or(default.rescale_factor).filter(|_| self.on("do_rescale")),
            image_mean: self.colour("image_mean", "three finite numbers")?.unwrap_or(default.image_mean),
            image_std: self.colour("image_std", "three finite numbers above 0")?.unwrap_or(default.image_std),
            do_normalize: self.flag("do_normalize", true)?,
        };
        for step in ["do_resize", "do_center_crop", "do_rescale", "do_convert_rgb"] {
            self.flag(step, true)?;
        }
        if config.image_std.iter().any(|&deviation| deviation <= 0.0) {
            return Err(self.refuse("image_std", "three finite numbers above 0"));
        }
        Ok(config)
    }

    /// Another processor takes other steps, and a file without any of the fields is none.
    fn check_processor(&self) -> Result<()> {
        let named =
            ["image_processor_type", "feature_extractor_type"].into_iter().find(|name| self.get(name).is_some());
        if let Some(name) = named {
            let class = self.get(name).and_then(Value::as_str).unwrap_or_default();
            let bare = class.strip_suffix("Fast").or(class.strip_suffix("Pil")).unwrap_or(class);
            if !PROCESSORS.contains(&bare) {
                return Err(self.refuse(name, "CLIPImageProcessor or LlavaImageProcessor: this is not a LLaVA-1.5"));
            }
        } else if !["size", "crop_size", "image_mean"].into_iter().any(|name| self.get(name).is_some()) {
            return Err(Error::Config {
                file: self.file.to_owned(),
                reason: "describes no image processor: preprocessor_config.json of the same model is needed".to_owned(),
            });
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn refuse(&self, name: &str, expected: &str) -> Error {
        let found = self.get(name).map(Value::to_string).unwrap_or_default();
        let found: String = found.chars().take(80).collect();
        Error::Config { file: self.file.to_owned(), reason: format!("{name} is {found}, expected {expected}") }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.refuse(name, "true or false"))
    }

    /// Whether a step is taken; a flag that is no flag is complained about elsewhere.
    fn on(&self, name: &str) -> bool {
        self.flag(name, true).unwrap_or(true)
    }

    /// A size object, a list of height and width, or a bare number, which means what `bare` says.
    fn size(&self, name: &str, bare: impl Fn(usize) -> Resize) -> Result<Option<Resize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let side =
            |value: &Value| value.as_u64().filter(|side| (1..=MAX_CONFIG_SIDE).contains(side)).map(|n| n as usize);
        let exact =
            |height: &Value, width: &Value| Some(Resize::Exact(Size { height: side(height)?, width: side(width)? }));
        let read = match value {
            Value::Number(_) => side(value).map(bare),
            Value::Array(list) if list.len() == 2 => exact(&list[0], &list[1]),
            Value::Object(object) => {
                // Transformers 5 may write the keys that do not apply, as null.
                let key = |key: &str| object.get(key).filter(|value| !value.is_null());
                match (key("shortest_edge"), key("height"), key("width"), key("longest_edge")) {
                    (Some(edge), None, None, None) => side(edge).map(Resize::ShortestEdge),
                    (None, Some(height), Some(width), None) => exact(height, width),
                    _ => None,
                }
            }
            _ => None,
        };
        let expected = "{\"shortest_edge\": n} or {\"height\": n, \"width\": n} with n from 1 to 4096";
        read.map(Some).ok_or_else(|| self.refuse(name, expected))
    }

    fn resample(&self) -> Result<Option<Resample>> {
        let Some(value) = self.get("resample") else { return Ok(None) };
        let read = value.as_u64().and_then(Resample::from_number);
        read.map(Some).ok_or_else(|| self.refuse("resample", "a number of Pillow's from 0 to 5; 3 is bicubic"))
    }

    fn rescale_factor(&self) -> Result<Option<f64>> {
        let Some(value) = self.get("rescale_factor") else { return Ok(None) };
        let read = value.as_f64().filter(|factor| (1e-6..=1e6).contains(factor));
        read.map(Some).ok_or_else(|| self.refuse("rescale_factor", "a number above 0; 1/255 is usual"))
    }

    /// A number for each colour; one number stands for all three.
    fn colour(&self, name: &str, expected: &str) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = |value: &Value| value.as_f64().filter(|number| number.abs() <= 1e6);
        let read = match value {
            Value::Array(list) if list.len() == 3 => number(&list[0])
                .zip(number(&list[1]))
                .zip(number(&list[2]))
                .map(|((red, green), blue)| [red, green, blue]),
            single => number(single).map(|number| [number; 3]),
        };
        read.map(Some).ok_or_else(|| self.refuse(name, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PreprocessorConfig> {
        PreprocessorConfig::from_json(json.as_bytes(), "preprocessor_config.json")
    }

    #[test]
    fn missing_fields_are_clips() {
        let config = read(r#"{"image_processor_type": "CLIPImageProcessor", "crop_size": null}"#).unwrap();
        assert_eq!(config, PreprocessorConfig::default());
    }

    #[test]
    fn every_form_of_a_size_is_read() {
        for (json, expected) in [
            (r#"{"size": 336}"#, Resize::ShortestEdge(336)),
            (r#"{"size": {"shortest_edge": 336, "longest_edge": null}}"#, Resize::ShortestEdge(336)),
            (r#"{"size": {"height": 30, "width": 40}}"#, Resize::Exact(Size { height: 30, width: 40 })),
            (r#"{"size": [30, 40]}"#, Resize::Exact(Size { height: 30, width: 40 })),
        ] {
            assert_eq!(read(json).unwrap().size, Some(expected), "{json}");
        }
        let crop = |json| read(json).unwrap().crop_size;
        assert_eq!(crop(r#"{"crop_size": 48}"#), Some(Size { height: 48, width: 48 }));
        assert_eq!(crop(r#"{"crop_size": {"height": 48, "width": 64}}"#), Some(Size { height: 48, width: 64 }));
    }

    #[test]
    fn steps_can_be_left_out_and_changed() {
        let config = read(
            r#"{"image_processor": {"image_processor_type": "LlavaImageProcessorFast", "do_pad": true,
                "do_resize": false, "do_center_crop": false, "do_rescale": false, "do_normalize": false,
                "resample": 2, "image_mean": 0.5, "image_std": [0.5, 1, 2]}, "patch_size": 14}"#,
        )
        .unwrap();
        let expected = PreprocessorConfig {
            aspect_ratio: AspectRatio::Pad,
            size: None,
            resample: Resample::Bilinear,
            crop_size: None,
            rescale_factor: None,
            image_mean: [0.5; 3],
            image_std: [0.5, 1.0, 2.0],
            do_normalize: false,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (json, words) in [
            ("{", "EOF"),
            ("[]", "not a JSON object"),
            ("{}", "describes no image processor"),
            (r#"{"patch_size": 14, "processor_class": "LlavaProcessor"}"#, "describes no image processor"),
            (r#"{"image_processor_type": "SiglipImageProcessor"}"#, "SiglipImageProcessor\", expected CLIP"),
            (r#"{"image_processor_type": "LlavaNextImageProcessor"}"#, "not a LLaVA-1.5"),
            (r#"{"size": 0}"#, "size is 0, expected"),
            (r#"{"size": 4097}"#, "from 1 to 4096"),
            (r#"{"size": {"shortest_edge": 1000000000}}"#, "from 1 to 4096"),
            (r#"{"size": {"shortest_edge": 336, "longest_edge": 672}}"#, "longest_edge"),
            (r#"{"size": {"height": 336}}"#, "size is"),
            (r#"{"size": -1}"#, "size is -1"),
            (r#"{"crop_size": {"shortest_edge": 336}}"#, "crop_size is"),
            (r#"{"size": 8, "resample": 6}"#, "resample is 6"),
            (r#"{"size": 8, "rescale_factor": 0}"#, "rescale_factor is 0"),
            (r#"{"size": 8, "image_mean": [0.5, 0.5]}"#, "image_mean is [0.5,0.5]"),
            (r#"{"size": 8, "image_mean": [0.5, 1e300, 0]}"#, "image_mean is"),
            (r#"{"size": 8, "image_std": [0.5, 0.0, 1]}"#, "above 0"),
            (r#"{"size": 8, "do_resize": "yes"}"#, "do_resize is \"yes\""),
            (r#"{"size": 8, "do_center_crop": 1}"#, "do_center_crop is 1"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.starts_with("preprocessor_config.json: ") && error.contains(words), "{json}: {error}");
        }
    }
}
