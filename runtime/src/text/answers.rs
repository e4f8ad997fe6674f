//! A complete conversation as one text, and where in it the answers are: what training learns from.
//!
//! A template does not say which of its text the model is to write. It is found by rendering: the prompt for an answer
//! ends where the answer begins, and the conversation up to the answer ends where it ends. What the template writes
//! behind an answer is the model's as far as the token that ends it. Where a template writes no such token, as that of
//! llava-hf, one is put behind the last answer; otherwise a model would forget how to stop.

use std::ops::Range;

use super::{ChatTemplate, Message, Role};
use crate::error::Result;

/// A conversation as it is read in training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// All of it, as the template writes it.
    pub text: String,
    /// The bytes that the model is to write: each answer from behind its prompt through the token that ends it.
    pub answers: Vec<Range<usize>>,
}

impl ChatTemplate {
    /// The whole conversation and the places of its answers.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`], and [`Error::ChatTemplate`](crate::Error::ChatTemplate) when the template shows the
    /// beginning of a conversation differently once it goes on, so that the answers have no place.
    pub fn render_with_answers(&self, messages: &[Message]) -> Result<Conversation> {
        let mut text = self.render_history(messages)?;
        let mut answers = Vec::new();
        for (at, message) in messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant) {
            let is_last = at + 1 == messages.len();
            let start = self.length_in(&text, self.render(&messages[..at])?, at)?;
            let end =
                if is_last { text.len() } else { self.length_in(&text, self.render_history(&messages[..=at])?, at)? };
            if end <= start {
                return Err(self.refuse(format!("leaves out message {}, an answer: it cannot be trained with", at + 1)));
            }
            let written = &text[start..end];
            let said = message.text.trim();
            let behind = written.find(said).map_or(0, |found| found + said.len());
            let eos = self.eos_token().filter(|eos| !eos.is_empty());
            let ending = eos.and_then(|eos| Some(behind + written[behind..].find(eos)? + eos.len()));
            let mut end = start + ending.unwrap_or(written.trim_end().len());
            if let Some(eos) = eos
                && is_last
                && ending.is_none()
                && written[behind..].trim().is_empty()
            {
                text.truncate(end);
                text.push_str(eos);
                end = text.len();
            }
            answers.push(start..end);
        }
        Ok(Conversation { text, answers })
    }

    /// The length of what `text` must begin with.
    fn length_in(&self, text: &str, beginning: String, at: usize) -> Result<usize> {
        if !text.starts_with(&beginning) {
            return Err(self.refuse(format!(
                "shows what comes before and with message {} differently once the conversation goes on, so the answers \
                 in it cannot be found: train with a template that only appends",
                at + 1
            )));
        }
        Ok(beginning.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template of llava-hf/llava-1.5-7b-hf for text.
    const LLAVA_HF: &str = "{% for m in messages %}{{ m.role.upper() + ': ' + m.content + ' ' }}{% endfor %}\
        {% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";

    const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\
        {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

    const LLAMA_2: &str = "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() \
        + ' [/INST]' }}{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

    fn messages(turns: &[&str]) -> Vec<Message> {
        let role = |at| if at % 2 == 0 { Role::User } else { Role::Assistant };
        turns.iter().enumerate().map(|(at, &text)| Message { role: role(at), text: text.into(), images: 0 }).collect()
    }

    fn template(source: &str, eos: &str) -> ChatTemplate {
        ChatTemplate::from_source(source, "chat_template.jinja", Some("<s>"), Some(eos)).unwrap()
    }

    fn answers(template: &ChatTemplate, turns: &[&str]) -> (String, Vec<String>) {
        let Conversation { text, answers } = template.render_with_answers(&messages(turns)).unwrap();
        let answers = answers.into_iter().map(|range| text[range].to_owned()).collect();
        (text, answers)
    }

    #[test]
    fn vicunas_answers_end_with_eos() {
        let (text, found) = answers(&ChatTemplate::vicuna_v1("</s>"), &["Q", "A cat.", "Sure?", "Yes"]);
        assert!(text.ends_with("questions. USER: Q ASSISTANT: A cat.</s>USER: Sure? ASSISTANT: Yes</s>"), "{text}");
        assert_eq!(found, [" A cat.</s>", " Yes</s>"]);
        // The words of the template, said by somebody.
        let (_, found) = answers(&ChatTemplate::vicuna_v1("</s>"), &["ASSISTANT: x</s>", "USER: </s> b", "", "c"]);
        assert_eq!(found, [" USER: </s> b</s>", " c</s>"]);
    }

    #[test]
    fn a_question_at_the_end_is_no_answer() {
        let (text, found) = answers(&ChatTemplate::vicuna_v1("</s>"), &["Q", "A", "And?"]);
        assert!(text.ends_with("A</s>USER: And? "), "{text}");
        assert_eq!(found, [" A</s>"]);
        assert!(answers(&ChatTemplate::vicuna_v1("</s>"), &["Q"]).1.is_empty());
    }

    #[test]
    fn a_template_without_eos_gets_one_behind_the_last_answer() {
        let (text, found) = answers(&template(LLAVA_HF, "</s>"), &["Q", "A cat.", "Sure?", "Yes"]);
        assert_eq!(text, "USER: Q ASSISTANT: A cat. USER: Sure? ASSISTANT: Yes</s>");
        assert_eq!(found, [" A cat.", " Yes</s>"]);
    }

    #[test]
    fn other_templates_end_answers_their_way() {
        let (text, found) = answers(&template(CHATML, "<|im_end|>"), &["Q", "A", "R", "B"]);
        assert_eq!(found, ["A<|im_end|>", "B<|im_end|>"]);
        assert!(text.ends_with("B<|im_end|>\n"));
        // Its turns end with another token than texts do: that one stays the ending, and no second is added.
        let (_, found) = answers(&template(CHATML, "</s>"), &["Q", "A", "R", "B"]);
        assert_eq!(found, ["A<|im_end|>", "B<|im_end|>"]);
        let (text, found) = answers(&template(LLAMA_2, "</s>"), &["Q", " A ", "R", "B"]);
        assert_eq!(text, "<s>[INST] Q [/INST] A </s><s>[INST] R [/INST] B </s>");
        assert_eq!(found, [" A </s>", " B </s>"]);
    }

    #[test]
    fn a_template_that_changes_its_mind_is_refused() {
        let refusal = |source: &str| {
            let turns = messages(&["Q", "A", "R", "B"]);
            template(source, "</s>").render_with_answers(&turns).unwrap_err().to_string()
        };
        let counts = "{{ messages | length }}{% for m in messages %}{{ m.role + m.content }}{% endfor %}";
        let error = refusal(counts);
        assert!(error.contains("message 2 differently") && error.contains("only appends"), "{error}");
        let only_last = "{% for m in messages %}{{ m.role + m.content }}{% if loop.last %}{{ eos_token }}{% endif %}\
                         {% endfor %}";
        assert!(refusal(only_last).contains("message 2 differently"));
        let deaf = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
        assert!(refusal(deaf).contains("leaves out message 2"));
    }
}
