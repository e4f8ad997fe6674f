//! A trace as files for other programs.

use std::fmt::Write;

use mole_runtime::engine::{ReplyRouting, RoutedToken};

/// The object that `ask --routing` writes.
///
/// # Panics
/// Never: strings, numbers and lists always make JSON, in which a number that is none is null.
pub fn json(routing: &ReplyRouting) -> Vec<u8> {
    serde_json::to_vec(routing).expect("plain data")
}

/// A line a token and layer, as RFC 4180 has it (commas, CRLF, quotes doubled within quotes), in UTF-8.
///
/// | column | |
/// |---|---|
/// | `position` | of the token in the sequence, from 0 |
/// | `part` | `prompt`, `image` or `reply` |
/// | `image`, `row`, `column` | which picture, and which of its patches, from 0; empty for words, and the place for a class token |
/// | `id`, `text` | the token and its text; empty for patches |
/// | `layer` | the language model's, from 0 |
/// | `expert` | the likeliest, from 0 |
/// | `p0`, `p1`, ... | the probability of every expert |
pub fn csv(routing: &ReplyRouting) -> Vec<u8> {
    let mut out = String::from("position,part,image,row,column,id,text,layer,expert");
    (0..routing.experts).for_each(|expert| write(&mut out, format_args!(",p{expert}")));
    out.push_str("\r\n");
    let mut about = String::new();
    for (position, token) in routing.tokens.iter().enumerate() {
        about.clear();
        describe(&mut about, position, token);
        for (at, layer) in routing.layers.iter().enumerate() {
            let (Some(expert), Some(probs)) = (token.experts.get(at), token.probs.get(at)) else { continue };
            write(&mut out, format_args!("{about},{layer},{expert}"));
            probs.iter().for_each(|p| write(&mut out, format_args!(",{p}")));
            out.push_str("\r\n");
        }
    }
    out.into_bytes()
}

/// What is the same in every layer.
fn describe(out: &mut String, position: usize, token: &RoutedToken) {
    let part = match (token.image, token.reply) {
        (Some(_), _) => "image",
        (None, true) => "reply",
        (None, false) => "prompt",
    };
    let number = |n: Option<usize>| n.map_or(String::new(), |n| n.to_string());
    let (row, column) = (token.patch.map(|place| place.row), token.patch.map(|place| place.column));
    let id = token.id.map_or(String::new(), |id| id.to_string());
    let (image, row, column) = (number(token.image), number(row), number(column));
    write(out, format_args!("{position},{part},{image},{row},{column},{id},"));
    field(out, &token.text);
}

/// A text, in quotes where it could be taken for something else; spaces at its ends belong to it.
fn field(out: &mut String, text: &str) {
    let plain = !text.contains([',', '"', '\r', '\n']) && text.trim() == text;
    match plain {
        true => out.push_str(text),
        false => write(out, format_args!("\"{}\"", text.replace('"', "\"\""))),
    }
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::super::testing::{class_token, patch, reply, trace, word};
    use super::*;

    fn text(tokens: Vec<RoutedToken>, layers: usize) -> String {
        String::from_utf8(csv(&trace(2, layers, tokens).routing)).expect("UTF-8")
    }

    #[test]
    fn a_line_for_every_token_and_layer() {
        let tokens = vec![
            word("hi", &[1, 0], 2),
            class_token(0, &[0, 0], 2),
            patch(0, 1, 0, &[1, 1], 2),
            reply("a", &[0, 1], 2),
        ];
        let lines = [
            "position,part,image,row,column,id,text,layer,expert,p0,p1",
            "0,prompt,,,,5,hi,0,1,0.25,0.75",
            "0,prompt,,,,5,hi,1,0,0.75,0.25",
            "1,image,0,,,,,0,0,0.75,0.25",
            "1,image,0,,,,,1,0,0.75,0.25",
            "2,image,0,1,0,,,0,1,0.25,0.75",
            "2,image,0,1,0,,,1,1,0.25,0.75",
            "3,reply,,,,5,a,0,0,0.75,0.25",
            "3,reply,,,,5,a,1,1,0.25,0.75",
            "",
        ];
        assert_eq!(text(tokens, 2), lines.join("\r\n"));
    }

    #[test]
    fn odd_texts_are_quoted() {
        let odd = |it: &str| {
            let text = text(vec![word(it, &[0], 2)], 1);
            let line = text.split_once("\r\n").expect("a header").1.to_string();
            line.trim_start_matches("0,prompt,,,,5,").trim_end_matches(",0,0,0.75,0.25\r\n").to_string()
        };
        assert_eq!(odd("a,b"), "\"a,b\"");
        assert_eq!(odd("\""), "\"\"\"\"");
        assert_eq!(odd("\n"), "\"\n\"");
        assert_eq!(odd(" cat"), "\" cat\"");
        assert_eq!(odd("猫"), "猫");
        assert_eq!(odd(""), "");
    }

    #[test]
    fn nothing_is_a_header_alone() {
        assert_eq!(text(Vec::new(), 2), "position,part,image,row,column,id,text,layer,expert,p0,p1\r\n");
        let object: serde_json::Value = serde_json::from_slice(&json(&trace(2, 1, Vec::new()).routing)).expect("JSON");
        assert_eq!(object, serde_json::json!({ "experts": 2, "layers": [0], "tokens": [] }));
    }

    #[test]
    fn a_token_that_misses_a_layer_misses_its_line() {
        let lines = text(vec![word("a", &[1], 2)], 2);
        assert_eq!(lines.matches("\r\n").count(), 2);
    }
}
