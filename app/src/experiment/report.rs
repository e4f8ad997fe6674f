//! What the comparison found: numbers, tables, pictures, and what they say.

use std::collections::BTreeMap;
use std::path::Path;

use mole_synth::Domain;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::conflict::Scale;
use super::plan::{Arm, EXPERTS, GATINGS, Mix, NARROW, RANK, RANKS};
use super::runner::Score;
use crate::cli::dump::write_file;
use crate::figures::{ComparisonRow, Estimate, TrendSeries, comparison_picture, routing_picture, trend_picture};

/// Below this distance two uses of experts are called the same: no more than one token in ten goes elsewhere.
const ALIKE: f64 = 0.1;

/// `[layer][expert]`: shares of a dataset's tokens.
type Load = Vec<Vec<f32>>;

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Of the fresh adapter and the order of samples.
    pub seed: u64,
    /// By domain.
    pub scores: BTreeMap<String, Score>,
    /// Where tokens went at the end of training, by domain; empty without experts.
    #[serde(default)]
    pub routing: BTreeMap<String, Load>,
}

/// All runs so far.
pub struct Results {
    scale: Scale,
    arms: Vec<(Arm, Vec<Run>)>,
}

/// A mean with its standard deviation, over `count` runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Mean {
    mean: f64,
    deviation: f64,
    count: usize,
}

impl Mean {
    fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if count > 1 { (squares / (count - 1) as f64).sqrt() } else { 0.0 };
        Some(Self { mean, deviation, count })
    }

    fn estimate(self) -> Estimate {
        Estimate { mean: self.mean, deviation: self.deviation }
    }

    /// `81.3 ± 0.9`, in percent.
    fn cell(of: Option<Self>) -> String {
        of.map_or("-".to_string(), |of| format!("{:.1} ± {:.1}", 100.0 * of.mean, 100.0 * of.deviation))
    }
}

/// A line of a table: a name, and the runs that its numbers come from, a list of seeds for each domain.
struct Row {
    name: String,
    /// `[domain][seed]`: accuracy.
    values: Vec<Vec<f64>>,
}

impl Row {
    fn means(&self) -> Vec<Option<Mean>> {
        self.values.iter().map(|values| Mean::of(values)).collect()
    }

    /// The mean over domains of every seed that has all of them.
    fn by_seed(&self) -> Vec<f64> {
        let seeds = self.values.iter().map(Vec::len).min().unwrap_or(0);
        let mean = |seed: usize| self.values.iter().map(|values| values[seed]).sum::<f64>() / self.values.len() as f64;
        (0..seeds).map(mean).collect()
    }

    fn picture(&self, group: &str) -> ComparisonRow {
        let values = self.means().into_iter().map(|mean| mean.map(Mean::estimate)).collect();
        ComparisonRow { name: self.name.clone(), group: group.to_string(), values }
    }
}

impl Results {
    /// None yet.
    pub fn new(scale: Scale) -> Self {
        Self { scale, arms: Vec::new() }
    }

    /// Takes a run in.
    pub fn add(&mut self, arm: &Arm, run: Run) {
        match self.arms.iter_mut().find(|(known, _)| known == arm) {
            Some((_, runs)) => runs.push(run),
            None => self.arms.push((*arm, vec![run])),
        }
    }

    fn runs(&self, arm: &Arm) -> &[Run] {
        self.arms.iter().find(|(known, _)| known == arm).map_or(&[], |(_, runs)| runs)
    }

    fn accuracy(&self, arm: &Arm, domain: Domain) -> Vec<f64> {
        let score = |run: &Run| run.scores.get(domain.name()).map(|score| score.all.accuracy());
        self.runs(arm).iter().filter_map(score).collect()
    }

    fn row(&self, name: &str, arm: &Arm) -> Row {
        Row { name: name.to_string(), values: Domain::ALL.map(|domain| self.accuracy(arm, domain)).to_vec() }
    }

