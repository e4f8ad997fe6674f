//! Text as it comes, one token at a time.
//!
//! A token is not always text: a character may take several byte tokens, and a space belongs to the word after it. The
//! pieces handed out never end inside a character, and all of them together are what [`Tokenizer::decode`] makes of
//! all ids at once. To keep that promise byte tokens wait for the token after them, because one invalid byte changes
//! how the decoder shows its whole run.
//!
//! Each step decodes only the last piece and what is pending: the time does not grow with the answer.

use super::Tokenizer;
use crate::error::Result;

/// Turns ids into pieces of text.
#[derive(Clone, Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The ids of the last piece, then those not yet shown.
    ids: Vec<u32>,
    /// How many of `ids` have been shown.
    shown: usize,
    /// What the shown ones decode to by themselves: what follows it is new.
    shown_text: String,
}

impl<'a> DecodeStream<'a> {
    /// A stream at the beginning of an answer.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), shown: 0, shown_text: String::new() }
    }

    /// Takes the next id and returns what can be shown now, if anything.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<Option<String>> {
        let Some(token) = self.tokenizer.id_to_token(id).filter(|token| !self.tokenizer.is_special(token)) else {
            return Ok(None);
        };
        self.ids.push(id);
        if is_byte(&token) {
            return Ok(None);
        }
        let text = self.tokenizer.decode(&self.ids)?;
        // The replacement character at the end is a character whose other bytes may still come.
        let Some(piece) = text.strip_prefix(&self.shown_text).filter(|piece| !piece.ends_with('\u{fffd}')) else {
            return Ok(None);
        };
        if piece.is_empty() {
            return Ok(None);
        }
        self.ids.drain(..self.shown);
        self.shown = self.ids.len();
        self.shown_text = self.tokenizer.decode(&self.ids)?;
        Ok(Some(piece.to_owned()))
    }

    /// The end of the answer: what was held back, if anything.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(self) -> Result<Option<String>> {
        let text = self.tokenizer.decode(&self.ids)?;
        // Should a decoder have changed what is already shown, then at least nothing is shown twice.
        let same = text.chars().zip(self.shown_text.chars()).take_while(|(now, before)| now == before);
        let piece = &text[same.map(|(now, _)| now.len_utf8()).sum()..];
        Ok(Some(piece.to_owned()).filter(|piece| !piece.is_empty()))
    }
}

/// Whether the token is one byte of a character that the vocabulary lacks: `<0xE4>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tiny::{self, IMAGE_ID, WORDS};
    use super::*;

    /// The pieces of the ids, and at which id each was shown.
    fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<(usize, String)> {
        let mut stream = DecodeStream::new(tokenizer);
        let mut pieces = Vec::new();
        for (at, &id) in ids.iter().enumerate() {
            pieces.extend(stream.push(id).unwrap().map(|piece| (at, piece)));
        }
        pieces.extend(stream.finish().unwrap().map(|piece| (ids.len(), piece)));
        pieces
    }

    fn byte(value: u8) -> u32 {
        3 + u32::from(value)
    }

    #[test]
    fn words_are_shown_at_once_with_their_spaces() {
        let tokenizer = tiny::tokenizer();
        let ids = tokenizer.encode("hi a hi").unwrap();
        assert_eq!(pieces(&tokenizer, &ids), [(1, "hi".into()), (2, " a".into()), (3, " hi".into())]);
    }

    #[test]
    fn a_character_is_shown_whole() {
        let tokenizer = tiny::tokenizer();
        let smile: Vec<u32> = "\u{1f600}".bytes().map(byte).collect();
        let a = tokenizer.token_to_id("a").unwrap();
        let ids = [&[a], &smile[..], &[a]].concat();
        assert_eq!(pieces(&tokenizer, &ids), [(0, "a".into()), (5, "\u{1f600}a".into())]);
        let cut = [&[a], &smile[..3]].concat();
        assert_eq!(pieces(&tokenizer, &cut), [(0, "a".into()), (4, "\u{fffd}\u{fffd}\u{fffd}".into())]);
    }

    #[test]
    fn special_and_unknown_ids_show_nothing() {
        let tokenizer = tiny::tokenizer();
        let hi = tokenizer.token_to_id("▁hi").unwrap();
        assert_eq!(pieces(&tokenizer, &[1, IMAGE_ID, 999_999, hi, 2]), [(3, "hi".into())]);
    }

    /// Runs of arbitrary ids: valid and invalid bytes, spaces, special tokens.
    #[test]
    fn the_pieces_make_the_whole() {
        let fallback = tiny::tokenizer();
        let mut file = tiny::value();
        file["decoder"] =
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        // The letters by which ByteLevel writes the bytes 0xC4, 0xBD, 0xA0, 0x20 and 0xE4.
        for (id, token) in ["Ä", "½", "ł", "Ġ", "ä"].iter().enumerate() {
            file["model"]["vocab"][token] = json!(1000 + id);
        }
        // Their ids would be others in this larger vocabulary.
        file["added_tokens"] = json!([]);
        let byte_level = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap();

        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let sequences = [0xe4, 0xbd, 0xa0, 0xff, 0x0a, 0xf0, 0x9f, 0x98, 0x80].map(byte);
        for round in 0..4000 {
            let ids: Vec<u32> = (0..random(12))
                .map(|_| match random(if round % 2 == 0 { 3 } else { 6 }) {
                    0 => 259 + random(WORDS.len()) as u32,
                    1 => sequences[random(sequences.len())],
                    2 => [0, 1, 2, IMAGE_ID][random(4)],
                    _ => 1000 + random(5) as u32,
                })
                .collect();
            for tokenizer in [&fallback, &byte_level] {
                let joined: String = pieces(tokenizer, &ids).into_iter().map(|(_, piece)| piece).collect();
                assert_eq!(joined, tokenizer.decode(&ids).unwrap(), "{ids:?}");
            }
        }
    }
}
