//! The files of a checkpoint: a folder on disk, bytes in memory for a page and for a model inside the program, or a
//! page's view of a folder, read piece by piece.

use super::file::{MemoryFiles, ModelFile, StreamedFiles};
#[cfg(not(target_arch = "wasm32"))]
use super::folder::Folder;
use crate::error::{Error, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of a JSON file that is parsed whole. The index of a 7B model has 70 kB.
const JSON_LIMIT: u64 = 16 << 20;

/// A checkpoint's files, by name. A name is plain parts joined by `/`; none leads out of the model's folder.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// The folder as the user named it, for messages.
    path: PathBuf,
    /// What stands before a name in messages: empty, or the subfolder with a slash.
    prefix: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    #[cfg(not(target_arch = "wasm32"))]
    Folder(Folder),
    Memory(Arc<MemoryFiles>),
    Streamed(Arc<StreamedFiles>),
}

impl ModelFiles {
    /// The files of the folder at `path`; naming a safetensors file or `config.json` means the folder it is in.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] where there is no such folder, or where it or the file named is a format that is not
    /// read (`.bin`, `.pt`, `.gguf`): says how to convert it. Whether the folder's contents are a model is found by
    /// reading them.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (path, folder) = Folder::open(path.as_ref())?;
        Ok(Self { path, prefix: String::new(), source: Source::Folder(folder) })
    }

    /// Files that are in memory already. `path` is what messages call their place, e.g. `demo model`.
    pub fn from_memory(path: impl Into<PathBuf>, files: MemoryFiles) -> Self {
        Self { path: path.into(), prefix: String::new(), source: Source::Memory(Arc::new(files)) }
    }

    /// Files that are read piece by piece. `path` is what messages call their place.
    pub fn from_stream(path: impl Into<PathBuf>, files: StreamedFiles) -> Self {
        Self { path: path.into(), prefix: String::new(), source: Source::Streamed(Arc::new(files)) }
    }

    /// The folder, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of what lies directly in this folder, sorted.
    pub fn names(&self) -> Result<Vec<String>> {
        match &self.source {
            #[cfg(not(target_arch = "wasm32"))]
            Source::Folder(folder) => folder.names(),
            Source::Memory(files) => Ok(self.here(files.keys())),
            Source::Streamed(files) => Ok(self.here(files.keys())),
        }
    }

    /// Of these names those that lie directly in this folder.
    fn here<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Vec<String> {
        let here = keys.filter_map(|key| key.strip_prefix(&self.prefix));
        here.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    /// Whether there is a readable file of this name.
    pub fn contains(&self, name: &str) -> bool {
        matches!(self.file(name), Ok(Some(_)))
    }

    /// Opens a file; `None` where there is none of this name.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] where the name or a symlink leads out of the model's folder, [`Error::Io`] where the
    /// file cannot be opened.
    pub fn file(&self, name: &str) -> Result<Option<ModelFile>> {
        self.require_plain(name)?;
        let (key, path) = (format!("{}{name}", self.prefix), self.path.join(name));
        match &self.source {
            #[cfg(not(target_arch = "wasm32"))]
            Source::Folder(folder) => match folder.resolve(name)? {
                Some(real) => ModelFile::on_disk(key, path, &real).map(Some),
                None => Ok(None),
            },
            Source::Memory(files) => Ok(ModelFile::in_memory(key, path, files)),
            Source::Streamed(files) => Ok(ModelFile::streamed(key, path, files)),
        }
    }

    /// A file's bytes; `None` where there is no such file.
    ///
    /// # Errors
    /// As [`ModelFiles::file`], and [`Error::Config`] where it has more than `limit` bytes: nothing is read then.
    pub fn read_bytes(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        if file.len() > limit {
            let reason = format!("has {} bytes; at most {limit} are read", file.len());
            return Err(Error::Config { file: file.shown(), reason });
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// A text file, without the byte order mark that some editors put first; `None` where there is no such file.
    ///
    /// # Errors
    /// As [`ModelFiles::read_bytes`], and [`Error::Config`] where it is not UTF-8.
    pub fn read_text(&self, name: &str, limit: u64) -> Result<Option<String>> {
        let Some(bytes) = self.read_bytes(name, limit)? else { return Ok(None) };
        let text =
            String::from_utf8(bytes).map_err(|error| self.config_error(name, format!("is not UTF-8: {error}")))?;
        Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
    }

    /// A JSON file of at most 16 MiB; `None` where there is no such file.
    ///
    /// # Errors
    /// As [`ModelFiles::read_text`], and [`Error::Config`] where it does not parse.
    pub fn read_json(&self, name: &str) -> Result<Option<Value>> {
        let Some(text) = self.read_text(name, JSON_LIMIT)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            let python = ["NaN", "Infinity"].iter().any(|word| line.contains(word));
            let hint = if python { "; Python writes NaN and Infinity, which JSON does not have" } else { "" };
            self.config_error(name, format!("is not valid JSON: {error}{hint}"))
        })
    }

    /// A JSON file that a checkpoint cannot do without.
    ///
    /// # Errors
    /// As [`ModelFiles::read_json`], and [`Error::NotACheckpoint`] where there is no such file.
    pub fn require_json(&self, name: &str) -> Result<Value> {
        self.read_json(name)?.ok_or_else(|| {
            self.not_a_checkpoint(format!("has no {name}; name the folder that holds {name} and the safetensors files"))
        })
    }

    /// The files of a subfolder, which lead no further out than this folder's; `None` where there is none.
    ///
    /// # Errors
    /// As [`ModelFiles::file`].
    pub fn subfolder(&self, name: &str) -> Result<Option<Self>> {
        self.require_plain(name)?;
        let prefix = format!("{}{name}/", self.prefix);
        let source = match &self.source {
            #[cfg(not(target_arch = "wasm32"))]
            Source::Folder(folder) => folder.subfolder(name)?.map(Source::Folder),
            Source::Memory(files) => {
                let any = files.keys().any(|key| key.starts_with(&prefix));
                any.then(|| Source::Memory(Arc::clone(files)))
            }
            Source::Streamed(files) => {
                let any = files.keys().any(|key| key.starts_with(&prefix));
                any.then(|| Source::Streamed(Arc::clone(files)))
            }
        };
        Ok(source.map(|source| Self { path: self.path.join(name), prefix, source }))
    }

    pub(super) fn not_a_checkpoint(&self, reason: String) -> Error {
        Error::NotACheckpoint { path: self.path.clone(), reason }
    }

    fn config_error(&self, name: &str, reason: String) -> Error {
        Error::Config { file: self.path.join(name).display().to_string(), reason }
    }

    fn require_plain(&self, name: &str) -> Result<()> {
        if is_plain(name) {
            return Ok(());
        }
        let name: String = name.chars().take(200).flat_map(char::escape_debug).collect();
        Err(self
            .not_a_checkpoint(format!("the file name \"{name}\" leads out of the model's folder and is not opened")))
    }
}

