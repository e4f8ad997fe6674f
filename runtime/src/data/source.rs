//! A dataset: a data file and a folder of pictures, read a sample at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::DataFile;
use super::index::{self, Entry};
use super::sample::Sample;
use crate::error::{Error, Result};

/// Most bytes of one sample; the longest conversations in use have a hundredth of that.
const MAX_SAMPLE_BYTES: u32 = 16 << 20;

/// Where a dataset is, and how much of it there is to be: `[[data]]` of a training configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// What reports call it.
    pub name: String,
    /// LLaVA JSON or JSONL.
    pub path: PathBuf,
    /// The folder that the names of pictures are relative to; without one, that of the data file.
    #[serde(default)]
    pub images: Option<PathBuf>,
    /// Its share among all datasets; any number above 0, as only the proportion counts.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl DataSource {
    /// The same, with relative paths taken from `folder` on instead of the current one.
    pub fn relative_to(self, folder: &Path) -> Self {
        Self { path: folder.join(&self.path), images: self.images.map(|images| folder.join(images)), ..self }
    }
}

/// An open dataset. Several threads may read it at once.
#[derive(Debug)]
pub struct Dataset {
    source: DataSource,
    images: PathBuf,
    file: DataFile,
    shown: Arc<str>,
    entries: Vec<Entry>,
    fingerprint: u64,
}

impl Dataset {
    /// Goes through the file once and remembers where its samples are, 16 bytes each.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Data`] when it is neither a JSON list nor JSONL, or empty.
    pub fn open(source: DataSource) -> Result<Self> {
        let file = DataFile::open(&source.path)?;
        let shown: Arc<str> = source.path.display().to_string().into();
        let index = index::scan(file.reader()).map_err(|failure| match failure {
            index::Failure::Io(error) => file.error(error),
            index::Failure::Form { line, reason } => {
                Error::Data { file: shown.to_string(), line: line as usize, reason: reason.to_owned() }
            }
        })?;
        let images = source.images.clone().unwrap_or_else(|| match source.path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        });
        Ok(Self { source, images, file, shown, entries: index.entries, fingerprint: index.fingerprint })
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The data file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The folder of the pictures.
    pub fn images(&self) -> &Path {
        &self.images
    }

    /// Its share among all datasets.
    pub fn weight(&self) -> f64 {
        self.source.weight
    }

