//! How wide a text will be, guessed: no font is at hand while a picture is drawn, and its viewer picks one.
//!
//! The guess follows DejaVu Sans, rounded up. The other sans-serif fonts that browsers take are narrower, so what is
//! placed by it has room in all of them.

use super::canvas::shortened;

/// The width in pixels of one line at a font size in pixels.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// A name, shortened until it has room in so many pixels; empty where not even an ellipsis has.
pub fn fitted(name: &str, room: f64, size: f64) -> String {
    let shorter = (1..=name.chars().count()).rev().map(|chars| shortened(name, chars));
    shorter.into_iter().find(|text| text_width(text, size) <= room).unwrap_or_default()
}

/// The advance of a character by the size of its font.
fn em(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' => 0.3,
        ' ' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' | '!' => 0.42,
        'c' | 's' | 'z' | '_' | '"' => 0.56,
        'm' | 'M' | 'W' | '@' | '%' | '…' | '—' => 1.0,
        'w' | '+' | '=' | '<' | '>' | '~' | '×' | '±' => 0.86,
        'A'..='Z' => 0.79,
        // Hiragana, Chinese and all beyond are as wide as high.
        '\u{2e80}'.. => 1.05,
        _ => 0.64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_their_room() {
        for name in ["wwwwwwwwwwwwwwwwwwwwwwww", "illillillillillillillillillillillillilli", "图表图表图表图表图表图表"]
        {
            let text = fitted(name, 100.0, 13.0);
            assert!(text.ends_with('…') && text_width(&text, 13.0) <= 100.0, "{text}");
            assert!(text_width(&text, 13.0) > 80.0, "{text} wastes its room");
        }
        assert_eq!(fitted("rank 4", 100.0, 13.0), "rank 4");
        assert_eq!(fitted("rank 4", 5.0, 13.0), "");
    }
}