    /// Each domain alone (one line, of as many runs as there are domains), one LoRA for all, experts for all.
    fn conflict_rows(&self, rank: usize, passes: usize) -> [Row; 3] {
        let alone = |domain| self.accuracy(&Arm::lora(Mix::Alone(domain), rank).passes(passes), domain);
        [
            Row { name: "LoRA, each domain alone".to_string(), values: Domain::ALL.map(alone).to_vec() },
            self.row("LoRA, all domains", &Arm::lora(Mix::Mixture, rank).passes(passes)),
            self.row("MoLE, 3 experts, all domains", &Arm::mole(3, "hard", rank).passes(passes)),
        ]
    }

    /// The main comparison.
    fn main_rows(&self) -> [Row; 4] {
        let [alone, mixture, mole] = self.conflict_rows(RANK, 1);
        [alone, mixture, mole, self.row("LoRA, twice the samples", &Arm::lora(Mix::Twice, RANK))]
    }

    fn groups(&self) -> Vec<(String, Vec<Row>)> {
        let (rank, passes) = NARROW;
        let ranks = RANKS.iter().flat_map(|&rank| {
            let plain = self.row(&format!("LoRA, rank {rank}"), &Arm::lora(Mix::Mixture, rank));
            [plain, self.row(&format!("MoLE, rank {rank}"), &Arm::mole(3, "hard", rank))]
        });
        let experts = EXPERTS.iter().map(|&experts| {
            let name = if experts == 1 { "1 expert".to_string() } else { format!("{experts} experts") };
            self.row(&name, &Arm::mole(experts, "hard", RANK))
        });
        let gatings = GATINGS.iter().map(|&gating| self.row(gating, &Arm::mole(3, gating, RANK)));
        vec![
            (format!("Data, rank {RANK}"), self.main_rows().into()),
            ("Rank, all domains".to_string(), ranks.collect()),
            (format!("Experts, all domains, rank {RANK}"), experts.collect()),
            (format!("Gating, 3 experts, rank {RANK}"), gatings.collect()),
            (format!("Less room and more time: rank {rank}, {passes} passes"), self.conflict_rows(rank, passes).into()),
        ]
    }

    /// The main comparison as a Markdown table.
    pub fn table(&self) -> String {
        table(&self.main_rows())
    }

    /// Writes results.json, report.md and the pictures.
    pub fn write(&self, out: &Path) -> anyhow::Result<()> {
        let arms: Vec<_> = self.arms.iter().map(|(arm, runs)| self.arm_json(arm, runs)).collect();
        let json = json!({ "scale": self.scale, "rank": RANK, "arms": arms, "routing": self.routing_distances() });
        write_file(&out.join("results.json"), &serde_json::to_vec_pretty(&json)?)?;
        write_file(&out.join("report.md"), self.report().as_bytes())?;
        self.draw(out)
    }

    fn arm_json(&self, arm: &Arm, runs: &[Run]) -> serde_json::Value {
        let mean = |domain: Domain| (domain.name(), Mean::of(&self.accuracy(arm, domain)));
        let accuracy: BTreeMap<_, _> = arm.domains().into_iter().map(mean).collect();
        json!({ "name": arm.name(), "rank": arm.rank, "experts": arm.experts.map(|(experts, _)| experts),
            "gating": arm.experts.map(|(_, gating)| gating), "passes": arm.passes, "accuracy": accuracy, "runs": runs })
    }

