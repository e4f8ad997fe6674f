//! Files and folders that are whole or not there, whatever happens while they are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a folder is called while it is written; leftovers are swept away when a run starts.
const ASIDE: &str = ".writing-";
/// What a folder is called while another takes its place.
const REPLACED: &str = ".replaced-";

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    |source| Error::Io { path, source }
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(io_error(path))
}

/// Writes a folder of files aside, brings it to the disk, and only then gives it its name, in the place of any before.
pub(super) fn write_folder<N: AsRef<str>>(path: &Path, files: &[(N, Vec<u8>)]) -> Result<()> {
    let (parent, name) = (parent(path), name(path));
    let aside = parent.join(format!("{ASIDE}{name}"));
    let replaced = parent.join(format!("{REPLACED}{name}"));
    remove(&aside)?;
    let written = fill(&aside, files);
    if written.is_err() {
        // A full disk gets its space back; the error that matters is the first.
        let _ = remove(&aside);
    }
    written?;
    if path.exists() {
        remove(&replaced)?;
        fs::rename(path, &replaced).map_err(io_error(path))?;
    }
    if let Err(source) = fs::rename(&aside, path) {
        // The old one gets its name back.
        let _ = fs::rename(&replaced, path);
        return Err(Error::Io { path: path.to_path_buf(), source });
    }
    sync_folder(&parent)?;
    remove(&replaced)
}

fn fill<N: AsRef<str>>(folder: &Path, files: &[(N, Vec<u8>)]) -> Result<()> {
    make_folder(folder)?;
    for (name, bytes) in files {
        write_synced(&folder.join(name.as_ref()), bytes)?;
    }
    sync_folder(folder)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_error(path))
}

/// Writes one file aside, then gives it its name.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = parent(path).join(format!("{ASIDE}{}", name(path)));
    write_synced(&aside, bytes)?;
    fs::rename(&aside, path).map_err(io_error(path))?;
    sync_folder(&parent(path))
}

/// Removes a folder or file, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { path: path.to_path_buf(), source: error })
        }
        _ => Ok(()),
    }
}

/// Sweeps away what an interrupted write left in a folder. A folder that had been moved aside while its successor never
/// came gets its name back.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for path in entries(folder)? {
        let name = name(&path);
        if name.starts_with(ASIDE) {
            remove(&path)?;
        } else if let Some(of) = name.strip_prefix(REPLACED) {
            let original = folder.join(of);
            match original.exists() {
                true => remove(&path)?,
                false => fs::rename(&path, &original).map_err(io_error(&path))?,
            }
        }
    }
    Ok(())
}

/// What is in a folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).map_err(io_error(folder))?;
    list.map(|entry| entry.map(|entry| entry.path()).map_err(io_error(folder))).collect()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A folder's names are on the disk when the folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error(path))
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_replaced_whole_and_leftovers_go() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("checkpoint-1");
        write_folder(&path, &[("a", b"old".to_vec()), ("b", b"old".to_vec())]).unwrap();
        write_folder(&path, &[("a", b"new".to_vec())]).unwrap();
        assert_eq!(fs::read(path.join("a")).unwrap(), b"new");
        assert!(!path.join("b").exists());
        // Killed while writing, and killed between the two renames.
        fs::create_dir(root.path().join(".writing-checkpoint-2")).unwrap();
        fs::rename(&path, root.path().join(".replaced-checkpoint-1")).unwrap();
        sweep(root.path()).unwrap();
        let left: Vec<String> = entries(root.path()).unwrap().iter().map(|path| name(path)).collect();
        assert_eq!(left, ["checkpoint-1"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"new");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("checkpoint-1");
        write_folder(&path, &[("a", b"old".to_vec())]).unwrap();
        // A name that no file can have.
        let error = write_folder(&path, &[("a", b"new".to_vec()), ("no/such/folder", Vec::new())]).unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
        assert_eq!(fs::read(path.join("a")).unwrap(), b"old");
        assert_eq!(entries(root.path()).unwrap().len(), 1);
    }
}