    /// How many samples there are, without those excluded.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every sample was excluded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A number that another content of the data file would change: what a resumed run compares.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// [`Error::Data`] with its file and line when it is not what a sample should be, [`Error::Io`] when the file
    /// cannot be read.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn sample(&self, index: usize) -> Result<Sample> {
        let Entry { offset, length, .. } = self.entries[index];
        if length > MAX_SAMPLE_BYTES {
            return Err(self.error(
                index,
                format!(
                    "is {} MB long, at most {} MB are read: a sample holds text and names of pictures only",
                    length >> 20,
                    MAX_SAMPLE_BYTES >> 20
                ),
            ));
        }
        let mut json = vec![0; length as usize];
        self.file.read_at(offset, &mut json)?;
        Sample::parse(&json, &self.shown, self.line(index))
    }

    /// The line a sample begins in, counted from 1.
    pub(super) fn line(&self, index: usize) -> usize {
        self.entries[index].line as usize
    }

    /// Leaves samples out; those behind them move up.
    pub fn exclude(&mut self, indices: &[usize]) {
        let mut keep = vec![true; self.entries.len()];
        indices.iter().for_each(|&index| keep[index] = false);
        let mut keep = keep.into_iter();
        self.entries.retain(|_| keep.next().expect("one for each sample"));
    }

    /// An error about a sample.
    fn error(&self, index: usize, reason: String) -> Error {
        Error::Data { file: self.shown.to_string(), line: self.line(index), reason }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing;
    use super::*;

    const LINES: &str =
        "\u{feff}{\"id\": \"a\", \"text\": \"é\"}\r\n\r\n{\"id\": \"b\"}\n{\"id\": \"c\", \"text\": \"x\"}";

    fn ids(dataset: &Dataset) -> Vec<String> {
        (0..dataset.len()).map(|index| dataset.sample(index).map_or_else(|e| e.to_string(), |s| s.id)).collect()
    }

    #[test]
    fn lines_and_lists_give_the_same_samples() {
        let list = "[\n{\"id\": \"a\", \"text\": \"é\"},\n\n{\"id\": \"b\"},\n {\n\"id\": \"c\", \"text\": \"x\"}\n]\n";
        let folder = testing::folder(&[("a.jsonl", LINES), ("a.json", list)]);
        for (file, lines) in [("a.jsonl", [1, 3, 4]), ("a.json", [2, 4, 5])] {
            let dataset = testing::dataset(&folder, file);
            assert_eq!((dataset.len(), dataset.is_empty()), (3, false));
            assert_eq!(dataset.sample(2).unwrap().id, "c", "in any order");
            assert_eq!(dataset.sample(0).unwrap().turns[0].text, "é");
            assert_eq!([0, 1, 2].map(|index| dataset.line(index)), lines);
            let error = dataset.sample(1).unwrap_err().to_string();
            assert!(error.contains(&format!("{file}:{}: has neither conversations", lines[1])), "{error}");
        }
    }

    #[test]
    fn excluded_samples_are_gone() {
        let folder = testing::folder(&[("a.jsonl", LINES)]);
        let mut dataset = testing::dataset(&folder, "a.jsonl");
        let fingerprint = dataset.fingerprint();
        dataset.exclude(&[1]);
        assert_eq!(ids(&dataset), ["a", "c"]);
        dataset.exclude(&[]);
        assert_eq!((dataset.len(), dataset.fingerprint()), (2, fingerprint));
        dataset.exclude(&[1, 0, 1]);
        assert!(dataset.is_empty());
    }

    #[test]
    fn threads_read_at_once() {
        let lines: Vec<String> =
            (0..500).map(|id| format!("{{\"id\": {id}, \"text\": \"{}\"}}\n", "x".repeat(id + 1))).collect();
        let folder = testing::folder(&[("a.jsonl", &lines.concat())]);
        let dataset = testing::dataset(&folder, "a.jsonl");
        let expected: Vec<String> = (0..500).map(|id| id.to_string()).collect();
        std::thread::scope(|scope| {
            let readers = [0; 4].map(|_| scope.spawn(|| ids(&dataset)));
            readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), expected));
        });
    }

    #[test]
    fn files_that_cannot_be_read_are_refused() {
        let folder = testing::folder(&[("empty.json", " \n"), ("list.json", "[\n{},\n]")]);
        let open = |name: &str| {
            let path = folder.path().join(name);
            let source = DataSource { name: "x".into(), path, images: None, weight: 1.0 };
            Dataset::open(source).unwrap_err().to_string()
        };
        assert!(open("none.json").contains("none.json: "));
        assert!(open("").contains("not a regular file"));
        assert!(open("empty.json").contains("empty.json:2: is empty"));
        assert!(open("list.json").contains("list.json:3: has a comma before the end"));
    }

    #[test]
    fn a_file_cut_short_while_open_is_an_error() {
        let folder = testing::folder(&[("a.jsonl", LINES)]);
        let dataset = testing::dataset(&folder, "a.jsonl");
        fs::write(folder.path().join("a.jsonl"), "{}").unwrap();
        let error = dataset.sample(2).unwrap_err();
        assert!(matches!(&error, Error::Io { .. }) && error.to_string().contains("cut short"), "{error}");
    }

    #[test]
    fn a_sample_of_megabytes_is_refused_before_it_is_read() {
        let line = format!("{{\"text\": \"{}\"}}", "a".repeat(MAX_SAMPLE_BYTES as usize));
        let folder = testing::folder(&[("a.jsonl", &format!("{line}\n{{\"text\": \"b\"}}"))]);
        let dataset = testing::dataset(&folder, "a.jsonl");
        assert!(dataset.sample(0).unwrap_err().to_string().contains("a.jsonl:1: is 16 MB long"));
        assert!(dataset.sample(1).is_ok());
    }

    #[test]
    fn the_configuration_has_defaults_and_no_unknown_fields() {
        let read = |text: &str| toml::from_str::<DataSource>(text);
        let source = read("name = 'g'\npath = 'd/g.jsonl'").unwrap();
        let expected = DataSource { name: "g".into(), path: "d/g.jsonl".into(), images: None, weight: 1.0 };
        assert_eq!(source, expected);
        assert_eq!(source.relative_to(Path::new("/c")).path, Path::new("/c/d/g.jsonl"));
        let source = read("name = 'g'\npath = '/g.jsonl'\nimages = 'i'\nweight = 2.5").unwrap();
        let expected =
            DataSource { name: "g".into(), path: "/g.jsonl".into(), images: Some("/c/i".into()), weight: 2.5 };
        assert_eq!(source.relative_to(Path::new("/c")), expected);
        assert!(read("name = 'g'\npath = 'g'\nfolder = 'x'").unwrap_err().to_string().contains("folder"));
    }

    #[test]
    fn pictures_are_beside_the_data_or_where_the_source_says() {
        let folder = testing::folder(&[("a.jsonl", LINES)]);
        assert_eq!(testing::dataset(&folder, "a.jsonl").images(), folder.path());
        let path = folder.path().join("a.jsonl");
        let source = DataSource { name: "x".into(), path, images: Some("/pictures".into()), weight: 1.0 };
        assert_eq!(Dataset::open(source).unwrap().images(), Path::new("/pictures"));
    }
}
