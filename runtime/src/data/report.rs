//! What was found in the data before the first step.

use std::fmt;

/// How many bad samples are written out.
const SHOWN: usize = 50;

/// A sample that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSample {
    /// Number of its dataset, from 0.
    pub dataset: usize,
    /// Its index in the dataset when that was opened.
    pub index: usize,
    /// The data file.
    pub file: String,
    /// The line it begins in, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// All data, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Samples looked at, the bad ones included.
    pub samples: usize,
    /// Good samples without a picture.
    pub text_only: usize,
    /// Good samples that are cut to fit the length.
    pub truncated: usize,
    /// Different pictures that can be read.
    pub pictures: usize,
    /// Positions of the longest good sample before it is cut.
    pub longest: usize,
    /// Tokens that one pass over the good samples learns.
    pub supervised_tokens: u64,
    /// What cannot be used, in the order of datasets and files.
    pub bad: Vec<BadSample>,
}

impl Report {
    /// Counts what another part of the data holds.
    pub(super) fn add(&mut self, part: Self) {
        self.samples += part.samples;
        self.text_only += part.text_only;
        self.truncated += part.truncated;
        self.pictures += part.pictures;
        self.longest = self.longest.max(part.longest);
        self.supervised_tokens += part.supervised_tokens;
        self.bad.extend(part.bad);
    }

    /// That there are bad samples and what to do about it, then a line for each.
    pub(super) fn complaint(&self) -> String {
        let (count, samples) = (self.bad.len(), self.samples);
        format!(
            "{count} of {samples} samples cannot be used; repair them, take them out, or leave them out with \
             --skip-bad {count}:{}",
            self.listed()
        )
    }

    /// The bad samples, a line each, up to a number.
    fn listed(&self) -> String {
        let line = |BadSample { file, line, reason, .. }: &BadSample| format!("\n{file}:{line}: {reason}");
        let mut lines: String = self.bad.iter().take(SHOWN).map(line).collect();
        let more = self.bad.len().saturating_sub(SHOWN);
        if more > 0 {
            lines.push_str(&format!("\nand {more} more"));
        }
        lines
    }
}

impl fmt::Display for Report {
    /// A line for all, then a line for each bad sample.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, text_only, truncated, pictures, longest, supervised_tokens, bad } = self;
        write!(
            f,
            "{samples} samples ({text_only} without a picture, {truncated} cut at the end, the longest {longest} \
             positions), {pictures} pictures, {supervised_tokens} supervised tokens"
        )?;
        match bad.len() {
            0 => Ok(()),
            count => write!(f, "\n{count} of {samples} samples cannot be used and are left out:{}", self.listed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_samples_are_listed_up_to_a_number() {
        let mut report = Report { samples: 99, text_only: 2, pictures: 90, ..Report::default() };
        assert_eq!(
            report.to_string(),
            "99 samples (2 without a picture, 0 cut at the end, the longest 0 positions), 90 pictures, 0 supervised tokens"
        );
        let bad = |line| BadSample { dataset: 0, index: 0, file: "a.jsonl".into(), line, reason: "is odd".into() };
        report.bad = (1..=50).map(bad).collect();
        let text = report.to_string();
        assert!(text.contains("\n50 of 99 samples cannot be used") && text.ends_with("\na.jsonl:50: is odd"), "{text}");
        let complaint = report.complaint();
        assert!(complaint.starts_with("50 of 99 samples cannot be used; ") && complaint.contains("--skip-bad 50:\n"));
        report.bad.extend([bad(51), bad(52)]);
        let text = report.to_string();
        assert!(text.ends_with("\na.jsonl:50: is odd\nand 2 more"), "{text}");
    }
}