    fn draw(&self, out: &Path) -> anyhow::Result<()> {
        let domains = Domain::ALL.map(Domain::name);
        let rows: Vec<ComparisonRow> = (self.groups().iter())
            .flat_map(|(group, rows)| rows.iter().map(|row| row.picture(group)).collect::<Vec<_>>())
            .filter(|row| row.values.iter().any(Option::is_some))
            .collect();
        comparison_picture("Accuracy by configuration", &rows, &domains, &out.join("accuracy.svg"))?;
        let mut main: Vec<ComparisonRow> = self.main_rows().iter().map(|row| row.picture("")).collect();
        main.retain(|row| row.values.iter().any(Option::is_some));
        comparison_picture("Three domains, one adapter", &main, &domains, &out.join("conflict.svg"))?;
        let points = |names: &[String], arms: &[Arm]| -> Vec<(String, Estimate)> {
            let mean = |arm: &Arm| Mean::of(&self.row("", arm).by_seed()).map(Mean::estimate);
            names.iter().zip(arms).filter_map(|(name, arm)| Some((name.clone(), mean(arm)?))).collect()
        };
        let ranks = RANKS.map(|rank| rank.to_string());
        let plain = RANKS.map(|rank| Arm::lora(Mix::Mixture, rank));
        let mole = RANKS.map(|rank| Arm::mole(3, "hard", rank));
        let by_rank = [("LoRA", &plain), ("MoLE, 3 experts", &mole)]
            .map(|(name, arms)| TrendSeries { name: name.to_string(), points: points(&ranks, arms) });
        trend("Accuracy by LoRA rank, all domains", "rank", &by_rank, &out.join("rank.svg"))?;
        let experts = EXPERTS.map(|experts| Arm::mole(experts, "hard", RANK));
        let by_experts = TrendSeries {
            name: "MoLE".to_string(),
            points: points(&EXPERTS.map(|experts| experts.to_string()), &experts),
        };
        trend("Accuracy by number of experts, all domains", "experts", &[by_experts], &out.join("experts.svg"))?;
        match self.runs(&Arm::mole(3, "hard", RANK)).first() {
            Some(run) => routing_picture(&run.routing, &out.join("activation.svg")),
            None => Ok(()),
        }
    }

    /// For each layer of the main MoLE runs, how far apart the two most different domains are in their use of experts:
    /// half the sum of absolute differences of shares, 0 for the same use and 1 for no expert in common.
    fn routing_distances(&self) -> Vec<Option<Mean>> {
        let runs = self.runs(&Arm::mole(3, "hard", RANK));
        let layers = runs.iter().flat_map(|run| run.routing.values().map(Vec::len)).max().unwrap_or(0);
        let of_layer = |layer: usize| Mean::of(&runs.iter().map(|run| widest(&run.routing, layer)).collect::<Vec<_>>());
        (0..layers).map(of_layer).collect()
    }

    fn report(&self) -> String {
        let Scale { samples, questions, seeds } = self.scale;
        let mut text = format!(
            "# Three domains, one adapter\n\nMade by `llava-mole experiment conflict --samples {samples} --questions \
             {questions} --seeds {seeds}`, from the demo model's base where `--model` names no other. Each run trains \
             on {samples} pictures a domain with four questions each, in one pass unless more are named, and is asked {questions} questions a \
             domain about pictures that no run has seen, greedily. Numbers are exact matches after normalisation in \
             percent, mean ± standard deviation over the runs of different seeds.\n\nLoRA is on every projection of \
             the language model; MoLE has the same LoRA on attention, and experts of the same rank on the MLP.\n\n"
        );
        for (group, rows) in self.groups() {
            text += &format!("## {group}\n{}\n", table(&rows));
        }
        text += "![Accuracy by configuration](accuracy.svg)\n\n![By rank](rank.svg)\n\n![By experts](experts.svg)\n\n";
        text += "## What it says\nDifferences of the mean of all domains, unless one is named.\n\n";
        text += &format!("{}\n", self.verdicts());
        text += &format!("## Which expert sees what\n{}\n![Expert activation](activation.svg)\n", self.routing_table());
        text
    }

