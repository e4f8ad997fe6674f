//! A checkpoint's folder on disk, and the rule that nothing outside it is opened.
//!
//! Names come from files of unknown origin (an index, a config). One is followed only where the file it really leads
//! to, after every symlink, lies inside the model's folder. One layout needs an exception: the Hugging Face cache keeps
//! a model's files as `<repository>/blobs/<hash>` and its folders `<repository>/snapshots/<revision>` hold symlinks
//! to them. For a folder in that place, and only there, the same repository's `blobs` counts as inside.

use super::formats;
use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A folder whose names are resolved inside the model's folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Without symlinks.
    root: PathBuf,
    /// The model's folder and, in a Hugging Face cache, its blobs; without symlinks.
    inside: Vec<PathBuf>,
}

impl Folder {
    /// The folder at `path`, or the one that holds the checkpoint file at `path`; and how the user would name it.
    pub(super) fn open(path: &Path) -> Result<(PathBuf, Self)> {
        let refuse = |reason: String| Error::NotACheckpoint { path: path.to_owned(), reason };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(refuse(
                    "there is no such folder. Nothing is downloaded: fetch the checkpoint first (e.g. `hf download \
                     llava-hf/llava-1.5-7b-hf --local-dir DIR`) and name its folder"
                        .to_owned(),
                ));
            }
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        };
        let named = if metadata.is_dir() {
            path
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !(metadata.is_file() && is_part_of_a_checkpoint(&name)) {
                let general = || format!("{name} is no checkpoint; name the folder with config.json and safetensors");
                return Err(refuse(formats::advice(&name).unwrap_or_else(general)));
            }
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
        };
        let root = named.canonicalize().map_err(|source| Error::Io { path: named.to_owned(), source })?;
        let folder = Self { inside: [root.clone()].into_iter().chain(hub_blobs(&root)).collect(), root };
        if let Some(advice) = formats::folder_advice(&folder.names()?) {
            return Err(refuse(advice));
        }
        Ok((named.to_owned(), folder))
    }

    /// Names of what lies directly in the folder, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let list = || -> std::io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&self.root)? {
                // A name that is no Unicode is none that a checkpoint's files use.
                names.extend(entry?.file_name().into_string());
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|source| Error::Io { path: self.root.clone(), source })
    }

    /// Where `name` really leads: `None` where nothing is there, an error where it leads outside. `name` has only
    /// plain parts.
    pub(super) fn resolve(&self, name: &str) -> Result<Option<PathBuf>> {
        let path = self.root.join(name);
        match path.canonicalize() {
            Ok(real) if self.inside.iter().any(|inside| real.starts_with(inside)) => Ok(Some(real)),
            Ok(real) => {
                let reason = format!(
                    "leads out of the model's folder, to {}, and is not opened; put the file itself there",
                    real.display()
                );
                Err(Error::NotACheckpoint { path, reason })
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// The folder called `name`, held to the same bounds; `None` where there is none.
    pub(super) fn subfolder(&self, name: &str) -> Result<Option<Self>> {
        let root = self.resolve(name)?.filter(|path| path.is_dir());
        Ok(root.map(|root| Self { root, inside: self.inside.clone() }))
    }
}

/// Whether naming this file can only mean the folder it is in.
fn is_part_of_a_checkpoint(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") || name == "config.json"
}

/// The blobs that the links in this folder of a Hugging Face cache lead to.
fn hub_blobs(root: &Path) -> Option<PathBuf> {
    let snapshots = root.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"))?;
    snapshots.parent()?.join("blobs").canonicalize().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::testing::{counting, refused};
    use super::super::{Checkpoint, ModelFiles};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn write(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().expect("inside a folder")).expect("folder made");
        fs::write(path, bytes).expect("file written");
    }

    fn model() -> Vec<u8> {
        counting(&[("lm_head.weight", &[2])])
    }

    #[test]
    fn a_folder_is_named_by_itself_or_by_a_file_in_it() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let folder = temp.path().join("Modell-ß-模型 1");
        write(&folder.join("model.safetensors"), &model());
        write(&folder.join("config.json"), b"{}");
        for path in [folder.clone(), folder.join("model.safetensors"), folder.join("config.json")] {
            let files = ModelFiles::open(&path).expect("a checkpoint");
            assert_eq!(files.path(), folder);
            assert_eq!(files.names().expect("read"), ["config.json", "model.safetensors"]);
            let checkpoint = Checkpoint::open(&files, None).expect("valid");
            assert_eq!(checkpoint.read_f32("language_model.lm_head.weight").expect("finite"), [0.0, 1.0]);
        }
    }

    #[test]
    fn what_is_no_checkpoint_says_what_to_do() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        refused(ModelFiles::open(temp.path().join("llava-hf/llava")), &["no such folder", "hf download"]);
        for (name, words) in [
            ("pytorch_model.bin", ["pickle", "safe_serialization=True"]),
            ("model.pt", ["pickle", "safe_serialization=True"]),
            ("llava.gguf", ["llama.cpp", "safetensors"]),
            ("notes.txt", ["notes.txt", "name the folder"]),
        ] {
            let folder = temp.path().join(name.replace('.', "_"));
            // No pickle at all: were it opened, the message would be another.
            write(&folder.join(name), b"cos\nsystem\n(S'touch pwned'\ntR.");
            refused(ModelFiles::open(folder.join(name)), &words);
            match ModelFiles::open(&folder) {
                Err(error) => assert!(error.to_string().contains(words[0]), "{error}"),
                Ok(_) => assert_eq!(name, "notes.txt", "a folder of {name} alone is refused"),
            }
            write(&folder.join("model.safetensors"), &model());
            ModelFiles::open(&folder).expect("beside safetensors the other file does not matter");
        }
    }

    #[test]
    fn a_symlink_is_followed_inside_the_folder_only() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let folder = temp.path().join("model");
        write(&folder.join("real.bin"), b"inside");
        write(&temp.path().join("secret"), b"outside");
        write(&temp.path().join("elsewhere/model.safetensors"), &model());
        symlink("real.bin", folder.join("within")).expect("linked");
        symlink("../secret", folder.join("relative")).expect("linked");
        symlink(temp.path().join("secret"), folder.join("absolute")).expect("linked");
        symlink("absolute", folder.join("twice")).expect("linked");
        symlink("nowhere", folder.join("dangling")).expect("linked");
        symlink("../elsewhere", folder.join("clip")).expect("linked");
        symlink("loop", folder.join("loop")).expect("linked");
        write(&folder.join("model.safetensors"), &model());

        let files = ModelFiles::open(&folder).expect("a checkpoint");
        assert_eq!(files.read_text("within", 10).expect("inside").as_deref(), Some("inside"));
        for name in ["relative", "absolute", "twice"] {
            refused(files.read_text(name, 10), &[name, "leads out", "secret"]);
        }
        assert!(files.file("dangling").expect("nothing there").is_none());
        assert!(files.file("loop").is_err());
        refused(files.subfolder("clip"), &["clip", "leads out"]);
        refused(files.file("clip/model.safetensors"), &["clip/model.safetensors", "leads out"]);
    }

    #[test]
    fn a_shard_that_links_out_is_refused() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let folder = temp.path().join("model");
        write(&temp.path().join("outside.safetensors"), &model());
        let index = br#"{"weight_map": {"lm_head.weight": "shard.safetensors"}}"#;
        write(&folder.join("model.safetensors.index.json"), index);
        symlink("../outside.safetensors", folder.join("shard.safetensors")).expect("linked");
        let files = ModelFiles::open(&folder).expect("a folder");
        refused(Checkpoint::open(&files, None), &["shard.safetensors", "leads out"]);
    }

    #[test]
    fn a_snapshot_of_the_hugging_face_cache_may_link_to_its_own_blobs() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let repository = temp.path().join("models--llava-hf--llava");
        let snapshot = repository.join("snapshots/0123abc");
        write(&repository.join("blobs/d00d"), &model());
        write(&repository.join("refs/main"), b"0123abc");
        write(&temp.path().join("models--other/blobs/beef"), b"other");
        fs::create_dir_all(snapshot.join("clip")).expect("folder made");
        symlink("../../blobs/d00d", snapshot.join("model.safetensors")).expect("linked");
        symlink("../../../blobs/d00d", snapshot.join("clip/model.safetensors")).expect("linked");
        symlink("../../refs/main", snapshot.join("refs")).expect("linked");
        symlink("../../../models--other/blobs/beef", snapshot.join("beef")).expect("linked");

        let files = ModelFiles::open(&snapshot).expect("a checkpoint");
        assert_eq!(Checkpoint::open(&files, None).expect("valid").iter().count(), 1);
        let clip = files.subfolder("clip").expect("inside").expect("there");
        assert!(clip.contains("model.safetensors"));
        refused(files.file("refs"), &["leads out"]);
        refused(files.file("beef"), &["leads out"]);

        // The same links from a folder in any other place lead out.
        let elsewhere = repository.join("revisions/0123abc");
        fs::create_dir_all(&elsewhere).expect("folder made");
        symlink("../../blobs/d00d", elsewhere.join("model.safetensors")).expect("linked");
        let files = ModelFiles::open(&elsewhere).expect("a folder");
        refused(files.file("model.safetensors"), &["leads out"]);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(temp.path().join("config.json")).expect("folder made");
        let files = ModelFiles::open(temp.path()).expect("a folder");
        refused(files.read_json("config.json"), &["config.json", "not a regular file"]);
        refused(files.file(&"n".repeat(5000)), &["nnn"]);
        refused(ModelFiles::open("/dev/null"), &["no checkpoint"]);
    }
}
