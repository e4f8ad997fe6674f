//! Scores summed up by dataset.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::Scores;

/// Means by dataset. As JSON `{"datasets": {name: row}, "all": row}`, as text an aligned table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// A row by dataset.
    pub datasets: BTreeMap<String, Row>,
    /// All questions together, so a large dataset weighs more.
    pub all: Row,
}

/// What is known of one dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// How many questions were asked.
    pub questions: u64,
    /// The mean of every measure over the questions that have it.
    pub metrics: BTreeMap<&'static str, Mean>,
}

/// A running mean; as JSON `{"mean", "count"}`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// The mean, 0 of nothing.
    pub fn value(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// Over how many questions.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Serialize for Mean {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            mean: f64,
            count: u64,
        }
        Shown { mean: self.value(), count: self.count }.serialize(serializer)
    }
}

impl Table {
    /// Counts one question of a dataset, also where it has no score.
    pub fn add(&mut self, dataset: &str, scores: &Scores) {
        self.datasets.entry(dataset.to_owned()).or_default().add(scores);
        self.all.add(scores);
    }
}

impl Row {
    fn add(&mut self, scores: &Scores) {
        self.questions += 1;
        for (&name, value) in scores {
            let mean = self.metrics.entry(name).or_default();
            mean.sum += value;
            mean.count += 1;
        }
    }

    /// Four decimals; beside them the count, where not every question has the measure.
    fn cell(&self, metric: &str) -> String {
        match self.metrics.get(metric) {
            None => "-".to_owned(),
            Some(mean) if mean.count == self.questions => format!("{:.4}", mean.value()),
            Some(mean) => format!("{:.4} ({})", mean.value(), mean.count),
        }
    }
}

/// One line a dataset, and `all` below where there are several; no line break at the end.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics: BTreeSet<&str> = self.all.metrics.keys().copied().collect();
        let mut rows: Vec<(&str, &Row)> = self.datasets.iter().map(|(name, row)| (name.as_str(), row)).collect();
        if rows.len() != 1 {
            rows.push(("all", &self.all));
        }
        let mut lines: Vec<Vec<String>> = Vec::with_capacity(rows.len() + 1);
        lines.push(["dataset", "questions"].into_iter().chain(metrics.iter().copied()).map(str::to_owned).collect());
        for (name, row) in rows {
            let cells = metrics.iter().map(|metric| row.cell(metric));
            lines.push([name.to_owned(), row.questions.to_string()].into_iter().chain(cells).collect());
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{:<w$}", line[0], w = widths[0])?;
            for (cell, w) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>w$}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Metric, score};

    fn table() -> Table {
        let mut table = Table::default();
        table.add("path", &score(Metric::Closed, "yes", &["yes"]));
        table.add("path", &score(Metric::Closed, "perhaps", &["yes"]));
        table.add("path", &score(Metric::Vqa, "in the liver", &["liver"]));
        table.add("chärt", &score(Metric::Relaxed, "10", &["20"]));
        table
    }

    #[test]
    fn means_and_counts() {
        let table = table();
        assert_eq!(table.datasets["path"].questions, 3);
        assert_eq!(table.datasets["path"].metrics["closed"].value(), 0.5);
        assert_eq!(table.datasets["path"].metrics["closed"].count(), 2);
        assert_eq!(table.all.questions, 4);
    }

    #[test]
    fn as_json() {
        assert_eq!(
            serde_json::to_value(table()).unwrap()["datasets"]["path"],
            serde_json::json!({
                "questions": 3,
                "metrics": { "closed": { "mean": 0.5, "count": 2 }, "vqa": { "mean": 1.0, "count": 1 } }
            })
        );
    }

    #[test]
    fn as_text() {
        let expected = "\
dataset  questions      closed     relaxed         vqa
chärt            1           -      0.0000           -
path             3  0.5000 (2)           -  1.0000 (1)
all              4  0.5000 (2)  0.0000 (1)  1.0000 (1)";
        assert_eq!(table().to_string(), expected);
    }

    #[test]
    fn one_dataset_is_all_there_is() {
        let mut table = Table::default();
        table.add("chart", &score(Metric::Relaxed, "10", &["10"]));
        assert_eq!(table.to_string(), "dataset  questions  relaxed\nchart            1   1.0000");
        assert_eq!(Table::default().to_string(), "dataset  questions\nall              0");
    }

    #[test]
    fn a_question_without_a_score_is_counted() {
        let mut table = Table::default();
        table.add("path", &score(Metric::Closed, "yes", &["liver"]));
        assert_eq!(table.to_string(), "dataset  questions\npath             1");
    }
}