/// Whether a name has only plain parts: relative, no `..`, no drive, no backslash, nothing invisible.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.split('/').all(plain) && !name.contains(|c: char| matches!(c, '\\' | ':') || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{in_memory, refused};

    #[test]
    fn files_in_memory_are_found_by_name_and_folder() {
        let files = in_memory([("config.json", b"{}".to_vec()), ("clip/a/model.bin", vec![1, 2, 3])]);
        assert_eq!(files.names().expect("in memory"), ["config.json"]);
        assert!(files.contains("config.json") && !files.contains("none") && !files.contains("clip"));
        let clip = files.subfolder("clip").expect("plain").expect("there");
        let a = clip.subfolder("a").expect("plain").expect("there");
        assert_eq!(a.names().expect("in memory"), ["model.bin"]);
        assert_eq!(a.read_bytes("model.bin", 3).expect("read"), Some(vec![1, 2, 3]));
        assert_eq!(a.file("model.bin").expect("read").expect("there").name(), "clip/a/model.bin");
        assert!(files.subfolder("cli").expect("plain").is_none());
        assert_eq!(files.read_text("none", 10).expect("plain"), None);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let files = in_memory([("a", Vec::new())]);
        for name in ["../a", "/a", "a/../b", ".", "./a", "", "a/", "C:a", "a\\b", "a\0"] {
            refused(files.file(name), &["leads out of the model's folder"]);
            refused(files.subfolder(name), &["leads out of the model's folder"]);
            assert!(!files.contains(name));
        }
    }

    #[test]
    fn large_and_broken_text_is_refused() {
        let files = in_memory([
            ("long.txt", vec![b'x'; 11]),
            ("latin1.txt", vec![b'a', 0xe9, b'b']),
            ("bom.json", b"\xef\xbb\xbf{\"a\": 1}".to_vec()),
            ("nan.json", b"{\n\"rms_norm_eps\": NaN}".to_vec()),
            ("huge.json", b"{\"rms_norm_eps\": 1e999}".to_vec()),
            ("deep.json", "[".repeat(1 << 20).into_bytes()),
            ("large.json", vec![b' '; (16 << 20) + 1]),
        ]);
        refused(files.read_text("long.txt", 10), &["long.txt", "11 bytes", "at most 10"]);
        refused(files.read_text("latin1.txt", 10), &["latin1.txt", "UTF-8"]);
        assert_eq!(files.read_json("bom.json").expect("valid").expect("there")["a"], 1);
        refused(files.read_json("nan.json"), &["nan.json", "line 2", "Python writes NaN"]);
        refused(files.read_json("huge.json"), &["huge.json", "out of range"]);
        refused(files.read_json("deep.json"), &["deep.json", "recursion limit"]);
        refused(files.read_json("large.json"), &["large.json", "16777217 bytes"]);
        refused(files.require_json("config.json"), &["has no config.json"]);
    }
}
