//! Rust's text as words, without what is no code.

/// Words, `::` and single punctuation marks, with their lines.
pub fn tokens(code: &str) -> Vec<(usize, &str)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (number, mut rest) in code.lines().enumerate() {
        while let Some(first) = rest.chars().next() {
            let len = match first {
                _ if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                found.push((number + 1, &rest[..len]));
            }
            rest = &rest[len..];
        }
    }
    found
}

/// The text without comments, strings and characters; lines stay where they are.
pub fn only(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let len = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            'r' | 'b' if !inside_word && literal_start(rest).is_some() => string(rest),
            '"' => string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if len == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        // A space keeps words apart, the line ends keep the count.
        code.push(' ');
        code.extend(rest[..len].chars().filter(|&c| c == '\n'));
        rest = &rest[len..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut open, mut at) = (1, 2);
    while open > 0 && at < text.len() {
        let bytes = &text.as_bytes()[at..];
        open = open + usize::from(bytes.starts_with(b"/*")) - usize::from(bytes.starts_with(b"*/"));
        at += if bytes.starts_with(b"/*") || bytes.starts_with(b"*/") { 2 } else { 1 };
    }
    at
}

/// Where a string literal that starts here has its opening quote, and how many `#` close it (`None`: escapes count).
fn literal_start(text: &str) -> Option<(usize, Option<usize>)> {
    let prefix = text.len() - text.trim_start_matches(['b', 'r']).len();
    let hashes = text[prefix..].len() - text[prefix..].trim_start_matches('#').len();
    let raw = text[..prefix].contains('r');
    let opens = prefix <= 2 && text[prefix + hashes..].starts_with('"') && (raw || hashes == 0);
    opens.then_some((prefix + hashes, raw.then_some(hashes)))
}

fn string(text: &str) -> usize {
    let (quote, raw) = literal_start(text).expect("the caller looked");
    let inside = &text[quote + 1..];
    if let Some(hashes) = raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return inside.find(&end).map_or(text.len(), |at| quote + 1 + at + end.len());
    }
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return quote + 2 + at,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; 0 for the quote of a lifetime.
fn character(text: &str) -> usize {
    let inside: Vec<char> = text.chars().skip(1).take(12).collect();
    let end = match inside.first() {
        Some('\\') => inside.iter().skip(2).position(|&c| c == '\'').map(|at| at + 2),
        _ => (inside.get(1) == Some(&'\'')).then_some(1),
    };
    end.map_or(0, |end| 2 + inside[..end].iter().map(|c| c.len_utf8()).sum::<usize>())
}
