//! A conversation to the prompt that the model was trained on.
//!
//! The checkpoint's own template is a Jinja program; a checkpoint without one is taken for Vicuna v1, as LLaVA-1.5 is.
//!
//! Templates expect a message's content in one of two forms: a list of parts, text and image, or a string in which the
//! pictures are already placed. Which one is found by rendering a probe, as reading the program would not tell. Where
//! a user wrote [`IMAGE`] in the text, the picture goes there; the others go before the text.

use minijinja::{Value, context};

use super::jinja::Template;
use super::prompt::IMAGE;
use crate::error::{Error, Result};

/// Vicuna v1 as a template, with the system prompt of LLaVA-1.5.
///
/// Source: LLaVA, `llava/conversation.py`, `conv_vicuna_v1`.
const VICUNA_V1: &str = "\
{%- if messages[0].role == 'system' -%}
    {{- messages[0].content }}
{%- else -%}
    {{- 'A chat between a curious user and an artificial intelligence assistant. ' }}
    {{- \"The assistant gives helpful, detailed, and polite answers to the user's questions.\" }}
{%- endif -%}
{{- ' ' }}
{%- for message in messages -%}
    {%- if message.role == 'user' -%}
        {{- 'USER: ' + message.content + ' ' }}
    {%- elif message.role == 'assistant' -%}
        {{- 'ASSISTANT: ' + message.content + eos_token }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- 'ASSISTANT:' }}
{%- endif -%}";

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions before the conversation.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that templates know.
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; may hold [`IMAGE`] where a picture belongs.
    pub text: String,
    /// How many pictures come with it.
    pub images: usize,
}

/// What a template expects as the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentFormat {
    /// A list of parts; the template writes [`IMAGE`] for an image part.
    ImageParts,
    /// A list of parts, of which it only reads the text.
    TextParts,
    /// A string.
    Text,
}

/// A chat template that has been found to work.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    template: Template,
    file: String,
    bos_token: Option<String>,
    eos_token: Option<String>,
    format: ContentFormat,
}

impl ChatTemplate {
    /// Reads the template of a checkpoint; see [`find_template`](super::find_template).
    ///
    /// - `file`: what an error calls the file it came from.
    /// - `bos_token`, `eos_token`: what the template writes for them.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] when it does not parse, does not end, or makes nothing of a question.
    pub fn from_source(source: &str, file: &str, bos_token: Option<&str>, eos_token: Option<&str>) -> Result<Self> {
        let refuse = |reason| Error::ChatTemplate { file: file.to_owned(), reason };
        let mut template = Self {
            template: Template::new(source).map_err(refuse)?,
            file: file.to_owned(),
            bos_token: bos_token.map(str::to_owned),
            eos_token: eos_token.map(str::to_owned),
            format: ContentFormat::Text,
        };
        template.format = template.probe()?;
        Ok(template)
    }

    /// The template of Vicuna v1, for a checkpoint that brings none.
    pub fn vicuna_v1(eos_token: &str) -> Self {
        let template = Self::from_source(VICUNA_V1, "Vicuna v1", None, Some(eos_token));
        template.expect("the built-in template renders")
    }

