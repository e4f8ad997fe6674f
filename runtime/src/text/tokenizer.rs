//! `tokenizer.json`, read by the tokenizers library: text to ids and back.

use serde_json::Value;

use super::guard;
use crate::error::{Error, Result};

/// Longest text that is tokenized, in bytes: some 250 000 tokens, in half a second and 200 MB.
pub const MAX_PROMPT_BYTES: usize = 1_000_000;

/// The tokenizer of a checkpoint.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos_token: Option<String>,
    eos_token: Option<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where there is one, `tokenizer_config.json`.
    ///
    /// Truncation and padding that the file asks for are left out, as transformers does. Whether a text gets a BOS is
    /// what the file's post-processor says.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the file is not a BPE tokenizer, too large, nested too deep, or inconsistent.
    pub fn from_json(tokenizer_json: &[u8], tokenizer_config: Option<&Value>) -> Result<Self> {
        let added_tokens = guard::check(tokenizer_json)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(tokenizer_json).map_err(|error| refuse(error.to_string()))?;
        for guard::AddedToken { id, content } in added_tokens {
            let given = inner.token_to_id(&content);
            if given != Some(id) && !content.is_empty() {
                let given = given.map_or("none".to_owned(), |id| id.to_string());
                return Err(refuse(format!(
                    "the added token {content:?} should have id {id}, but the vocabulary leaves it {given}: the file \
                     was changed, download it again"
                )));
            }
        }
        inner.with_truncation(None).map_err(|error| refuse(error.to_string()))?;
        inner.with_padding(None);
        let named = |key: &str, usual: &str| {
            let value = tokenizer_config.and_then(|config| config.get(key));
            let name = value.and_then(|value| value.as_str().or_else(|| value.get("content")?.as_str()));
            // Without a config, Llama's own name.
            let name = if tokenizer_config.is_none() { Some(usual) } else { name };
            name.filter(|name| inner.token_to_id(name).is_some()).map(str::to_owned)
        };
        let (bos_token, eos_token) = (named("bos_token", "<s>"), named("eos_token", "</s>"));
        Ok(Self { inner, bos_token, eos_token })
    }

    /// The ids of a text, with the special tokens that the tokenizer adds, such as BOS.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the text is over [`MAX_PROMPT_BYTES`]; [`Error::Tokenizer`] when it cannot be expressed.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, true)
    }

    /// The ids of a text alone.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    /// As [`Tokenizer::encode`], and with each id the byte of the text it begins at; none for what is added to the text.
    pub(super) fn encode_with_starts(&self, text: &str) -> Result<Vec<(u32, Option<usize>)>> {
        check_length(text)?;
        let encoding = self.inner.encode(text, true).map_err(|error| refuse(error.to_string()))?;
        let starts = encoding
            .get_offsets()
            .iter()
            .zip(encoding.get_special_tokens_mask())
            .map(|(&(start, _), &added)| (added == 0).then_some(start));
        Ok(encoding.get_ids().iter().copied().zip(starts).collect())
    }

    fn ids(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        check_length(text)?;
        let encoding = self.inner.encode_fast(text, add_special_tokens).map_err(|error| refuse(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids, without special tokens; ids that are no token are skipped.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the file's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        // Some decoders do not expect that there is nothing to decode.
        if ids.is_empty() {
            return Ok(String::new());
        }
        self.inner.decode(ids, true).map_err(|error| refuse(error.to_string()))
    }

    /// The id of a token.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as the vocabulary spells it.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether a token is left out of the text: BOS, EOS, `<image>` and their like.
    pub fn is_special(&self, token: &str) -> bool {
        self.inner.get_added_vocabulary().is_special_token(token)
    }

    /// What begins a text, if the vocabulary has it.
    pub fn bos_token(&self) -> Option<&str> {
        self.bos_token.as_deref()
    }

    /// What ends an answer, if the vocabulary has it.
    pub fn eos_token(&self) -> Option<&str> {
        self.eos_token.as_deref()
    }

    /// The id of [`Tokenizer::eos_token`].
    pub fn eos_token_id(&self) -> Option<u32> {
        self.token_to_id(self.eos_token()?)
    }

    /// The largest id of any token, added ones included; 0 without any token.
    pub fn max_id(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// Refuses a tokenizer that could name a row which the embedding lacks.
    ///
    /// - `image_token`: the id that stands for a picture; it is replaced before the embedding and may be beyond it.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] naming the token.
    pub fn check_vocab(&self, embedding_rows: usize, image_token: Option<u32>) -> Result<()> {
        // What the post-processor puts around a text need not be in the vocabulary.
        let around = self.encode("")?.into_iter().map(|id| (self.id_to_token(id).unwrap_or_default(), id));
        let beyond = self
            .inner
            .get_vocab(true)
            .into_iter()
            .chain(around)
            .filter(|&(_, id)| id as usize >= embedding_rows && Some(id) != image_token)
            .min_by_key(|&(_, id)| id);
        match beyond {
            Some((token, id)) => Err(refuse(format!(
                "the token {token:?} has id {id}, but the model's embedding has {embedding_rows} rows: the tokenizer \
                 belongs to another model"
            ))),
            None => Ok(()),
        }
    }
}

fn check_length(text: &str) -> Result<()> {
    if text.len() > MAX_PROMPT_BYTES {
        return Err(Error::Prompt(format!(
            "is {:.1} MB long, at most {} MB are read: ask about a part of it",
            text.len() as f64 / 1e6,
            MAX_PROMPT_BYTES / 1_000_000
        )));
    }
    Ok(())
}

/// An error about the tokenizer's file.
pub(super) fn refuse(reason: String) -> Error {
    Error::Tokenizer { file: "tokenizer.json".to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tiny::{self, IMAGE_ID};
    use super::*;

    #[test]
    fn text_survives_the_way_there_and_back() {
        let tokenizer = tiny::tokenizer();
        for text in ["hi a", " hi", "hello", "你好 \u{1f600}", "a\0b\n", "", "    ab", "é\u{301}"] {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(ids[0], 1, "{text:?} begins with BOS");
            assert_eq!(ids[1..], tokenizer.encode_plain(text).unwrap());
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
        let id = |token: &str| tokenizer.token_to_id(token).unwrap();
        assert_eq!(tokenizer.encode("hi\n").unwrap(), [1, id("▁hi"), id("<0x0A>")]);
    }

    #[test]
    fn special_tokens_are_known_in_text_and_left_out_of_it() {
        let tokenizer = tiny::tokenizer();
        let ids = tokenizer.encode_plain("a<image></s>").unwrap();
        assert_eq!(ids[1..], [IMAGE_ID, 2]);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "a");
        assert_eq!(tokenizer.decode(&[2, 999_999]).unwrap(), "");
        assert_eq!(tokenizer.decode(&[]).unwrap(), "");
    }

    #[test]
    fn bos_and_eos_come_from_the_config_or_are_llamas() {
        let tokenizer = tiny::tokenizer();
        assert_eq!((tokenizer.bos_token(), tokenizer.eos_token()), (Some("<s>"), Some("</s>")));
        let config = json!({"bos_token": null, "eos_token": {"content": "<pad>", "lstrip": false}});
        let tokenizer = Tokenizer::from_json(&tiny::json(), Some(&config)).unwrap();
        assert_eq!((tokenizer.bos_token(), tokenizer.eos_token_id()), (None, Some(IMAGE_ID + 1)));
        let config = json!({"bos_token": "<nowhere>", "eos_token": "</s>"});
        let tokenizer = Tokenizer::from_json(&tiny::json(), Some(&config)).unwrap();
        assert_eq!((tokenizer.bos_token(), tokenizer.eos_token_id()), (None, Some(2)));
    }

    #[test]
    fn ids_beyond_the_embedding_are_refused() {
        let tokenizer = tiny::tokenizer();
        assert_eq!(tokenizer.max_id(), IMAGE_ID + 1);
        let rows = IMAGE_ID as usize + 2;
        assert!(tokenizer.check_vocab(rows, None).is_ok());
        let error = tokenizer.check_vocab(rows - 1, None).unwrap_err().to_string();
        assert!(error.contains("\"<pad>\"") && error.contains(&format!("{} rows", rows - 1)), "{error}");
        assert!(tokenizer.check_vocab(rows - 1, Some(IMAGE_ID + 1)).is_ok());
        assert!(tokenizer.check_vocab(0, None).is_err());

        let mut file = tiny::value();
        file["post_processor"]["special_tokens"]["<s>"]["ids"] = json!([4_000_000_000_u32]);
        let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap();
        assert!(tokenizer.check_vocab(rows, None).unwrap_err().to_string().contains("4000000000"));
        let mut file = tiny::value();
        file["model"]["vocab"]["a"] = json!(4_000_000_000_u32);
        let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap();
        assert_eq!(tokenizer.max_id(), 4_000_000_000);
        assert!(tokenizer.check_vocab(rows, None).is_err());
    }

    #[test]
    fn an_added_token_with_another_id_is_refused() {
        let mut file = tiny::value();
        file["added_tokens"][3]["id"] = json!(32_000);
        let error = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap_err().to_string();
        assert!(error.contains("\"<image>\" should have id 32000"), "{error}");
    }

    #[test]
    fn truncation_in_the_file_is_ignored() {
        let mut file = tiny::value();
        file["truncation"] = json!({"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
        let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap();
        assert_eq!(tokenizer.encode("hello hello").unwrap(), tiny::tokenizer().encode("hello hello").unwrap());
    }

    #[test]
    fn the_deepest_file_let_through_needs_little_stack() {
        let mut file = tiny::value();
        for _ in 0..13 {
            let inner = file["normalizer"].take();
            file["normalizer"] = json!({"type": "Sequence", "normalizers": [inner]});
        }
        let json = serde_json::to_vec(&file).unwrap();
        // Half of what a page has.
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(move || Tokenizer::from_json(&json, None));
        let tokenizer = thread.unwrap().join().unwrap().unwrap();
        assert_eq!(tokenizer.encode("hi a").unwrap(), tiny::tokenizer().encode("hi a").unwrap());
        file["normalizer"] = json!({"type": "Sequence", "normalizers": [file["normalizer"].take()]});
        assert!(Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).is_err());
    }

    #[test]
    fn a_book_is_refused_before_it_is_tokenized() {
        let error = tiny::tokenizer().encode(&"a".repeat(MAX_PROMPT_BYTES + 1)).unwrap_err();
        assert!(matches!(&error, Error::Prompt(_)), "{error}");
        assert!(error.to_string().contains("at most 1 MB"), "{error}");
    }
}
