//! Every sample looked at before the first step, so that no run ends over a line or a picture in its middle.
//!
//! Looked at is what training will do with it: parsed, rendered, tokenized, cut to length, its pictures read, decoded
//! and scaled. A picture that several samples show is read once.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};

use super::encoder::Encoder;
use super::parallel::each;
use super::report::{BadSample, Report};
use super::source::Dataset;
use crate::error::{Error, Result};
use crate::image::{Preprocessor, decode};

/// Samples that a thread takes at a time.
const CHUNK: usize = 16;

/// How far the check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Samples looked at.
    pub done: usize,
    /// Samples there are.
    pub samples: usize,
}

/// Goes through all samples of all datasets, and takes the bad ones out of them.
///
/// - `skip_allowed`: how many bad samples are put up with.
/// - `on_progress`: called now and then; to break is to give up.
///
/// # Errors
/// [`Error::Training`] with all bad samples when there are more bad samples than allowed, or when `on_progress`
/// breaks; [`Error::Io`] when a data file cannot be read. The datasets are then as before.
pub fn check(
    datasets: &mut [Dataset],
    encoder: &Encoder,
    preprocessor: &Preprocessor,
    skip_allowed: usize,
    mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report> {
    let checker =
        Checker { datasets, encoder, preprocessor, seen: datasets.iter().map(|_| Mutex::default()).collect() };
    let chunks = checker.chunks();
    let samples = datasets.iter().map(Dataset::len).sum();
    let mut report = Report::default();
    let stopped = each(
        &chunks,
        |chunk| checker.chunk(chunk),
        |part| {
            match part {
                Ok(part) => report.add(part),
                Err(error) => return ControlFlow::Break(error),
            }
            on_progress(Progress { done: report.samples, samples }).map_break(|()| {
                Error::Training("stopped while the data were checked; nothing has been written".to_owned())
            })
        },
    );
    if let ControlFlow::Break(error) = stopped {
        return Err(error);
    }
    report.bad.sort_unstable_by_key(|bad| (bad.dataset, bad.index));
    if report.bad.len() > skip_allowed {
        return Err(Error::Training(report.complaint()));
    }
    for (number, dataset) in datasets.iter_mut().enumerate() {
        let bad = report.bad.iter().filter(|bad| bad.dataset == number);
        dataset.exclude(&bad.map(|bad| bad.index).collect::<Vec<_>>());
    }
    Ok(report)
}

/// A stretch of samples of one dataset.
type Chunk = (usize, Range<usize>);

/// For each name of a picture, why it cannot be used, if so.
type Seen = HashMap<String, Option<String>>;

struct Checker<'a> {
    datasets: &'a [Dataset],
    encoder: &'a Encoder,
    preprocessor: &'a Preprocessor,
    /// For each dataset.
    seen: Vec<Mutex<Seen>>,
}