    /// The prompt for the answer to the last message.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] when the template refuses or fails; [`Error::Prompt`] when a message has more [`IMAGE`]
    /// than pictures.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        self.render_values(self.values(messages)?, true)
    }

    /// The conversation as it stands, without the prompt for another answer.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_history(&self, messages: &[Message]) -> Result<String> {
        self.render_values(self.values(messages)?, false)
    }

    /// What the template writes at the end of an answer, if it was given such a token.
    pub(super) fn eos_token(&self) -> Option<&str> {
        self.eos_token.as_deref()
    }

    /// An error about the template.
    pub(super) fn refuse(&self, reason: String) -> Error {
        Error::ChatTemplate { file: self.file.clone(), reason }
    }

    fn values(&self, messages: &[Message]) -> Result<Vec<Value>> {
        let messages = messages.iter().map(|message| {
            let placed = message.text.matches(IMAGE).count();
            if placed > message.images {
                return Err(Error::Prompt(format!(
                    "has {placed} {IMAGE}, but {} pictures come with it: attach a picture for each, or leave the word \
                     out",
                    message.images
                )));
            }
            Ok(context! { role => message.role.name(), content => self.content(message, message.images - placed) })
        });
        messages.collect()
    }

    /// The content of a message; `unplaced` pictures come before its text.
    fn content(&self, message: &Message, unplaced: usize) -> Value {
        let text_part = |text: &str| context! { type => "text", text };
        match self.format {
            ContentFormat::ImageParts => {
                let images = (0..unplaced).map(|_| context! { type => "image" });
                images.chain([text_part(&message.text)]).collect()
            }
            ContentFormat::TextParts => [text_part(&with_images(&message.text, unplaced))].into_iter().collect(),
            ContentFormat::Text => with_images(&message.text, unplaced).into(),
        }
    }

    fn render_values(&self, messages: Vec<Value>, add_generation_prompt: bool) -> Result<String> {
        let count = messages.len();
        let context = context! {
            messages,
            add_generation_prompt,
            bos_token => self.bos_token,
            eos_token => self.eos_token,
            tools => (),
            documents => (),
        };
        self.template.render(context, count).map_err(|reason| self.refuse(reason))
    }

    /// Finds the form of content that the template understands, by a question with a picture in each form.
    fn probe(&self) -> Result<ContentFormat> {
        const QUESTION: &str = "probe-question";
        // A key that no template reads: it shows up only where the list itself is printed.
        const LEAK: &str = "probe-leak";
        let ask = |content: Value| self.render_values(vec![context! { role => "user", content }], true);

        let text = context! { type => "text", text => QUESTION, leak => LEAK };
        let parts = ask([context! { type => "image" }, text].into_iter().collect());
        let parts = parts.ok().filter(|prompt| prompt.contains(QUESTION) && !prompt.contains(LEAK));
        if parts.as_ref().is_some_and(|prompt| prompt.contains(IMAGE)) {
            return Ok(ContentFormat::ImageParts);
        }
        match ask(QUESTION.into()) {
            Ok(prompt) if prompt.contains(QUESTION) => Ok(ContentFormat::Text),
            _ if parts.is_some() => Ok(ContentFormat::TextParts),
            Ok(_) => Err(self.refuse("leaves out the user's question: it is no chat template".to_owned())),
            Err(error) => Err(error),
        }
    }
}

