//! What can go wrong while data is written.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A type of question that the domain does not have.
    #[error("{domain} has no questions of type {name}; it has {known}")]
    QuestionType {
        /// The domain.
        domain: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Items so few, and questions of such types, that no picture fits.
    #[error("no {domain} picture with{} has a question of the wanted types", at_most(*most_items))]
    NoPicture {
        /// The domain.
        domain: &'static str,
        /// The items that were allowed.
        most_items: Option<usize>,
    },
    /// A folder that already holds data, which would be mixed with the new.
    #[error("{} already has a data.jsonl; choose another folder, or remove that one", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
}

fn at_most(items: Option<usize>) -> String {
    items.map_or(" any number of items".to_string(), |items| format!(" at most {items} item(s)"))
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
