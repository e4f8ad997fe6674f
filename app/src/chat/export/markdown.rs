//! A conversation for people.
//!
//! Every turn stands in a block quote, where a code fence that was never closed ends with the turn, and a heading is none
//! of the conversation's. HTML in a text is shown, not carried out: a comment that is never closed would swallow what
//! follows. Pictures are data URIs, so that the file shows them wherever it goes; they stand at the end, so that it can
//! be read as text too.

use std::fmt::Write;

use pulldown_cmark::{Event, Options, Parser};

use super::super::conversation::{Conversation, Ending, Outcome, Speaker, Turn};
use super::super::date::Moment;
use super::picture::{base64, media_type};
use crate::language::Language;

/// For people.
pub fn markdown(chat: &Conversation, language: Language) -> String {
    let title = match chat.shown_title() {
        title if title.trim().is_empty() => language.pick("Conversation", "对话").to_string(),
        title => title,
    };
    let mut page = Page { text: String::new(), pictures: String::new(), label: label(chat), count: 0, language };
    page.paragraph(&format!("# {}", inline(&title)));
    if let Some(moment) = Moment::of(chat.created_ms) {
        page.paragraph(&moment.for_people());
    }
    chat.turns.iter().for_each(|turn| page.turn(turn));
    page.text + &page.pictures
}

struct Page {
    text: String,
    /// What the pictures' labels stand for.
    pictures: String,
    label: String,
    count: usize,
    language: Language,
}

impl Page {
    fn paragraph(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push_str("\n\n");
    }

    fn turn(&mut self, turn: &Turn) {
        let speaker = match turn.speaker {
            Speaker::User => self.language.pick("You", "你"),
            Speaker::Assistant => self.language.pick("Assistant", "助手"),
        };
        self.paragraph(&format!("## {speaker}"));
        for picture in &turn.pictures {
            let name = inline(&picture.name);
            if picture.bytes.is_empty() {
                let gone = self.language.pick("picture that is gone:", "图片已丢失：");
                self.paragraph(&format!("*{gone} {name}*"));
                continue;
            }
            self.count += 1;
            let label = format!("{}-{}", self.label, self.count);
            self.paragraph(&format!("![{name}][{label}]"));
            let (media_type, bytes) = (media_type(&picture.bytes), base64(&picture.bytes));
            writeln!(self.pictures, "[{label}]: data:{media_type};base64,{bytes}").expect("memory takes it");
        }
        if !turn.text.trim().is_empty() {
            // A person's line ends are meant; Markdown's are not.
            let line_end = if turn.speaker == Speaker::User { "  \n" } else { "\n" };
            let text = harmless(&turn.text);
            let lines: Vec<&str> = text.trim_end().lines().collect();
            let quoted = lines.join(&format!("{line_end}> "));
            self.paragraph(&format!("> {quoted}"));
        }
        if let Some(outcome) = &turn.outcome {
            let outcome = self.outcome(outcome);
            self.paragraph(&format!("*{outcome}*"));
        }
    }

    fn outcome(&self, outcome: &Outcome) -> String {
        let language = self.language;
        let tokens = outcome.tokens;
        let mut parts =
            vec![inline(&outcome.model), language.pick(format!("{tokens} tokens"), format!("{tokens} 词元"))];
        if outcome.tokens_per_second > 0.0 {
            let unit = language.pick("tokens/s", "词元/秒");
            parts.push(format!("{:.1} {unit}", outcome.tokens_per_second));
        }
        parts.push(match &outcome.ending {
            Ending::Complete => language.pick("complete", "完整").to_string(),
            Ending::Stopped => language.pick("stopped", "已停止").to_string(),
            Ending::MaxTokens => language.pick("cut off: token limit", "截断：达到词元上限").to_string(),
            Ending::Context => language.pick("cut off: context full", "截断：上下文已满").to_string(),
            Ending::Failed(error) => language.pick("failed: ", "失败：").to_string() + &inline(error),
        });
        parts.retain(|part| !part.is_empty());
        parts.join(" · ")
    }
}

/// A label for pictures that stands in none of the texts: they cannot give it another meaning.
fn label(chat: &Conversation) -> String {
    let texts: Vec<String> = chat.turns.iter().map(|turn| turn.text.to_lowercase()).collect();
    let mut label = "picture".to_string();
    while texts.iter().any(|text| text.contains(&format!("{label}-"))) {
        label.push_str("-x");
    }
    label
}

/// One line, in which no character means anything to Markdown.
fn inline(text: &str) -> String {
    let mut line = String::new();
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if "\\`*_[]<>#&~|!$".contains(c) {
            line.push('\\');
        }
        line.push(printable(c));
    }
    line
}

/// Markdown without HTML, in lines that end in one way.
fn harmless(text: &str) -> String {
    let text: String = text.replace("\r\n", "\n").replace('\r', "\n").chars().map(printable).collect();
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        if matches!(event, Event::Html(_) | Event::InlineHtml(_)) && range.start >= done {
            result.push_str(&text[done..range.start]);
            // Not a backslash: one before it would undo it.
            result.push_str(&text[range.clone()].replace('<', "&lt;"));
            done = range.end;
        }
    }
    result.push_str(&text[done..]);
    result
}

/// NUL and its like have no place in a text file.
fn printable(c: char) -> char {
    if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests;