/// The text behind as many pictures, a line each.
fn with_images(text: &str, images: usize) -> String {
    let mut result = format!("{IMAGE}\n").repeat(images);
    result.push_str(text);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template of llava-hf/llava-1.5-7b-hf.
    const LLAVA_HF: &str = "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() \
        + ': '}}{% endif %}{# Render all images first #}{% for content in message['content'] | selectattr('type', \
        'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}{# Render all text next #}{% if message['role'] != \
        'assistant' %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] \
        + ' '}}{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{% \
        generation %}{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}{% if \
        add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";

    const LLAMA_2: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + \
        message['content'].strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] \
        + eos_token }}{% else %}{{ raise_exception('Only user and assistant') }}{% endif %}{% endfor %}";

    fn message(role: Role, text: &str, images: usize) -> Message {
        Message { role, text: text.to_owned(), images }
    }

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate::from_source(source, "chat_template.jinja", Some("<s>"), Some("</s>")).unwrap()
    }

    #[test]
    fn vicuna_is_llavas_own_string() {
        let system = "A chat between a curious user and an artificial intelligence assistant. The assistant gives \
                      helpful, detailed, and polite answers to the user's questions.";
        let vicuna = ChatTemplate::vicuna_v1("</s>");
        let mut messages = vec![message(Role::User, "What is it?", 1)];
        assert_eq!(vicuna.render(&messages).unwrap(), format!("{system} USER: <image>\nWhat is it? ASSISTANT:"));
        messages.extend([message(Role::Assistant, "A cat.", 0), message(Role::User, "Sure?", 0)]);
        assert_eq!(
            vicuna.render(&messages).unwrap(),
            format!("{system} USER: <image>\nWhat is it? ASSISTANT: A cat.</s>USER: Sure? ASSISTANT:")
        );
        assert_eq!(
            vicuna.render_history(&messages[..2]).unwrap(),
            format!("{system} USER: <image>\nWhat is it? ASSISTANT: A cat.</s>")
        );
        messages.insert(0, message(Role::System, "Be brief.", 0));
        assert!(vicuna.render(&messages).unwrap().starts_with("Be brief. USER: <image>\nWhat"));
    }

    #[test]
    fn parts_go_to_templates_that_iterate_them() {
        let llava = template(LLAVA_HF);
        assert_eq!(llava.format, ContentFormat::ImageParts);
        let messages = [
            message(Role::System, "Be brief.", 0),
            message(Role::User, "What?", 2),
            message(Role::Assistant, "A cat.", 0),
            message(Role::User, "Sure?", 0),
        ];
        // Transformers 5.23 with Jinja 3.1: `apply_chat_template`.
        let expected = "Be brief. USER: <image>\n<image>\nWhat? ASSISTANT: A cat. USER: Sure? ASSISTANT:";
        assert_eq!(llava.render(&messages).unwrap(), expected);
        let history = "Be brief. USER: <image>\n<image>\nWhat? ASSISTANT: A cat. USER: Sure? ";
        assert_eq!(llava.render_history(&messages).unwrap(), history);
    }

    #[test]
    fn strings_go_to_templates_that_print_them() {
        let llama = template(LLAMA_2);
        assert_eq!(llama.format, ContentFormat::Text);
        let messages =
            [message(Role::User, "What? ", 1), message(Role::Assistant, "A cat.", 0), message(Role::User, "Sure?", 0)];
        let expected = "<s>[INST] <image>\nWhat? [/INST] A cat.</s>[INST] Sure? [/INST]";
        assert_eq!(llama.render(&messages).unwrap(), expected);
        let error = llama.render(&[message(Role::System, "x", 0)]).unwrap_err().to_string();
        assert!(error.starts_with("chat template of chat_template.jinja: ") && error.contains("Only user"), "{error}");
    }

    #[test]
    fn a_template_that_prints_whatever_it_gets_is_given_a_string() {
        let prints = template("{% for m in messages %}See <image>: {{ m.content }}{% endfor %}");
        assert_eq!(prints.format, ContentFormat::Text);
    }

    #[test]
    fn a_template_that_ignores_image_parts_gets_them_in_the_text() {
        let both = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content \
                    %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}";
        assert_eq!(template(both).format, ContentFormat::Text);
        let parts = both.replace("{{ m.content }}", "{{ raise_exception('a list, please') }}");
        assert_eq!(template(&parts).format, ContentFormat::TextParts);
        for source in [both, &parts] {
            assert_eq!(template(source).render(&[message(Role::User, "What?", 1)]).unwrap(), "<image>\nWhat?");
        }
    }

    #[test]
    fn a_picture_keeps_the_place_its_user_gave_it() {
        let messages = [message(Role::User, "Is <image> like the first?", 2)];
        assert_eq!(
            template(LLAVA_HF).render(&messages).unwrap(),
            "USER: <image>\nIs <image> like the first? ASSISTANT:"
        );
        let vicuna = ChatTemplate::vicuna_v1("</s>").render(&messages).unwrap();
        assert!(vicuna.ends_with("USER: <image>\nIs <image> like the first? ASSISTANT:"), "{vicuna}");
        let error = template(LLAVA_HF).render(&[message(Role::User, "<image> <image>", 1)]).unwrap_err();
        assert!(error.to_string().contains("has 2 <image>, but 1 pictures"), "{error}");
    }

    #[test]
    fn useless_templates_are_refused_when_they_are_read() {
        let refusal = |source: &str| {
            let error = ChatTemplate::from_source(source, "tokenizer_config.json", None, None).unwrap_err().to_string();
            assert!(error.starts_with("chat template of tokenizer_config.json: ") && !error.contains('\n'), "{error}");
            error
        };
        assert!(refusal("hello").contains("no chat template"));
        assert!(refusal("{{ messages").contains("syntax error"));
        assert!(
            refusal(
                "{% for m in messages %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}\
                         {% endfor %}{% endfor %}"
            )
            .contains("without end")
        );
        assert!(refusal("{{ messages[0].content }}{{ nothing() }}").contains("nothing"));
    }
}