    /// The paper's claims, each with the difference that was found.
    fn verdicts(&self) -> String {
        let [alone, mixture, mole, twice] = self.main_rows().map(|row| row.by_seed());
        let mut said = [
            verdict("Mixing the domains in one LoRA, against each alone", &mixture, &alone),
            verdict("Experts on the mixture, against one LoRA on it", &mole, &mixture),
            verdict("Experts on the mixture, against each domain alone", &mole, &alone),
            verdict("One LoRA with twice the samples, against one LoRA", &twice, &mixture),
            verdict("Experts, against one LoRA with twice the samples", &mole, &twice),
        ]
        .concat();
        let (rank, passes) = NARROW;
        let [alone, mixture, mole] = self.conflict_rows(rank, passes);
        let at = format!("Rank {rank}, {passes} passes");
        said += &verdict(&format!("{at}: mixing, against each alone"), &mixture.by_seed(), &alone.by_seed());
        said += &verdict(&format!("{at}: experts, against one LoRA"), &mole.by_seed(), &mixture.by_seed());
        for (index, domain) in Domain::ALL.into_iter().enumerate() {
            let of = |row: &Row| row.values[index].clone();
            let at = format!("Rank {rank}, {passes} passes, {}", domain.name());
            said += &verdict(&format!("{at}: mixing, against the domain alone"), &of(&mixture), &of(&alone));
            said += &verdict(&format!("{at}: experts, against one LoRA"), &of(&mole), &of(&mixture));
        }
        said
    }

    fn routing_table(&self) -> String {
        let mut text = "Half the sum of the differences between the two domains that use the experts of a layer most \
                        differently: 0 is the same use, 1 no expert in common.\n\n| layer | distance |\n|---|---|\n"
            .to_string();
        for (layer, distance) in self.routing_distances().into_iter().enumerate() {
            text +=
                &distance.map_or(String::new(), |of| format!("| {layer} | {:.2} ± {:.2} |\n", of.mean, of.deviation));
        }
        let widest = self.routing_distances().into_iter().flatten().map(|of| of.mean).fold(0.0, f64::max);
        let said = match widest < ALIKE {
            true => "is the same for all domains: the routers do not tell them apart",
            false => "differs by domain in at least one layer",
        };
        text + &format!("\nThe use of experts {said} (largest distance {widest:.2}).\n")
    }
}

