//! One object of a JSON file, read field by field, each value against the range it may have.
//!
//! Not serde's derive: a wrong value must be named with its path, its value and its range, a `null` counts as absent
//! (that is how transformers writes "take the default"), and unknown fields are allowed.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// An object inside a JSON file. An absent object has no fields.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    file: &'static str,
    /// Path to this object, with a dot at its end, e.g. `text_config.`; empty at the top.
    prefix: String,
    object: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The top level of a file.
    pub(super) fn of(file: &'static str, value: &'a Value) -> Result<Self> {
        match value.as_object() {
            Some(object) => Ok(Self { file, prefix: String::new(), object: Some(object) }),
            None => Err(config_error(file, format!("holds {}; a JSON object is expected", shown(value)))),
        }
    }

    /// The object called `name`, without fields where it is absent.
    pub(super) fn child(&self, name: &str) -> Result<Self> {
        let object = match self.get(name) {
            None => None,
            Some(Value::Object(object)) => Some(object),
            Some(_) => return Err(self.refuse(name, "an object is expected")),
        };
        Ok(Self { file: self.file, prefix: format!("{}{name}.", self.prefix), object })
    }

    /// The value called `name`; `null` is absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether some field's name starts so.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.object.is_some_and(|object| object.keys().any(|name| name.starts_with(prefix)))
    }

    /// A whole number, or `default` where the field is absent.
    pub(super) fn integer(&self, name: &str, default: i64, accepted: RangeInclusive<i64>) -> Result<i64> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_i64().filter(|number| accepted.contains(number)).ok_or_else(|| {
            self.refuse(
                name,
                format_args!("a whole number from {} to {} is accepted", accepted.start(), accepted.end()),
            )
        })
    }

    /// A count of at least 1, or `default` where the field is absent.
    pub(super) fn count(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        self.integer(name, default as i64, 1..=most as i64).map(|number| number as usize)
    }

    /// A number above 0 and at most `most`, or `default` where the field is absent. It is positive as an f32 too,
    /// the precision it is used in.
    pub(super) fn positive(&self, name: &str, default: f64, most: f64) -> Result<f64> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value
            .as_f64()
            .filter(|&number| number <= most && number >= f64::from(f32::MIN_POSITIVE))
            .ok_or_else(|| self.refuse(name, format_args!("a number above 0, at most {most:e}, is accepted")))
    }

    /// A token id below `vocab_size`.
    pub(super) fn token_id(&self, name: &str, value: &Value, vocab_size: usize) -> Result<u32> {
        value.as_u64().filter(|&id| id < vocab_size as u64).and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
            self.refuse(name, format_args!("token ids are whole numbers below the vocab_size of {vocab_size}"))
        })
    }

    /// `true` or `false`, where the field is there.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.refuse(name, "true or false is expected")),
        }
    }

    /// One of the words in `accepted`, where the field is there.
    pub(super) fn word(&self, name: &str, accepted: &[&str]) -> Result<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(word)) if accepted.contains(&word.as_str()) => Ok(Some(word)),
            Some(_) => Err(self.refuse(name, format_args!("supported: {}", accepted.join(", ")))),
        }
    }

    /// The error that says what the field holds and what it may hold.
    pub(super) fn refuse(&self, name: &str, accepted: impl Display) -> Error {
        let found = self.get(name).map_or_else(|| "missing".to_owned(), shown);
        config_error(self.file, format!("{}{name} is {found}; {accepted}", self.prefix))
    }

    /// The error that says why this object as a whole cannot be.
    pub(super) fn inconsistent(&self, reason: impl Display) -> Error {
        config_error(self.file, format!("{}{reason}", self.prefix))
    }
}

fn config_error(file: &str, reason: String) -> Error {
    Error::Config { file: file.to_owned(), reason }
}

/// A value as it stands in the file, cut to a line's length.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