impl Checker<'_> {
    fn chunks(&self) -> Vec<Chunk> {
        let of = |(number, dataset): (usize, &Dataset)| {
            let len = dataset.len();
            (0..len).step_by(CHUNK).map(move |start| (number, start..len.min(start + CHUNK)))
        };
        self.datasets.iter().enumerate().flat_map(of).collect()
    }

    fn chunk(&self, (number, indices): &Chunk) -> Result<Report> {
        let mut report = Report::default();
        for index in indices.clone() {
            report.samples += 1;
            match self.sample(*number, index, &mut report) {
                Ok(()) => {}
                Err(Error::Data { file, line, reason }) => {
                    report.bad.push(BadSample { dataset: *number, index, file, line, reason });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    /// Looks at one sample and counts it, if it is good.
    fn sample(&self, number: usize, index: usize, report: &mut Report) -> Result<()> {
        let sample = self.datasets[number].sample(index)?;
        let whole = self.encoder.encode_whole(&sample)?;
        let length = whole.expanded_len(self.encoder.patches_per_image);
        let tokens = self.encoder.fit(&sample, whole)?;
        for name in &sample.images {
            let (reason, is_new) = self.picture(number, name);
            if let Some(reason) = reason {
                return Err(sample.error(format!("the picture {reason}")));
            }
            report.pictures += usize::from(is_new);
        }
        report.text_only += usize::from(sample.images.is_empty());
        report.truncated += usize::from(length > self.encoder.max_length);
        report.longest = report.longest.max(length);
        report.supervised_tokens += tokens.supervised_tokens() as u64;
        Ok(())
    }

    /// Why a picture cannot be used, if so, and whether nobody asked before.
    fn picture(&self, number: usize, name: &str) -> (Option<String>, bool) {
        let seen = || self.seen[number].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen().get(name) {
            return (known.clone(), false);
        }
        let dataset = &self.datasets[number];
        let read = || self.preprocessor.pixels(&decode(&dataset.picture(name)?, name)?);
        let reason = read().err().map(|error| error.to_string());
        let before = seen().insert(name.to_owned(), reason.clone());
        (reason, before.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use tempfile::TempDir;

    use super::super::testing;
    use super::*;
    use crate::image::PreprocessorConfig;

    fn go_on(_: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn write_png(folder: &TempDir, name: &str, width: u32, height: u32) {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        fs::write(folder.path().join(name), bytes.into_inner()).unwrap();
    }

    fn line(image: &str, question: &str, answer: &str) -> String {
        format!(
            r#"{{"image": {image}, "conversations": [{{"from": "human", "value": "{question}"}}, {{"from": "gpt", "value": "{answer}"}}]}}"#
        ) + "\n"
    }

    /// A good sample, one of text, and one for each fault.
    fn faulty() -> TempDir {
        let lines = [
            line(r#""good.png""#, "hi", "a b"),
            line("null", "hi", "a"),
            line(r#"["good.png", "again.png"]"#, "hi", "a"),
            "{\"id\": 1,\n".to_owned(),
            line(r#""missing.png""#, "hi", "a"),
            line(r#""broken.png""#, "hi", "a"),
            line(r#""oblong.png""#, "hi", "a"),
            line(r#""../good.png""#, "hi", "a"),
            line(r#""good.png""#, "hi", ""),
            line(r#""good.png""#, &"h ".repeat(2000), "a"),
            line(r#""missing.png""#, "hi", "b"),
            line(r#""good.png""#, "hi", &"h ".repeat(2000)),
        ];
        let folder = testing::folder(&[("a.jsonl", &lines.concat()), ("b.json", &format!("[{}]", lines[1]))]);
        write_png(&folder, "good.png", 8, 6);
        write_png(&folder, "again.png", 1, 1);
        write_png(&folder, "oblong.png", 1, 10_000);
        let mut broken = fs::read(folder.path().join("good.png")).unwrap();
        broken.truncate(50);
        fs::write(folder.path().join("broken.png"), broken).unwrap();
        folder
    }

    #[test]
    fn every_fault_is_found_with_its_line() {
        let folder = faulty();
        let mut datasets = ["a.jsonl", "b.json"].map(|file| testing::dataset(&folder, file));
        let preprocessor = PreprocessorConfig::default().init(None);
        let mut done = Vec::new();
        let report = check(&mut datasets, &testing::encoder(), &preprocessor, 8, |progress| {
            assert_eq!(progress.samples, 13);
            done.push(progress.done);
            ControlFlow::Continue(())
        });
        let report = report.unwrap();
        assert_eq!((done.len(), done.last()), (2, Some(&13)));
        let found: Vec<(usize, &str)> = report.bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
        let expected = [
            (4, "is not JSON"),
            (5, "the picture missing.png: is not in"),
            (6, "the picture broken.png: is cut off"),
            (7, "the picture oblong.png: is 1 x 10000 pixels, too oblong"),
            (8, "the image \"../good.png\" leads out"),
            (9, "has no supervised token: it needs"),
            (10, "has no supervised token within max_length 2048"),
            (11, "the picture missing.png: is not in"),
        ];
        assert_eq!(found.len(), expected.len(), "{report}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.0 == expected.0 && found.1.starts_with(expected.1), "{found:?} {expected:?}");
        }
        assert_eq!((report.samples, report.text_only, report.truncated, report.pictures), (13, 2, 1, 2));
        assert!(report.longest > 2100 && report.supervised_tokens > 1800, "{report}");
        // What is left is what can be used.
        assert_eq!(datasets.each_ref().map(Dataset::len), [4, 1]);
        let lines: Vec<usize> = (0..4).map(|index| datasets[0].sample(index).unwrap().line).collect();
        assert_eq!(lines, [1, 2, 3, 12]);
    }

    #[test]
    fn more_bad_samples_than_allowed_are_an_error() {
        let folder = faulty();
        let mut datasets = [testing::dataset(&folder, "a.jsonl")];
        let preprocessor = PreprocessorConfig::default().init(None);
        let error = check(&mut datasets, &testing::encoder(), &preprocessor, 7, go_on).unwrap_err().to_string();
        let listed = error.lines().filter(|line| line.contains("a.jsonl:")).count();
        assert!(error.starts_with("training: 8 of 12 samples cannot be used") && listed == 8, "{error}");
        assert_eq!(datasets[0].len(), 12);
    }

    #[test]
    fn many_samples_are_all_looked_at() {
        let lines: Vec<String> =
            (0..1000).map(|at| line(r#""good.png""#, "hi", if at % 100 == 7 { " " } else { "a" })).collect();
        let folder = testing::folder(&[("a.jsonl", &lines.concat())]);
        write_png(&folder, "good.png", 20, 20);
        let mut datasets = [testing::dataset(&folder, "a.jsonl")];
        let preprocessor = PreprocessorConfig::default().init(None);
        let report = check(&mut datasets, &testing::encoder(), &preprocessor, 10, go_on).unwrap();
        assert_eq!((report.samples, report.pictures), (1000, 1));
        assert!(report.bad.iter().map(|bad| bad.index).eq((7..1000).step_by(100)));
        assert_eq!(datasets[0].len(), 990);
    }

    #[test]
    fn it_can_be_stopped() {
        let folder = testing::folder(&[("a.jsonl", &line("null", "hi", "a").repeat(2000))]);
        let mut datasets = [testing::dataset(&folder, "a.jsonl")];
        let preprocessor = PreprocessorConfig::default().init(None);
        let mut calls = 0;
        let stopped = check(&mut datasets, &testing::encoder(), &preprocessor, 0, |_| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert!(stopped.unwrap_err().to_string().contains("stopped while"));
        assert_eq!(calls, 1);
    }
}
