//! Reading `metrics.jsonl`, a line at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// What the pictures need of one line. A value may be missing or null: a skipped step has no loss, and a held-out
/// evaluation may come on a line of its own.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct StepLine {
    /// Which step, counted by the trainer.
    pub step: u64,
    /// The training loss.
    pub loss: Option<f64>,
    /// The learning rate.
    pub lr: Option<f64>,
    /// The training loss by dataset, for the datasets of this step.
    pub by_data: Option<BTreeMap<String, Option<f64>>>,
    /// The loss on held-out data after this step.
    pub eval_loss: Option<f64>,
    /// The same by dataset.
    pub eval_by_data: Option<BTreeMap<String, Option<f64>>>,
}

/// The lines of a file in order.
///
/// A line that does not parse is left out. A crash tears the last one, and a run that goes on after it may write behind
/// the torn end, so such a line can stand anywhere.
pub struct StepLines<R> {
    lines: R,
    buffer: Vec<u8>,
}

impl StepLines<BufReader<File>> {
    /// Opens a file; it is read as the iterator advances.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Ok(Self::new(BufReader::new(file)))
    }
}

impl<R: BufRead> StepLines<R> {
    fn new(lines: R) -> Self {
        Self { lines, buffer: Vec::new() }
    }
}

impl<R: BufRead> Iterator for StepLines<R> {
    type Item = std::io::Result<StepLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.buffer.clear();
            match self.lines.read_until(b'\n', &mut self.buffer) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            if let Ok(line) = serde_json::from_slice(&self.buffer) {
                return Some(Ok(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<StepLine> {
        StepLines::new(text.as_bytes()).map(|line| line.unwrap()).collect()
    }

    #[test]
    fn every_kind_of_line() {
        let lines = read(concat!(
            r#"{"step":1,"loss":2.5,"lr":1e-4,"grad_norm":1.0,"expert_load":[[0.5,0.5]],"by_data":{"chart":2.5}}"#,
            "\n",
            r#"{"step":2,"loss":null,"by_data":{"chart":null}}"#,
            "\n\n",
            r#"{"step":2,"eval_loss":2.25,"eval_by_data":{"chart":2.25}}"#,
        ));
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[0].step, lines[0].loss, lines[0].lr), (1, Some(2.5), Some(1e-4)));
        assert_eq!(lines[0].by_data.as_ref().unwrap()["chart"], Some(2.5));
        assert_eq!((lines[1].loss, lines[1].by_data.as_ref().unwrap()["chart"]), (None, None));
        assert_eq!((lines[2].loss, lines[2].eval_loss), (None, Some(2.25)));
    }

    #[test]
    fn torn_lines_are_left_out() {
        let lines = read(
            "{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"lo{\"step\":2,\"loss\":1.5}\n{\"step\":3,\"loss\":1.0}\n{\"ste",
        );
        assert_eq!(lines.iter().map(|line| line.step).collect::<Vec<_>>(), [1, 3]);
        assert!(read("").is_empty());
        assert!(StepLines::new(&b"\xff\xfe{\n"[..]).next().is_none());
    }
}
