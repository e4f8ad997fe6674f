//! The whole model: pictures and text in, logits out.

use std::ops::Range;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::config::LlavaConfig;
use super::loader::{LoadProgress, Loader, Precision};
use super::{ClipVision, Llama, Projector, RandomWeights};
use crate::error::{Error, Result};
use crate::nn::KvCache;
use crate::weights::Checkpoint;

/// LLaVA-1.5. A clone shares the weights.
#[derive(Clone, Debug)]
pub struct Llava {
    /// What the checkpoint's config says.
    pub config: LlavaConfig,
    /// The language model.
    pub text: Llama,
    /// The vision tower.
    pub vision: ClipVision,
    /// From the vision tower to the language model.
    pub projector: Projector,
    device: Device,
}

/// A run of a prompt: text tokens, or one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSpan {
    /// These entries of the token ids.
    Text(Range<usize>),
    /// The picture with this number, counted in order of appearance.
    Image(usize),
}

impl Llava {
    /// Checks the checkpoint against its config, then loads it.
    ///
    /// # Errors
    /// [`Error::TensorNames`] or [`Error::TensorShape`] before anything is read; later whatever reading can cause.
    pub async fn load(
        config: LlavaConfig,
        checkpoint: &Checkpoint,
        precision: Precision,
        device: &Device,
        on_progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        let expected = config.expected_tensors();
        checkpoint.check(&expected, &config.unused_tensors())?;
        let total = expected.iter().filter_map(|(name, _)| checkpoint.get(name)).map(|info| info.bytes).sum();
        let mut loader = Loader::new(checkpoint, device, precision, total, on_progress);
        Self::assemble(config, &mut loader).await
    }

    /// A model of this shape with random weights, made on the device: for whoever measures it.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub async fn random(config: LlavaConfig, precision: Precision, device: &Device) -> Result<Self> {
        let mut silent = |_| {};
        let mut loader = Loader::random(RandomWeights::new(&config), device, precision, &mut silent);
        Self::assemble(config, &mut loader).await
    }

    async fn assemble(config: LlavaConfig, loader: &mut Loader<'_>) -> Result<Self> {
        let device = loader.device().clone();
        // The language model first, for its large tables: see there.
        let text = Llama::load(loader, &config.text).await?;
        let vision = ClipVision::load(loader, &config).await?;
        let projector = Projector::load(loader).await?;
        Ok(Self { config, text, vision, projector, device })
    }

    /// The same weights without the layers behind the first `text` of the language model and the first `vision` of the
    /// tower: another model, to see what a layer costs.
    pub fn first_layers(&self, text: usize, vision: usize) -> Self {
        let mut model = Self { config: self.config.first_layers(text, vision), ..self.clone() };
        model.text.layers.truncate(text);
        model.vision.truncate(vision);
        model
    }

    /// The device the weights are on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `pixels: [images, 3, image_size, image_size]` to embeddings `[images, patches, d_model]`.
    pub fn encode_images(&self, pixels: Tensor<4>) -> Tensor<3> {
        self.projector.forward(self.vision.forward(pixels))
    }

    /// A cache for `capacity` positions of this model.
    pub fn kv_cache(&self, capacity: usize) -> KvCache {
        let text = &self.config.text;
        KvCache::new(text.num_hidden_layers, capacity, text.num_key_value_heads, text.head_dim, &self.device)
    }

    /// A position as the ops take it: `[1]` (i32) on the device.
    pub fn position(&self, position: usize) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(vec![position as i32], [1]), (&self.device, DType::I32))
    }

    /// Embeddings of text ids, `[1, tokens, d_model]`.
    ///
    /// # Errors
    /// [`Error::Prompt`] if an id is outside the vocabulary.
    pub fn embed_text(&self, ids: &[i64]) -> Result<Tensor<3>> {
        let vocab = self.config.text.vocab_size;
        if let Some(id) = ids.iter().find(|&&id| !(0..vocab as i64).contains(&id)) {
            return Err(Error::Prompt(format!("holds token id {id}, outside the model's vocabulary of {vocab}")));
        }
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let shape = [ids.len()];
        Ok(self.text.embed(Tensor::from_data(TensorData::new(ids, shape), (&self.device, DType::I32))))
    }
}

/// Cuts token ids into runs of text and pictures.
///
/// # Errors
/// [`Error::Prompt`] if there are not as many image tokens as pictures.
pub fn spans(ids: &[i64], image_token_id: i64, images: usize) -> Result<Vec<TokenSpan>> {
    let mut spans = Vec::new();
    let (mut start, mut seen) = (0, 0);
    for (index, _) in ids.iter().enumerate().filter(|&(_, &id)| id == image_token_id) {
        if index > start {
            spans.push(TokenSpan::Text(start..index));
        }
        spans.push(TokenSpan::Image(seen));
        seen += 1;
        start = index + 1;
    }
    if start < ids.len() {
        spans.push(TokenSpan::Text(start..ids.len()));
    }
    if seen == images {
        return Ok(spans);
    }
    Err(Error::Prompt(format!(
        "has {seen} <image> placeholder(s) for {images} picture(s); give one --image for each <image>, or leave \
         <image> out and the pictures go in front"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_order_and_lose_nothing() {
        use TokenSpan::{Image, Text};
        let cut = |ids: &[i64], images| spans(ids, -200, images).unwrap();
        assert_eq!(cut(&[1, 2, 3], 0), [Text(0..3)]);
        assert_eq!(cut(&[-200], 1), [Image(0)]);
        assert_eq!(cut(&[1, -200, 5, 6, -200], 2), [Text(0..1), Image(0), Text(2..4), Image(1)]);
        assert_eq!(cut(&[-200, -200, 5], 2), [Image(0), Image(1), Text(2..3)]);
        assert_eq!(cut(&[], 0), []);
    }

    #[test]
    fn placeholders_and_pictures_must_be_as_many() {
        assert!(spans(&[1, -200], -200, 0).unwrap_err().to_string().contains("1 <image> placeholder(s) for 0"));
        assert!(spans(&[1, 2], -200, 1).is_err());
    }
}
