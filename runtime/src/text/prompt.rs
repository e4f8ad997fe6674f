//! Pictures in a prompt: where `<image>` stands in the text, an image token stands among the ids.
//!
//! Checkpoints of transformers have `<image>` in their vocabulary and encode the prompt whole. The original LLaVA
//! checkpoints do not: there the text is cut at `<image>`, each part encoded by itself, and -200 put between.
//!
//! Source: LLaVA, `llava/mm_utils.py`, `tokenizer_image_token`.

use super::Tokenizer;
use crate::error::Result;

/// How a picture is written in a prompt.
pub const IMAGE: &str = "<image>";

/// What stands for a picture among the ids: `image_token_index` or `image_token_id` of config.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageToken(pub i64);

impl ImageToken {
    /// The original LLaVA's, which is no id of any vocabulary.
    pub const LLAVA: Self = Self(-200);
}

/// A token of a prompt, and the text it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptToken {
    /// Its id, or what stands for a picture.
    pub id: i64,
    /// The byte of the prompt it begins at; none where the tokenizer adds it, as it does BOS.
    pub start: Option<usize>,
}

impl Tokenizer {
    /// The ids of a prompt, with one `image_token` for each [`IMAGE`] in it.
    ///
    /// A prompt that begins with the BOS written out, as templates may do, does not get a second one.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_images(&self, text: &str, image_token: ImageToken) -> Result<Vec<i64>> {
        Ok(self.encode_prompt(text, image_token)?.into_iter().map(|token| token.id).collect())
    }

    /// As [`Tokenizer::encode_with_images`], and where in the prompt each token begins.
    ///
    /// A space belongs to the word after it; the bytes of a character that the vocabulary lacks all begin where it does.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompt(&self, text: &str, image_token: ImageToken) -> Result<Vec<PromptToken>> {
        let mut tokens = match self.token_to_id(IMAGE) {
            Some(image) => {
                let stands_for = |id: u32| if id == image { image_token.0 } else { i64::from(id) };
                let tokens = self.encode_with_starts(text)?.into_iter();
                tokens.map(|(id, start)| PromptToken { id: stands_for(id), start }).collect()
            }
            None => self.encode_in_parts(text, image_token)?,
        };
        let bos = self.bos_token().and_then(|token| self.token_to_id(token)).map(i64::from);
        if let [first, second, ..] = tokens[..]
            && Some(first.id) == bos
            && first.id == second.id
        {
            tokens.remove(0);
        }
        Ok(tokens)
    }

    fn encode_in_parts(&self, text: &str, image_token: ImageToken) -> Result<Vec<PromptToken>> {
        let bos = self.bos_token().and_then(|token| self.token_to_id(token));
        let mut tokens = Vec::new();
        let mut part_start = 0;
        for (at, part) in text.split(IMAGE).enumerate() {
            let encoded = self.encode_with_starts(part)?;
            // Each part begins with a BOS of its own; only the first stays.
            let repeated = at > 0 && bos.is_some() && encoded.first().map(|&(id, _)| id) == bos;
            if at > 0 {
                tokens.push(PromptToken { id: image_token.0, start: Some(part_start) });
                part_start += IMAGE.len();
            }
            let placed = encoded[usize::from(repeated)..].iter();
            tokens.extend(
                placed.map(|&(id, start)| PromptToken { id: id.into(), start: start.map(|start| part_start + start) }),
            );
            part_start += part.len();
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tiny::{self, IMAGE_ID};
    use super::*;

    /// The tiny tokenizer as the original LLaVA has it: without `<image>`.
    fn without_image() -> Tokenizer {
        let mut file = tiny::value();
        file["added_tokens"].as_array_mut().unwrap().truncate(3);
        Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap()
    }

    fn ids(tokenizer: &Tokenizer, tokens: &[&str]) -> Vec<i64> {
        tokens.iter().map(|token| tokenizer.token_to_id(token).unwrap().into()).collect()
    }

    #[test]
    fn a_known_image_token_is_encoded_with_the_text() {
        let tokenizer = tiny::tokenizer();
        let expected = ids(&tokenizer, &["<s>", "▁hi", ":", "▁", "<image>", "▁", "<0x0A>", "a"]);
        assert_eq!(tokenizer.encode_with_images("hi: <image>\na", ImageToken(IMAGE_ID.into())).unwrap(), expected);
        // The same place, by the name that the model has for it.
        let llava = tokenizer.encode_with_images("hi: <image>\na", ImageToken::LLAVA).unwrap();
        assert_eq!(llava[4], -200);
        assert_eq!([&llava[..4], &llava[5..]], [&expected[..4], &expected[5..]]);
    }

    #[test]
    fn an_unknown_image_token_is_put_between_the_parts() {
        let tokenizer = without_image();
        let encoded = tokenizer.encode_with_images("hi: <image>\na<image>", ImageToken::LLAVA).unwrap();
        let [before, between] =
            [&["<s>", "▁hi", ":", "▁"][..], &["▁", "<0x0A>", "a"]].map(|part| ids(&tokenizer, part));
        assert_eq!(encoded, [&before[..], &[-200], &between, &[-200]].concat());
        assert_eq!(tokenizer.encode_with_images("<image>", ImageToken::LLAVA).unwrap(), [1, -200]);
        assert_eq!(tokenizer.encode_with_images("", ImageToken::LLAVA).unwrap(), [1]);
        assert_eq!(tokenizer.encode_with_images("<image><image>", ImageToken(5)).unwrap(), [1, 5, 5]);
    }

    #[test]
    fn without_bos_every_part_is_kept_whole() {
        let mut file = tiny::value();
        file["added_tokens"].as_array_mut().unwrap().truncate(3);
        file["post_processor"] = json!(null);
        let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap();
        let hi = i64::from(tokenizer.token_to_id("▁hi").unwrap());
        assert_eq!(tokenizer.encode_with_images("hi<image>hi", ImageToken::LLAVA).unwrap(), [hi, -200, hi]);
    }

    #[test]
    fn a_bos_written_out_is_not_doubled() {
        for tokenizer in [tiny::tokenizer(), without_image()] {
            let written = tokenizer.encode_with_images("<s>hi<image>", ImageToken::LLAVA).unwrap();
            assert_eq!(written, tokenizer.encode_with_images("hi<image>", ImageToken::LLAVA).unwrap());
        }
    }

    #[test]
    fn every_token_knows_where_it_begins() {
        let text = "hi: <image>\na 你</s>hi";
        for tokenizer in [tiny::tokenizer(), without_image()] {
            let tokens = tokenizer.encode_prompt(text, ImageToken::LLAVA).unwrap();
            let ids: Vec<i64> = tokens.iter().map(|token| token.id).collect();
            assert_eq!(ids, tokenizer.encode_with_images(text, ImageToken::LLAVA).unwrap());
            let starts: Vec<Option<usize>> = tokens.iter().map(|token| token.start).collect();
            // ▁hi, :, ▁, <image>, ▁, newline, a, ▁, 你, </s>, ▁hi
            let expected = [0, 2, 3, 4, 11, 11, 12, 13, 14, 17, 21];
            assert_eq!(starts[0], None, "BOS is not in the text");
            assert_eq!(starts[1..], expected.map(Some));
        }
        // Written out, BOS is part of the text.
        let tokens = tiny::tokenizer().encode_prompt("<s>😀", ImageToken::LLAVA).unwrap();
        assert_eq!(tokens[0], PromptToken { id: 1, start: Some(0) });
        assert_eq!(tokens[2..].iter().map(|token| token.start).collect::<Vec<_>>(), [Some(3); 4]);
    }
}
