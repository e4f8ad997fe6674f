//! What a crate may depend on.

use super::{CRATES, RESERVED, Violation};

/// The dependencies that a manifest lists, in any of its sections.
pub fn scan(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut add = |line, rule| violations.push(Violation { path: path.to_string(), line, rule });
    let (mut section, mut row) = (String::new(), None);
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        let mut dependency = None;
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_string();
            // `[dependencies.name]`
            dependency = section.rsplit_once("dependencies.").map(|(_, name)| name.to_string());
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            if section == "package" && key.trim() == "name" {
                let package = value.trim().trim_matches('"').to_string();
                row = CRATES.iter().find(|(name, _)| *name == package);
                if row.is_none() {
                    add(number, format!("the crate {package} has no row in CRATES"));
                }
            }
            if section.ends_with("dependencies") {
                let renamed = value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
                let key = key.trim().split('.').next().expect("never empty");
                dependency = Some(renamed.unwrap_or(key).to_string());
            }
        }
        let Some(dependency) = dependency.map(|name| name.trim_matches('"').to_string()) else { continue };
        let ours = CRATES.iter().any(|(name, _)| *name == dependency);
        if let Some((name, _)) = row.filter(|(_, allowed)| ours && !allowed.contains(&&*dependency)) {
            add(number, format!("{name} must not depend on {dependency}"));
        }
        let name = dependency.replace('-', "_");
        for reserved in RESERVED.iter().filter(|reserved| reserved.names.contains(&&*name)) {
            let in_build = section.contains("build-dependencies");
            let elsewhere = reserved.except.iter().any(|place| in_build || !place.ends_with("build.rs"));
            if path.starts_with(reserved.within) && !elsewhere {
                add(number, format!("depends on {dependency}: {}", reserved.rule));
            }
        }
    }
    violations
}
