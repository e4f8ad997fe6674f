//! The demo model's tokenizer: byte-pair encoding learnt from the words that it is trained on.

use anyhow::anyhow;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// Ids from 0: what stands for nothing, what begins a text, what ends an answer, and the place of a picture.
const SPECIAL: [&str; 4] = ["<pad>", "<s>", "</s>", "<image>"];

/// Learns a vocabulary of at most `size` tokens and returns it as `tokenizer.json`.
///
/// Any text can be written: where no word fits, its bytes do. Every digit is a token of its own, so that numbers are read
/// and written digit by digit.
pub fn train(texts: impl Iterator<Item = String> + Send, size: usize) -> anyhow::Result<String> {
    let failed = |error: tokenizers::Error| anyhow!("the tokenizer could not be trained: {error}");
    // A space belongs to the word behind it, and none is put in front of a text.
    let words = ByteLevel::new(false, false, true);
    let digit = SplitPattern::Regex(r" ?\p{N}".to_string());
    let digits = Split::new(digit, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![digits.into(), words.into()])));
    tokenizer.with_decoder(Some(words));
    let trainer = BpeTrainerBuilder::new()
        .vocab_size(size)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.iter().map(|token| AddedToken::from(*token, true)).collect())
        .build();
    let mut trainer = TrainerWrapper::from(trainer);
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
    let post_processor = TemplateProcessing::builder()
        .try_single("<s> $A")
        .map_err(|error| anyhow!("{error}"))?
        .special_tokens(vec![("<s>", 1)])
        .build()?;
    tokenizer.with_post_processor(Some(post_processor));
    tokenizer.to_string(true).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = String> + Send {
        (0..200).map(|n| format!("What is the value of March? It is {n}."))
    }

    #[test]
    fn words_are_tokens_digits_stand_alone_and_any_text_comes_back() {
        let tokenizer: Tokenizer = train(texts(), 400).unwrap().parse().unwrap();
        let tokens = |text: &str| tokenizer.encode(text, true).unwrap().get_tokens().to_vec();
        assert_eq!(tokens("What is 142"), ["<s>", "What", "Ġis", "Ġ1", "4", "2"]);
        for text in ["March<image> 7", "naïve 你好 \u{1F600}\n\ttab  two"] {
            let ids = tokenizer.encode(text, false).unwrap();
            assert_eq!(tokenizer.decode(ids.get_ids(), false).unwrap(), text);
        }
        assert_eq!(tokenizer.token_to_id("<image>"), Some(3));
    }

    #[test]
    fn the_same_texts_make_the_same_file() {
        assert_eq!(train(texts(), 300).unwrap(), train(texts(), 300).unwrap());
    }
}
