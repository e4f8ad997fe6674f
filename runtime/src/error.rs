//! Everything that can go wrong because of a file, a picture, a prompt or a device.
//!
//! One line each: what happened, where, and what to do next. A broken invariant of our own is an assertion, never a
//! variant here.

use std::path::PathBuf;

/// The result of a fallible call into the runtime.
pub type Result<T> = std::result::Result<T, Error>;

/// What a file, a picture, a prompt or a device can cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder or file is not a checkpoint this program reads.
    #[error("{}: {reason}", path.display())]
    NotACheckpoint {
        /// The folder or file that was named.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A JSON file does not parse or holds a value out of range.
    #[error("{file}: {reason}")]
    Config {
        /// The file, e.g. `config.json`.
        file: String,
        /// The field, the value found, the range or values accepted.
        reason: String,
    },
    /// A safetensors file or its index is malformed.
    #[error("{file}: {reason}")]
    Safetensors {
        /// The file or shard.
        file: String,
        /// The tensor or header field, what was found and what is allowed.
        reason: String,
    },
    /// The checkpoint's tensors are not those of the model its config describes.
    #[error("the checkpoint does not fit its config.json: {}", list(missing, unused))]
    TensorNames {
        /// Tensors that the model needs and the checkpoint lacks.
        missing: Vec<String>,
        /// Tensors of the checkpoint that the model does not know.
        unused: Vec<String>,
    },
    /// A tensor has another shape than the config says.
    #[error("tensor {tensor} is {actual:?}, expected {expected:?}: config.json describes another model")]
    TensorShape {
        /// Name in the file.
        tensor: String,
        /// Shape in the file.
        actual: Vec<usize>,
        /// Shape by the config.
        expected: Vec<usize>,
    },
    /// A tensor is stored in a dtype that is not read.
    #[error("tensor {tensor} has dtype {actual}; F32, F16 and BF16 are read")]
    TensorDtype {
        /// Name in the file.
        tensor: String,
        /// Dtype in the file.
        actual: String,
    },
    /// A tensor holds NaN, infinity, or a value that the chosen weight type cannot hold.
    #[error("tensor {tensor} holds {value} at index {index}; {hint}")]
    TensorValue {
        /// Name in the file.
        tensor: String,
        /// Flat index of the first bad value.
        index: usize,
        /// The value.
        value: f32,
        /// What to do.
        hint: &'static str,
    },
    /// The tokenizer cannot be used with this model.
    #[error("{file}: {reason}")]
    Tokenizer {
        /// The file, e.g. `tokenizer.json`.
        file: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The chat template does not parse, fails, or runs too long.
    #[error("chat template of {file}: {reason}")]
    ChatTemplate {
        /// The file that holds the template.
        file: String,
        /// What the template engine said.
        reason: String,
    },
    /// A picture cannot be read or is outside the documented limits.
    #[error("{name}: {reason}")]
    Image {
        /// File name or a word for pasted pictures.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The prompt cannot be answered by this model.
    #[error("the prompt {0}")]
    Prompt(String),
    /// A sample of a dataset cannot be used.
    #[error("{file}:{line}: {reason}")]
    Data {
        /// The dataset's file.
        file: String,
        /// The line the sample begins in, counted from 1.
        line: usize,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The adapter does not belong to the model, or is damaged.
    #[error("{}: {reason}", path.display())]
    Adapter {
        /// The adapter's folder or file.
        path: PathBuf,
        /// What was expected, what was found, and what to do.
        reason: String,
    },
    /// Training cannot start or go on.
    #[error("training: {0}")]
    Training(String),
    /// No such device, or the device was refused by the driver.
    #[error("{0}")]
    Device(String),
    /// The model does not fit the device.
    #[error("{0}")]
    Memory(String),
}

/// Names the first few missing and unused tensors, and how many more there are.
fn list(missing: &[String], unused: &[String]) -> String {
    let part = |what: &str, names: &[String]| {
        if names.is_empty() {
            return String::new();
        }
        let shown = names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} {what}: {shown}{more}", names.len())
    };
    [part("missing", missing), part("unused", unused)]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}
