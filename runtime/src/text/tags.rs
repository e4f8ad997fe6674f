//! The tags of a Jinja template, found without parsing it.
//!
//! For two things that have to happen before the parser sees the source. The parser, and what it builds, recurse once
//! an operator: a long enough expression would overflow the stack and end the process. And transformers has a tag of
//! its own, `{% generation %}`, which the parser does not know.

use std::ops::Range;

/// Most bytes of a tag outside of strings and blanks; real ones stay below 300. At some 3000 operators a stack of one
/// megabyte, as a page has, overflows.
const MAX_CODE: usize = 1000;

/// Most `elif` in a template, which nest as well; real templates have some 20. At 700 the stack overflows.
const MAX_ELIF: usize = 150;

/// The inside of `{{ }}` or `{% %}`.
struct Tag {
    /// Where it is in the source.
    at: Range<usize>,
    /// Its bytes outside of strings and blanks.
    code: usize,
}

/// Refuses a template that would overflow the stack.
pub(super) fn check(source: &str) -> Result<(), String> {
    let tags = tags(source);
    if let Some(tag) = tags.iter().find(|tag| tag.code > MAX_CODE) {
        let head: String = source[tag.at.clone()].trim().chars().take(40).collect();
        return Err(format!("has an expression of {} characters, at most {MAX_CODE} are read: {head}...", tag.code));
    }
    let elifs = tags.iter().filter(|tag| word(&source[tag.at.clone()]).starts_with("elif")).count();
    if elifs > MAX_ELIF {
        return Err(format!("has {elifs} elif, at most {MAX_ELIF} are read"));
    }
    Ok(())
}

/// Replaces `{% generation %}`, which marks answers for training, by an `if` that is always taken.
///
/// The tag keeps its dashes and its place, so the whitespace around it is treated as before.
pub(super) fn without_generation(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut copied = 0;
    for Tag { at, .. } in tags(source) {
        let inner = &source[at.clone()];
        let replacement = match (source.as_bytes()[at.start - 1], word(inner)) {
            (b'%', "generation") => "if true",
            (b'%', "endgeneration") => "endif",
            _ => continue,
        };
        result.push_str(&source[copied..at.start]);
        result.push_str(&inner.replacen(word(inner), replacement, 1));
        copied = at.end;
    }
    result.push_str(&source[copied..]);
    result
}

/// The inside of a tag without blanks and dashes.
fn word(inner: &str) -> &str {
    inner.trim_matches(|c: char| c.is_ascii_whitespace() || c == '-' || c == '+')
}

/// Finds the tags where the parser will find them: not in comments, nor in raw blocks.
fn tags(source: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    // As in the parser, brackets left open keep all that follows inside of the tag.
    let mut open_brackets = 0;
    let mut at = 0;
    while let Some(offset) = source[at..].find('{') {
        let start = at + offset + 2;
        at = match source.as_bytes().get(start - 1) {
            Some(b'#') => source[start..].find("#}").map_or(source.len(), |length| start + length + 2),
            Some(&kind @ (b'{' | b'%')) => {
                let close: &[u8] = if kind == b'{' { b"}}" } else { b"%}" };
                let (end, code) = code_until(source, start, close, &mut open_brackets);
                if kind == b'%' && word(&source[start..end]) == "raw" {
                    end_of_raw(source, end)
                } else {
                    tags.push(Tag { at: start..end, code });
                    (end + 2).min(source.len())
                }
            }
            _ => start - 1,
        };
    }
    tags
}

/// Where `close` stands outside of strings and brackets, or the end of the source; and the bytes of code before it.
fn code_until(source: &str, start: usize, close: &[u8], open_brackets: &mut isize) -> (usize, usize) {
    let bytes = source.as_bytes();
    let (mut code, mut quote, mut escaped) = (0, None, false);
    for at in start..bytes.len() {
        match (bytes[at], quote) {
            _ if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (byte, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => {}
            _ if *open_brackets == 0 && bytes[at..].starts_with(close) => return (at, code),
            (byte @ (b'\'' | b'"'), None) => quote = Some(byte),
            (byte, None) => {
                match byte {
                    b'(' | b'[' | b'{' => *open_brackets += 1,
                    b')' | b']' | b'}' => *open_brackets -= 1,
                    _ => {}
                }
                code += usize::from(!byte.is_ascii_whitespace());
            }
        }
    }
    (source.len(), code)
}

/// Where `{% endraw %}` begins, or the end of the source.
fn end_of_raw(source: &str, mut at: usize) -> usize {
    while let Some(offset) = source[at..].find("{%") {
        at += offset + 2;
        if source[at..].find("%}").is_some_and(|length| word(&source[at..at + length]) == "endraw") {
            return at - 2;
        }
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(source: &str) -> Vec<&str> {
        tags(source).into_iter().map(|tag| &source[tag.at]).collect()
    }

    #[test]
    fn tags_are_found_where_the_parser_finds_them() {
        let source =
            "{ {{ a }} {# {{ b }} #} {%- if '%}' in \"\\\"%}\" -%}{{ {'x': {'y': 1}} }}é{%raw%}{{ c }}{%-endraw%}{% d";
        let expected = [" a ", "- if '%}' in \"\\\"%}\" -", " {'x': {'y': 1}} ", "-endraw", " d"];
        assert_eq!(inner(source), expected);
        assert_eq!(inner("{{"), [""]);
        assert_eq!(inner("{"), [""; 0]);
        assert_eq!(inner("{% raw %}{{ a"), [""; 0]);
        // The bracket stays open, so the rest is still code.
        assert_eq!(inner("{{ ( }} ---- {{ 1 ) }}x"), [" ( }} ---- {{ 1 ) "]);
    }

    #[test]
    fn code_is_counted_without_strings_and_blanks() {
        assert_eq!(tags("{{ a + 'long }} \\' text' }}")[0].code, 2);
        let long = format!("{{{{ '{}' }}}}", "a".repeat(5000));
        assert!(check(&long).is_ok());
        assert!(check(&format!("{{{{ 1{} }}}}", " + 1".repeat(499))).is_ok());
        assert!(check(&format!("{{{{ 1{} }}}}", " + 1".repeat(500))).unwrap_err().contains("of 1001 characters"));
        assert!(check(&format!("{{% if a %}}{}", "{%- elif b %}".repeat(151))).unwrap_err().contains("151 elif"));
    }

    #[test]
    fn generation_tags_keep_their_whitespace_control() {
        let source = "a{% generation %}b{%- endgeneration -%}c{%+generation%}{{ 'x' }}{% endgeneration +%}";
        let expected = "a{% if true %}b{%- endif -%}c{%+if true%}{{ 'x' }}{% endif +%}";
        assert_eq!(without_generation(source), expected);
        assert_eq!(without_generation("{{ generation }}é"), "{{ generation }}é");
        assert_eq!(without_generation("{% set generation = 1 %}{%"), "{% set generation = 1 %}{%");
    }
}
