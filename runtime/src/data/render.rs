//! A sample to token ids, and which of them training learns.
//!
//! | rendering | text | learnt |
//! |---|---|---|
//! | caption (stage 1) | `<image>{caption}\n`, what the human says left out | all behind the picture |
//! | conversation | the chat template over all turns, tokenized whole | every token that begins in an answer, through the token that ends it |
//!
//! Source: LLaVA, `llava/train/train.py`, `preprocess_plain` and `preprocess_v1`.

use crate::error::Result;
use crate::text::{ChatTemplate, Conversation, IMAGE, ImageToken, Message, Role, Tokenizer};

use super::sample::Sample;

/// What text a sample becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendering {
    /// The picture and the first answer, its caption.
    Caption,
    /// All turns in the words of the chat template.
    Conversation,
}

/// A sample as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedSample {
    /// Each picture is one `image_token`.
    pub ids: Vec<i64>,
    /// For each of `ids`, whether training learns to write it; never the first, which nothing comes before.
    pub supervised: Vec<bool>,
    /// Names of the pictures, in the order of their tokens.
    pub images: Vec<String>,
    /// What stands for a picture among `ids`.
    pub image_token: ImageToken,
}

impl TokenizedSample {
    /// The positions it takes in the model, where a picture takes `patches_per_image`.
    pub fn expanded_len(&self, patches_per_image: usize) -> usize {
        self.ids.len() - self.images.len() + self.images.len() * patches_per_image
    }

    /// How many tokens training learns.
    pub fn supervised_tokens(&self) -> usize {
        self.supervised.iter().filter(|&&learnt| learnt).count()
    }

    /// Cuts the end off, so that `max_length` positions are enough.
    ///
    /// A picture is kept whole or not at all: where the cut would go through one, it goes before it.
    pub fn truncate(&mut self, max_length: usize, patches_per_image: usize) {
        let (mut positions, mut images) = (0, 0);
        for (at, &id) in self.ids.iter().enumerate() {
            let is_image = id == self.image_token.0;
            positions += if is_image { patches_per_image } else { 1 };
            if positions > max_length {
                self.ids.truncate(at);
                self.supervised.truncate(at);
                self.images.truncate(images);
                return;
            }
            images += usize::from(is_image);
        }
    }
}

