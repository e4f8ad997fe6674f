//! A prompt as the model takes it: token ids with placeholders, and the pictures' embeddings.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::model::{Llava, LlavaConfig, TokenSpan, spans};

/// Token ids and pictures, in order.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Text ids with one image token id per picture.
    pub ids: Vec<i64>,
    /// The pictures, as many as image tokens.
    pub images: Vec<PromptImage>,
}

/// A picture that went through the vision tower and the projector.
#[derive(Clone, Debug)]
pub struct PromptImage {
    /// Tells pictures apart: equal keys mean equal features.
    pub key: u64,
    /// `[patches, d_model]`.
    pub features: Tensor<2>,
}

/// What stands at one position of the expanded sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A text token.
    Token(i64),
    /// An embedding of a picture.
    Patch {
        /// Which picture, in order of appearance.
        image: usize,
        /// Which of its embeddings.
        index: usize,
    },
}

/// What stands at one position of the cache, which is reused as far as these agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A text token.
    Token(i64),
    /// A patch of a picture.
    Patch {
        /// The picture's key.
        image: u64,
        /// The patch's number.
        index: usize,
    },
}

impl Prompt {
    /// Positions it takes once every picture is expanded.
    pub fn expanded_len(&self, patches: usize) -> usize {
        self.ids.len() - self.images.len() + self.images.len() * patches
    }

    /// Checks all that can be checked without the device.
    ///
    /// # Errors
    /// As [`check_length`].
    pub fn check(&self, model: &Llava) -> Result<()> {
        check_length(&self.ids, self.images.len(), &model.config).map(drop)
    }

    /// The expanded sequence.
    ///
    /// # Errors
    /// [`Error::Prompt`] if there are not as many image tokens as pictures.
    pub fn positions(&self, config: &LlavaConfig) -> Result<Vec<Position>> {
        let patches = config.image_seq_len();
        let mut positions = Vec::with_capacity(self.expanded_len(patches));
        for span in spans(&self.ids, config.image_token_id, self.images.len())? {
            match span {
                TokenSpan::Text(range) => positions.extend(self.ids[range].iter().map(|&id| Position::Token(id))),
                TokenSpan::Image(image) => {
                    positions.extend((0..patches).map(|index| Position::Patch { image, index }));
                }
            }
        }
        Ok(positions)
    }

    pub(super) fn slots(&self, model: &Llava) -> Result<Vec<Slot>> {
        let slot = |position| match position {
            Position::Token(id) => Slot::Token(id),
            Position::Patch { image, index } => Slot::Patch { image: self.images[image].key, index },
        };
        Ok(self.positions(&model.config)?.into_iter().map(slot).collect())
    }

    /// Embeddings of the expanded positions `from..to`, `[1, to - from, d_model]`.
    pub(super) fn embed(&self, model: &Llava, from: usize, to: usize) -> Result<Tensor<3>> {
        let patches = model.config.image_seq_len();
        let mut parts = Vec::new();
        let mut at = 0;
        for span in spans(&self.ids, model.config.image_token_id, self.images.len())? {
            let len = match &span {
                TokenSpan::Text(range) => range.len(),
                TokenSpan::Image(_) => patches,
            };
            // The part of this span inside from..to, counted from the span's own start.
            let (first, last) = (from.max(at) - at, to.min(at + len).saturating_sub(at));
            at += len;
            if first >= last {
                continue;
            }
            parts.push(match span {
                TokenSpan::Text(range) => model.embed_text(&self.ids[range.start + first..range.start + last])?,
                TokenSpan::Image(number) => {
                    self.images[number].features.clone().narrow(0, first, last - first).unsqueeze()
                }
            });
        }
        Ok(Tensor::cat(parts, 1))
    }
}

/// Positions that `ids` take with `images` pictures expanded.
///
/// # Errors
/// [`Error::Prompt`] if there are none, more than the context holds, or placeholders and pictures do not agree.
pub fn check_length(ids: &[i64], images: usize, config: &LlavaConfig) -> Result<usize> {
    if ids.is_empty() {
        return Err(Error::Prompt("is empty".to_string()));
    }
    spans(ids, config.image_token_id, images)?;
    let (in_pictures, context) = (images * config.image_seq_len(), config.text.max_position_embeddings);
    let tokens = ids.len() - images + in_pictures;
    if tokens < context {
        return Ok(tokens);
    }
    Err(Error::Prompt(format!(
        "takes {tokens} tokens, {in_pictures} of them for {images} picture(s); the model's context is {context}, and the \
         reply needs room too: shorten it, or start a new chat"
    )))
}
