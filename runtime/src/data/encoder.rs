//! The way from a sample to the tokens of a training step: rendered, tokenized, cut to length.

use super::render::{Rendering, TokenizedSample, render};
use super::sample::Sample;
use crate::error::Result;
use crate::text::{ChatTemplate, ImageToken, Tokenizer};

/// What stays the same for all samples of a run.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// What text a sample becomes.
    pub rendering: Rendering,
    /// The model's chat template.
    pub template: ChatTemplate,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// What stands for a picture among the ids.
    pub image_token: ImageToken,
    /// Positions that a picture takes.
    pub patches_per_image: usize,
    /// Most positions of a sample, those of its pictures included.
    pub max_length: usize,
}

impl Encoder {
    /// The tokens of a sample, at most `max_length` positions, at least one of them learnt.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) naming the sample when it cannot be rendered, or when nothing to learn is
    /// left within `max_length`.
    pub fn encode(&self, sample: &Sample) -> Result<TokenizedSample> {
        self.fit(sample, self.encode_whole(sample)?)
    }

    /// The tokens of a sample, whatever its length.
    pub(super) fn encode_whole(&self, sample: &Sample) -> Result<TokenizedSample> {
        render(sample, self.rendering, &self.template, &self.tokenizer, self.image_token)
    }

    /// Cuts what is too long.
    pub(super) fn fit(&self, sample: &Sample, mut tokens: TokenizedSample) -> Result<TokenizedSample> {
        let whole = tokens.expanded_len(self.patches_per_image);
        tokens.truncate(self.max_length, self.patches_per_image);
        if tokens.supervised_tokens() == 0 {
            return Err(sample.error(format!(
                "has no supervised token within max_length {}: it takes {whole} positions, {} of them for each picture; \
                 raise train.max_length, or shorten what comes before the answer",
                self.max_length, self.patches_per_image
            )));
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn samples_are_cut_and_never_to_nothing() {
        let json = r#"{"image": "a.png", "conversations": [{"from": "human", "value": "a"},
            {"from": "gpt", "value": "hi a"}]}"#;
        let sample = Sample::parse(json.as_bytes(), &"a.jsonl".into(), 3).unwrap();
        let mut encoder = testing::encoder();
        let whole = encoder.encode(&sample).unwrap();
        assert_eq!(whole.supervised_tokens(), 3);
        let length = whole.expanded_len(4);

        encoder.max_length = length - 1;
        let cut = encoder.encode(&sample).unwrap();
        assert_eq!((cut.expanded_len(4), cut.supervised_tokens(), cut.images.len()), (length - 1, 2, 1));

        encoder.max_length = length - 3;
        let error = encoder.encode(&sample).unwrap_err().to_string();
        let expected =
            format!("a.jsonl:3: has no supervised token within max_length {}: it takes {length}", length - 3);
        assert!(error.starts_with(&expected), "{error}");
    }
}