/// A trend, once there is something to draw.
fn trend(title: &str, x_name: &str, series: &[TrendSeries], out: &Path) -> anyhow::Result<()> {
    match series.iter().all(|series| series.points.is_empty()) {
        true => Ok(()),
        false => trend_picture(title, x_name, series, out),
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = "| | general | document | medical | mean |\n|---|---|---|---|---|\n".to_string();
    for row in rows {
        let cells: Vec<String> = row.means().into_iter().map(Mean::cell).collect();
        text += &format!("| {} | {} | {} |\n", row.name, cells.join(" | "), Mean::cell(Mean::of(&row.by_seed())));
    }
    text
}

/// `a` against `b`, run by run of the same seed. A difference of less than two standard errors is called noise.
fn verdict(what: &str, a: &[f64], b: &[f64]) -> String {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let Some(Mean { mean, deviation, count }) = Mean::of(&differences) else {
        return format!("- {what}: not measured yet.\n");
    };
    let error = deviation / (count as f64).sqrt();
    let said = match mean {
        _ if count < 2 => "one run says nothing about noise",
        mean if mean.abs() < 2.0 * error => "within the noise of the runs",
        mean if mean > 0.0 => "better",
        _ => "worse",
    };
    format!("- {what}: {:+.1} ± {:.1} points (standard error of {count} runs): {said}.\n", 100.0 * mean, 100.0 * error)
}

/// The largest distance between two domains' shares in a layer.
fn widest(routing: &BTreeMap<String, Load>, layer: usize) -> f64 {
    let shares: Vec<&Vec<f32>> = routing.values().filter_map(|load| load.get(layer)).collect();
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / 2.0;
    let pairs = shares.iter().enumerate().flat_map(|(i, a)| shares[..i].iter().map(move |b| distance(a, b)));
    pairs.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::runner::Count;
    use super::*;

    fn run(seed: u64, right: &[(Domain, usize)]) -> Run {
        let score = |right| Score { all: Count { right, questions: 100 }, ..Score::default() };
        let scores = right.iter().map(|&(domain, right)| (domain.name().to_string(), score(right))).collect();
        Run { seed, scores, ..Run::default() }
    }

    fn results() -> Results {
        let mut results = Results::new(Scale { samples: 1, questions: 100, seeds: 2 });
        for seed in [1, 2] {
            let plus = seed as usize;
            for domain in Domain::ALL {
                results.add(&Arm::lora(Mix::Alone(domain), RANK), run(seed, &[(domain, 80 + plus)]));
            }
            let all = |right: usize| Domain::ALL.map(|domain| (domain, right));
            results.add(&Arm::lora(Mix::Mixture, RANK), run(seed, &all(70 + plus)));
            let mut mole = run(seed, &all(80 + 3 * plus));
            mole.routing.insert("general".into(), vec![vec![0.5, 0.5, 0.0], vec![1.0, 0.0, 0.0]]);
            mole.routing.insert("medical".into(), vec![vec![0.5, 0.25, 0.25], vec![0.0, 0.0, 1.0]]);
            results.add(&Arm::mole(3, "hard", RANK), mole);
        }
        results
    }

    #[test]
    fn means_deviations_and_verdicts_are_those_of_the_runs() {
        let results = results();
        let table = results.table();
        let line = |name: &str| table.lines().find(|line| line.contains(name)).unwrap().to_string();
        assert_eq!(line("alone"), "| LoRA, each domain alone | 81.5 ± 0.7 | 81.5 ± 0.7 | 81.5 ± 0.7 | 81.5 ± 0.7 |");
        assert_eq!(line("twice"), "| LoRA, twice the samples | - | - | - | - |");
        let verdicts = results.verdicts();
        assert!(verdicts.contains("against each alone: -10.0 ± 0.0 points"), "{verdicts}");
        assert!(verdicts.contains("one LoRA on it: +13.0 ± 1.0 points"), "{verdicts}");
        assert!(verdicts.contains("against one LoRA: not measured yet"), "{verdicts}");
        // 2 and 4 points: three, give or take one.
        assert!(verdicts.contains("against each domain alone: +3.0 ± 1.0"), "{verdicts}");
    }

    #[test]
    fn differences_within_the_noise_are_called_so() {
        let said = verdict("x", &[0.80, 0.70, 0.75], &[0.70, 0.80, 0.75]);
        assert!(said.contains("+0.0 ± 5.8") || said.contains("-0.0 ± 5.8"), "{said}");
        assert!(said.contains("within the noise"), "{said}");
        assert!(verdict("x", &[0.8], &[0.7]).contains("one run says nothing"));
        assert!(verdict("x", &[0.7, 0.72], &[0.8, 0.81]).ends_with("worse.\n"));
    }

    #[test]
    fn distances_between_domains_are_by_layer() {
        let distances: Vec<f64> = results().routing_distances().into_iter().map(|of| of.unwrap().mean).collect();
        assert_eq!(distances, [0.25, 1.0]);
    }

    #[test]
    fn the_report_is_written_after_every_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::new(Scale { samples: 1, questions: 100, seeds: 1 });
        results.add(&Arm::lora(Mix::Alone(Domain::General), RANK), run(1, &[(Domain::General, 50)]));
        results.write(folder.path()).unwrap();
        for name in ["results.json", "report.md", "accuracy.svg", "conflict.svg"] {
            assert!(folder.path().join(name).is_file(), "{name}");
        }
        assert!(!folder.path().join("rank.svg").exists(), "of ranks there is nothing to draw yet");
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("results.json")).unwrap()).unwrap();
        assert_eq!(json["arms"][0]["accuracy"]["general"]["mean"], 0.5);
    }
}