/// Renders and tokenizes a sample, whatever its length.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) naming the sample when it has no answer to learn from, or when the template or
/// the tokenizer cannot be used with it.
pub fn render(
    sample: &Sample,
    rendering: Rendering,
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
    image_token: ImageToken,
) -> Result<TokenizedSample> {
    let said = |role| sample.turns.iter().filter(move |turn| turn.role == role).map(|turn| &turn.text);
    if said(Role::Assistant).all(|text| text.trim().is_empty()) {
        return Err(sample.error("has no supervised token: it needs a gpt turn that says something, or take it out"));
    }
    let conversation = match rendering {
        Rendering::Caption => {
            let pictures = IMAGE.repeat(sample.images.len());
            let caption = said(Role::Assistant).find(|text| !text.trim().is_empty()).expect("one says something");
            let text = format!("{pictures}{caption}\n");
            Conversation { answers: std::iter::once(pictures.len()..text.len()).collect(), text }
        }
        Rendering::Conversation => {
            let message =
                |role, text: &String| Message { role, text: text.clone(), images: text.matches(IMAGE).count() };
            let messages: Vec<Message> = sample.turns.iter().map(|turn| message(turn.role, &turn.text)).collect();
            template.render_with_answers(&messages).map_err(|error| sample.error(error))?
        }
    };
    let tokens = tokenizer.encode_prompt(&conversation.text, image_token).map_err(|error| sample.error(error))?;
    let in_answer = |start: usize| conversation.answers.iter().any(|answer| answer.contains(&start));
    let mut supervised: Vec<bool> = tokens.iter().map(|token| token.start.is_some_and(in_answer)).collect();
    supervised[..1.min(tokens.len())].fill(false);
    let ids: Vec<i64> = tokens.into_iter().map(|token| token.id).collect();
    let shown = ids.iter().filter(|&&id| id == image_token.0).count();
    if shown != sample.images.len() {
        return Err(sample.error(format!(
            "has {} pictures, but the chat template shows {shown}: use a template that leaves {IMAGE} in the text",
            sample.images.len()
        )));
    }
    Ok(TokenizedSample { ids, supervised, images: sample.images.clone(), image_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tiny;

    const TWO_TURNS: &str = r#"{"image": ["a.png", "b.png"], "conversations": [
        {"from": "human", "value": "hi <image> a"}, {"from": "gpt", "value": "hello"},
        {"from": "human", "value": "a"}, {"from": "gpt", "value": "hi"}]}"#;

    fn sample(json: &str) -> Sample {
        Sample::parse(json.as_bytes(), &"a.jsonl".into(), 3).unwrap()
    }

    fn rendered(json: &str, rendering: Rendering) -> TokenizedSample {
        let template = ChatTemplate::vicuna_v1("</s>");
        render(&sample(json), rendering, &template, &tiny::tokenizer(), ImageToken::LLAVA).unwrap()
    }

    /// The tokens that are learnt, as the vocabulary spells them; one that is not stands between runs.
    fn learnt(tokens: &TokenizedSample) -> Vec<String> {
        let tokenizer = tiny::tokenizer();
        let word = |id: i64| tokenizer.id_to_token(id.try_into().unwrap()).unwrap();
        let each = tokens.ids.iter().zip(&tokens.supervised);
        let mut runs: Vec<String> = each.map(|(&id, &learnt)| if learnt { word(id) } else { "|".into() }).collect();
        runs.dedup();
        runs
    }

    #[test]
    fn answers_and_their_ends_are_learnt() {
        let tokens = rendered(TWO_TURNS, Rendering::Conversation);
        assert_eq!(learnt(&tokens), ["|", "▁h", "el", "lo", "</s>", "|", "▁hi", "</s>"]);
        assert_eq!(tokens.supervised_tokens(), 6);
        assert_eq!((tokens.ids[0], tokens.supervised.len()), (1, tokens.ids.len()));
        assert_eq!(tokens.images, ["a.png", "b.png"]);
        assert_eq!(tokens.ids.iter().filter(|&&id| id == -200).count(), 2);
        assert_eq!(tokens.expanded_len(576), tokens.ids.len() + 2 * 575);
        // As one text, tokenized whole.
        let whole = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, \
                     detailed, and polite answers to the user's questions. USER: <image>\nhi <image> a ASSISTANT: \
                     hello</s>USER: a ASSISTANT: hi</s>";
        assert_eq!(tokens.ids, tiny::tokenizer().encode_with_images(whole, ImageToken::LLAVA).unwrap());
    }

    #[test]
    fn a_text_without_pictures_is_learnt_too() {
        let json = r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "hi"}]}"#;
        let tokens = rendered(json, Rendering::Conversation);
        assert_eq!(learnt(&tokens), ["|", "▁hi", "</s>"]);
        assert_eq!(tokens.expanded_len(576), tokens.ids.len());
        let tokens = rendered(json, Rendering::Caption);
        assert_eq!((tokens.ids[0], learnt(&tokens)), (1, ["|", "▁hi", "<0x0A>"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_caption_is_learnt_behind_its_picture() {
        let tokens = rendered(TWO_TURNS, Rendering::Caption);
        assert_eq!(tokens.ids[..3], [1, -200, -200]);
        assert_eq!(learnt(&tokens), ["|", "▁h", "el", "lo", "<0x0A>"]);
        let bytes = tiny::tokenizer().encode_plain("hello\n").unwrap();
        assert_eq!(tokens.ids[3..], bytes.into_iter().map(i64::from).collect::<Vec<_>>());
    }

    #[test]
    fn without_bos_the_first_token_is_not_learnt() {
        let mut file = tiny::value();
        file["post_processor"] = serde_json::Value::Null;
        let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap(), None).unwrap();
        let json = r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "hi a"}]}"#;
        let template = ChatTemplate::vicuna_v1("</s>");
        let tokens = render(&sample(json), Rendering::Caption, &template, &tokenizer, ImageToken::LLAVA).unwrap();
        assert_eq!(tokens.supervised, [false, true, true]);
    }

    #[test]
    fn a_sample_with_nothing_to_learn_is_named() {
        let template = ChatTemplate::vicuna_v1("</s>");
        for json in [
            r#"{"id": 1, "text": "a", "answer": "b"}"#,
            r#"{"conversations": [{"from": "human", "value": "a"}]}"#,
            r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": " \n"}]}"#,
        ] {
            for rendering in [Rendering::Caption, Rendering::Conversation] {
                let rendered = render(&sample(json), rendering, &template, &tiny::tokenizer(), ImageToken::LLAVA);
                let error = rendered.unwrap_err().to_string();
                assert!(error.starts_with("a.jsonl:3: has no supervised token"), "{error}");
            }
        }
    }

    #[test]
    fn a_template_that_hides_pictures_is_refused() {
        let source = "{% for m in messages %}{{ m.content.replace('<image>', '') }};{% endfor %}";
        let template = ChatTemplate::from_source(source, "chat_template.jinja", None, Some("</s>")).unwrap();
        let rendered =
            render(&sample(TWO_TURNS), Rendering::Conversation, &template, &tiny::tokenizer(), ImageToken::LLAVA);
        let error = rendered.unwrap_err().to_string();
        assert!(error.starts_with("a.jsonl:3: has 2 pictures, but the chat template shows 0"), "{error}");
    }

    #[test]
    fn a_cut_never_goes_through_a_picture() {
        let whole = TokenizedSample {
            ids: vec![1, 7, -200, 8, -200, 9],
            supervised: vec![false, false, false, true, false, true],
            images: vec!["a".into(), "b".into()],
            image_token: ImageToken::LLAVA,
        };
        // 1, 1, 3, 1, 3, 1: 10 positions.
        assert_eq!(whole.expanded_len(3), 10);
        for (max_length, kept, images) in [
            (99, 6, 2),
            (10, 6, 2),
            (9, 5, 2),
            (8, 4, 1),
            (7, 4, 1),
            (6, 4, 1),
            (5, 3, 1),
            (4, 2, 0),
            (2, 2, 0),
            (0, 0, 0),
        ] {
            let mut cut = whole.clone();
            cut.truncate(max_length, 3);
            assert_eq!((cut.ids.len(), cut.images.len()), (kept, images), "{max_length}");
            assert_eq!(cut.ids, whole.ids[..kept]);
            assert_eq!(cut.supervised, whole.supervised[..kept]);
            assert!(cut.expanded_len(3) <= max_length);
        }
    }
}
