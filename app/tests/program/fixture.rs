//! The checkpoints and pictures of `tests/fixtures`, what transformers computed from them, and copies to break.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::Value;
use tempfile::TempDir;

/// The folder of the fixtures.
pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// The checkpoint of a case.
pub fn model(case: &str) -> PathBuf {
    fixtures().join(case).join("model")
}

/// An adapter.
pub fn adapter(name: &str) -> PathBuf {
    fixtures().join("adapters").join(name)
}

/// A picture.
pub fn picture(name: &str) -> PathBuf {
    fixtures().join("pictures").join(name)
}

/// One case: a checkpoint, a prompt with pictures, and what transformers made of them.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub model: PathBuf,
    pub pictures: Vec<PathBuf>,
    /// As it is, one `<image>` a picture.
    pub prompt: String,
    pub question: String,
    /// What the checkpoint's own chat template makes of the question.
    pub chat_prompt: Option<String>,
    pub expected: Tensors,
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut names: Vec<String> = std::fs::read_dir(fixtures())
        .expect("the fixtures are committed")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("expected.safetensors").exists())
        .map(|path| path.file_name().expect("a folder").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    names.iter().map(|name| case(name)).collect()
}

/// The case of this name.
pub fn case(name: &str) -> Case {
    let folder = fixtures().join(name);
    let json: Value = serde_json::from_slice(&read(&folder.join("case.json"))).expect("JSON");
    let text = |field: &str| json[field].as_str().map(str::to_owned);
    let pictures = json["images"].as_array().expect("a list");
    Case {
        name: name.to_owned(),
        model: folder.join("model"),
        pictures: pictures.iter().map(|name| picture(name.as_str().expect("a name"))).collect(),
        prompt: text("prompt").expect("a prompt"),
        question: text("question").expect("a question"),
        chat_prompt: text("chat_prompt"),
        expected: Tensors::read(&folder.join("expected.safetensors")),
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A tensor as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// A safetensors file.
#[derive(Clone, Debug)]
pub struct Tensors(pub BTreeMap<String, Stored>);

impl Tensors {
    pub fn read(path: &Path) -> Self {
        let bytes = read(path);
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tensors = file.iter().map(|(name, view)| {
            let stored = Stored { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_owned(), stored)
        });
        Self(tensors.collect())
    }

    pub fn write(&self, path: &Path) {
        let views = self.0.iter().map(|(name, stored)| {
            (name, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).expect("consistent"))
        });
        std::fs::write(path, serialize(views, None).expect("serialises")).expect("writes");
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].shape
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        assert_eq!(self.0[name].dtype, Dtype::F32);
        self.0[name].bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four"))).collect()
    }

    pub fn ints(&self, name: &str) -> Vec<i64> {
        assert_eq!(self.0[name].dtype, Dtype::I64);
        self.0[name].bytes.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight"))).collect()
    }
}

/// A copy of a case's checkpoint, or of an adapter, to be broken.
pub struct Checkpoint {
    folder: TempDir,
}

impl Checkpoint {
    pub fn of(case: &str) -> Self {
        Self::of_folder(&model(case))
    }

    pub fn of_adapter(name: &str) -> Self {
        Self::of_folder(&adapter(name))
    }

    fn of_folder(original: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for entry in std::fs::read_dir(original).expect("committed") {
            let from = entry.expect("readable").path();
            if from.is_file() {
                // Not `copy`: permissions stay behind.
                std::fs::write(folder.path().join(from.file_name().expect("a file")), read(&from)).expect("writes");
            }
        }
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), bytes).expect("writes");
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("it is there");
    }

    /// Changes a file's bytes.
    pub fn bytes(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = read(&self.file(name));
        change(&mut bytes);
        self.write(name, bytes);
    }

    /// Changes a JSON file.
    pub fn json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&read(&self.file(name))).expect("JSON");
        change(&mut value);
        self.write(name, value.to_string());
    }

    /// Changes the tensors.
    pub fn tensors(&self, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
        let file = ["model.safetensors", "adapter_model.safetensors"].map(|name| self.file(name));
        let path = file.into_iter().find(|path| path.exists()).expect("one of them");
        let mut tensors = Tensors::read(&path);
        change(&mut tensors.0);
        tensors.write(&path);
    }
}

// For the reference alone: given away, the folder would be gone before the program runs.
impl AsRef<Path> for &Checkpoint {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl AsRef<OsStr> for &Checkpoint {
    fn as_ref(&self) -> &OsStr {
        self.path().as_os_str()
    }
}
