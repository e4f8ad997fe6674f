//! What a source file may name.

use super::code;
use super::{MAX_LINES, MODULES, RESERVED, Violation};

/// A file that is too long.
pub fn length(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    let rule = || format!("has {lines} lines, more than {MAX_LINES}: split it by concept");
    (lines > MAX_LINES).then(|| Violation { path: path.to_string(), line: MAX_LINES + 1, rule: rule() })
}

/// A Rust file.
pub fn scan(path: &str, text: &str) -> Vec<Violation> {
    let code = code::only(text);
    let tokens = code::tokens(&code);
    let mut violations: Vec<Violation> = length(path, text).into_iter().collect();
    let mut add = |line, rule: String| violations.push(Violation { path: path.to_string(), line, rule });
    for &(line, token) in &tokens {
        for reserved in RESERVED.iter().filter(|reserved| reserved.names.contains(&token)) {
            if path.starts_with(reserved.within) && !reserved.except.iter().any(|place| path.starts_with(place)) {
                add(line, format!("names {token}: {}", reserved.rule));
            }
        }
    }
    let Some(module) = path.strip_prefix("runtime/src/").map(module_path).filter(|module| !module.is_empty()) else {
        return violations;
    };
    match MODULES.iter().find(|(name, _)| *name == module[0]) {
        None => add(1, format!("the module {} has no row in MODULES", module[0])),
        Some((name, allowed)) => {
            for (line, used) in uses(&tokens, module.len()) {
                if used != *name && !allowed.contains(&used) {
                    add(line, format!("{name} must not use {used}"));
                }
            }
        }
    }
    violations
}

/// `model/config/clip.rs` is the module model, config, clip; `lib.rs` is the root.
fn module_path(file: &str) -> Vec<&str> {
    let path = file.trim_end_matches(".rs");
    path.split('/').filter(|part| !["lib", "mod"].contains(part)).collect()
}

/// The top-level modules that tokens refer to, through `crate::` or through enough `super::` to reach the root.
fn uses<'a>(tokens: &[(usize, &'a str)], depth: usize) -> Vec<(usize, &'a str)> {
    let token = |index: usize| tokens.get(index).map_or("", |&(_, token)| token);
    let mut found = Vec::new();
    for start in 0..tokens.len() {
        let from_root = match token(start) {
            "crate" => true,
            // In a nested `mod tests` one more is needed; a name of the root's is rarely another module's as well.
            "super" => (0..depth).all(|level| token(start + 2 * level) == "super"),
            _ => false,
        };
        let first = start + 2 * if token(start) == "crate" { 1 } else { depth };
        if !from_root || token(first - 1) != "::" {
            continue;
        }
        if token(first) != "{" {
            found.extend(tokens.get(first).map(|&(line, name)| (line, top_level(name))));
            continue;
        }
        // A group: what follows its brace or one of its own commas.
        let mut nested = 0;
        for index in first..tokens.len() {
            match token(index) {
                "{" => nested += 1,
                "}" => nested -= 1,
                _ => {}
            }
            if nested == 0 {
                break;
            }
            if nested == 1 && ["{", ","].contains(&token(index)) && token(index + 1) != "}" {
                found.push((tokens[index + 1].0, top_level(token(index + 1))));
            }
        }
    }
    found.retain(|(_, used)| MODULES.iter().any(|(name, _)| name == used));
    found
}

/// `crate::Error` and `crate::Result` are re-exports of `error`.
fn top_level(name: &str) -> &str {
    if ["Error", "Result"].contains(&name) { "error" } else { name }
}
