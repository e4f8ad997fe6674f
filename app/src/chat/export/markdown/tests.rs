//! What is exported, read back by a Markdown parser.

use std::sync::Arc;

use mole_runtime::engine::Picture;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::super::super::conversation::{Conversation, Ending, Outcome, Speaker, Turn};
use super::{Language, harmless, inline, markdown};

fn turn(id: u64, text: &str) -> Turn {
    let speaker = if id.is_multiple_of(2) { Speaker::User } else { Speaker::Assistant };
    Turn { id, speaker, text: text.into(), pictures: Vec::new(), outcome: None }
}

fn chat(texts: &[&str]) -> Conversation {
    let turns = texts.iter().zip(0..).map(|(text, id)| turn(id, text)).collect();
    Conversation { id: 1, created_ms: 1_795_711_430_000, title: "A title".into(), turns, taken: 0 }
}

fn outcome(ending: Ending) -> Option<Outcome> {
    Some(Outcome { model: "demo_model".into(), ending, prompt_tokens: 600, tokens: 12, tokens_per_second: 3.44 })
}

#[test]
fn a_conversation_reads_well() {
    let mut chat = chat(&["What is this?\nAnd that?", "A **cat**.\n\n- one\n- two"]);
    chat.turns[0].pictures = vec![
        Picture { name: "my [cat].png".into(), bytes: Arc::from(*b"\x89PNG\r\n\x1a\n") },
        Picture { name: "gone.jpg".into(), bytes: Arc::default() },
    ];
    chat.turns[1].outcome = outcome(Ending::Complete);
    let expected = "\
# A title

2026-11-26 16:43 UTC

## You

![my \\[cat\\].png][picture-1]

*picture that is gone: gone.jpg*

> What is this?  
> And that?

## Assistant

> A **cat**.
> 
> - one
> - two

*demo\\_model · 12 tokens · 3.4 tokens/s · complete*

[picture-1]: data:image/png;base64,iVBORw0KGgo=
";
    assert_eq!(markdown(&chat, Language::English), expected);
    let chinese = markdown(&chat, Language::Chinese);
    for words in ["## 你", "## 助手", "*图片已丢失： gone.jpg*", "12 词元 · 3.4 词元/秒 · 完整"] {
        assert!(chinese.contains(words), "{words}: {chinese}");
    }
}

#[test]
fn how_an_answer_ended_is_said() {
    let endings = [
        (Ending::Stopped, "stopped*"),
        (Ending::MaxTokens, "token limit*"),
        (Ending::Context, "context full*"),
        (Ending::Failed("no *memory*\nleft".into()), "failed: no \\*memory\\* left*"),
    ];
    for (ending, words) in endings {
        let mut chat = chat(&["q", "a"]);
        chat.turns[1].outcome = outcome(ending);
        let text = markdown(&chat, Language::English);
        assert!(text.trim_end().ends_with(words), "{text}");
    }
}

#[test]
fn an_untitled_conversation_of_an_unknown_day() {
    assert_eq!(markdown(&Conversation::new(1, 0), Language::English), "# Conversation\n\n");
}

/// Level-1 and level-2 headings outside of quotes, pictures' addresses, and whether there is any HTML.
fn structure(text: &str) -> (Vec<String>, Vec<String>, bool) {
    let (mut headings, mut pictures, mut html, mut depth, mut inside) = (Vec::new(), Vec::new(), false, 0, false);
    for event in Parser::new_ext(text, Options::all()) {
        match event {
            Event::Start(Tag::BlockQuote(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_)) => depth -= 1,
            Event::Start(Tag::Heading { level: HeadingLevel::H1 | HeadingLevel::H2, .. }) if depth == 0 => {
                inside = true;
                headings.push(String::new());
            }
            Event::End(TagEnd::Heading(_)) => inside = false,
            Event::Text(words) if inside => headings.last_mut().expect("one was begun").push_str(&words),
            Event::Start(Tag::Image { dest_url, .. }) => pictures.push(dest_url.to_string()),
            Event::Html(_) | Event::InlineHtml(_) => html = true,
            _ => {}
        }
    }
    (headings, pictures, html)
}

#[test]
fn no_text_breaks_out_of_its_turn() {
    let nasty = [
        "```\nnever closed",
        "~~~~ rust\n```\n",
        "# You\n## Assistant\n===\n---",
        "lone\rreturn\r# You",
        "<!-- never closed",
        "<script>\nalert(1)\n\n</script>",
        "</blockquote></div>\n\n</details>",
        "a <b>bold</b> `<i>` word",
        "- ```\n  code\n  ```\n<!-- x",
        "1.  ~~~\n    <u>\n    ~~~\n\n<div>\n*x*\n",
        "\0\u{1b}[2J\u{7}",
        "[picture-1]: https://example.com/other.png",
        "<div>\\<b>\n<!-- \\<!-- x",
        "[ picture-1 ]: https://example.com/other.png",
        "[PICTURE-X-1]: <https://example.com/other.png>",
        "> quoted\n>> twice\nlazy",
        "    indented\n\n\ttabbed",
        "| a | b |\n|---|---|\n| `x | y` | <!-- |",
        "&#60;b&#62; &lt;i&gt;",
        "$$\n<b>\n$$",
        "text\n\n\n",
        "<https://example.com>",
    ];
    for first in nasty {
        for second in nasty {
            let mut chat = chat(&[first, second, "the end"]);
            chat.title = first.into();
            let bytes: Arc<[u8]> = Arc::from(*b"\x89PNG\r\n\x1a\n");
            chat.turns[2].pictures = vec![Picture { name: second.into(), bytes }];
            let text = markdown(&chat, Language::English);
            assert!(!text.chars().any(|c| c.is_control() && !"\n\t".contains(c)), "{text:?}");
            let (headings, pictures, html) = structure(&text);
            assert_eq!(headings[1..], ["You", "Assistant", "You"], "{text}");
            assert_eq!(pictures, ["data:image/png;base64,iVBORw0KGgo="], "{text}");
            assert!(!html, "{text}");
        }
    }
}

#[test]
fn only_html_is_escaped() {
    let same = [
        "`Vec<u8>` and ``<b> ` ``",
        "```html\n<div>\n</div>\n```",
        "1 < 2 and 3 > 2",
        "1. ```\n   <b>\n   ```\n2. two",
        "<https://example.com>",
    ];
    for text in same {
        assert_eq!(harmless(text), text);
    }
    assert_eq!(harmless("Vec<u8> is `Vec<u8>`"), "Vec&lt;u8> is `Vec<u8>`");
    assert_eq!(harmless("<div>\n<p>x</p>\n</div>"), "&lt;div>\n&lt;p>x&lt;/p>\n&lt;/div>");
}

#[test]
fn lines_end_in_one_way() {
    assert_eq!(harmless("a\rb\r\nc\nd"), "a\nb\nc\nd");
}

#[test]
fn a_line_of_plain_words() {
    assert_eq!(inline("a\n# b  *c*\0"), "a \\# b \\*c\\*\u{fffd}");
}
