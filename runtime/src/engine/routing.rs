//! Which experts each token of a conversation went to, with the token's text and the place of each patch.

use serde::Serialize;

use crate::error::Result;
use crate::generate::{Position, Prompt, RoutingRecord};
use crate::model::LlavaConfig;
use crate::model::config::FeatureSelect;
use crate::text::Tokenizer;

/// The routing of a prompt and its reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplyRouting {
    /// How many experts a layer has.
    pub experts: usize,
    /// The language model's layers that have experts, counted from 0.
    pub layers: Vec<usize>,
    /// Every position that went through the model, pictures expanded. The reply's last token is not among them: nothing
    /// had to follow it.
    pub tokens: Vec<RoutedToken>,
}

/// One position of the sequence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoutedToken {
    /// Its text; empty for an embedding of a picture.
    pub text: String,
    /// Its id; none for an embedding of a picture.
    pub id: Option<i64>,
    /// Which picture it is of, counted from 0.
    pub image: Option<usize>,
    /// Which patch of the picture it is; none for words, and for the class token that some models put before the patches.
    pub patch: Option<PatchPlace>,
    /// Whether the model said it.
    pub reply: bool,
    /// The likeliest expert in each of `layers`.
    pub experts: Vec<usize>,
    /// The probability of every expert in each of `layers`.
    pub probs: Vec<Vec<f32>>,
}

/// A patch's place in its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PatchPlace {
    /// Counted row by row.
    pub index: usize,
    /// Counted from the top.
    pub row: usize,
    /// Counted from the left.
    pub column: usize,
}

/// What stands at the positions of a prompt and its reply, to put beside the numbers of their routing.
pub(super) struct Places<'a> {
    positions: Vec<Position>,
    /// Where the reply begins.
    reply: usize,
    /// How many positions were placed.
    placed: usize,
    config: &'a LlavaConfig,
    tokenizer: &'a Tokenizer,
}

impl<'a> Places<'a> {
    /// The positions of `prompt`, of which the last `said` are a reply.
    pub(super) fn new(prompt: &Prompt, said: usize, config: &'a LlavaConfig, tokenizer: &'a Tokenizer) -> Result<Self> {
        let positions = prompt.positions(config)?;
        let reply = positions.len() - said;
        Ok(Self { positions, reply, placed: 0, config, tokenizer })
    }

    /// The reply has one more token.
    pub(super) fn say(&mut self, id: u32) {
        self.positions.push(Position::Token(i64::from(id)));
    }

    /// The routing of the positions that follow those placed before.
    pub(super) fn place(&mut self, record: &RoutingRecord) -> Result<ReplyRouting> {
        let mut tokens = Vec::with_capacity(record.tokens);
        for at in 0..record.tokens {
            // Where layer `layer` has this position in `[layers, tokens]`.
            let rows = (0..record.layers).map(|layer| layer * record.tokens + at);
            let probs_at = |row: usize| record.probs[row * record.experts..][..record.experts].to_vec();
            let (text, id, image, patch) = match self.positions[self.placed + at] {
                Position::Token(id) => (text_of(id, self.tokenizer)?, Some(id), None, None),
                Position::Patch { image, index } => (String::new(), None, Some(image), place_of(index, self.config)),
            };
            let experts = rows.clone().map(|row| record.index[row] as usize).collect();
            let (reply, probs) = (self.placed + at >= self.reply, rows.map(probs_at).collect());
            tokens.push(RoutedToken { text, id, image, patch, reply, experts, probs });
        }
        self.placed += record.tokens;
        Ok(ReplyRouting { experts: record.experts, layers: (0..record.layers).collect(), tokens })
    }
}

/// Where embedding `index` of a picture lies; none for the class token.
fn place_of(index: usize, config: &LlavaConfig) -> Option<PatchPlace> {
    let index = match config.vision_feature_select_strategy {
        FeatureSelect::Default => index,
        FeatureSelect::Full => index.checked_sub(1)?,
    };
    let per_side = config.vision.image_size / config.vision.patch_size;
    Some(PatchPlace { index, row: index / per_side, column: index % per_side })
}

/// A token's own text, with the space in front of it. A part of a character and a token that is no text are as the
/// vocabulary spells them.
fn text_of(id: i64, tokenizer: &Tokenizer) -> Result<String> {
    let Some((id, spelling)) = u32::try_from(id).ok().and_then(|id| Some((id, tokenizer.id_to_token(id)?))) else {
        return Ok(String::new());
    };
    if tokenizer.is_special(&spelling) {
        return Ok(spelling);
    }
    // Decoders drop the first space of a text: the second of two tokens has it.
    let (once, twice) = (tokenizer.decode(&[id])?, tokenizer.decode(&[id, id])?);
    let text = twice.strip_prefix(&once).filter(|text| !text.is_empty() && !text.contains('\u{fffd}'));
    Ok(text.map_or(spelling, str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::tiny;

    /// 3 x 3 patches.
    fn config(select: &str) -> LlavaConfig {
        let config = json!({
            "model_type": "llava", "image_token_index": 60, "vision_feature_select_strategy": select,
            "text_config": { "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
                "num_attention_heads": 2, "vocab_size": 64 },
            "vision_config": { "model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 16,
                "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 25, "patch_size": 8 },
        });
        LlavaConfig::from_json(&config, None, None).expect("a sound config")
    }

    #[test]
    fn patches_are_counted_row_by_row_after_the_class_token() {
        let place = |index, row, column| Some(PatchPlace { index, row, column });
        let patches = config("default");
        assert_eq!(place_of(0, &patches), place(0, 0, 0));
        assert_eq!(place_of(5, &patches), place(5, 1, 2));
        assert_eq!(place_of(patches.image_seq_len() - 1, &patches), place(8, 2, 2));
        let with_class = config("full");
        assert_eq!(place_of(0, &with_class), None);
        assert_eq!(place_of(1, &with_class), place(0, 0, 0));
        assert_eq!(place_of(with_class.image_seq_len() - 1, &with_class), place(8, 2, 2));
    }

    #[test]
    fn a_token_has_its_own_text() {
        let tokenizer = tiny::tokenizer();
        let texts = ["<s>", "<0x0A>", "<0xE4>", "▁hi", "hi", "▁", "▁▁", "你"].map(|token| {
            let id = tokenizer.token_to_id(token).expect("in the vocabulary");
            text_of(i64::from(id), &tokenizer).expect("decodes")
        });
        assert_eq!(texts, ["<s>", "\n", "<0xE4>", " hi", "hi", " ", "  ", "你"]);
        for nothing in [999_999, -200] {
            assert_eq!(text_of(nothing, &tokenizer).expect("no error"), "");
        }
    }
}
